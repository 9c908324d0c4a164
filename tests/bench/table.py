"""Figures with their spread."""

import statistics


def spread(values, digits=0):
    """Median, and the least and the greatest."""
    middle, least, most = (f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least} - {most})"


def percentile(values, percent):
    if len(values) < 2 or percent == 50:
        return statistics.median(values)
    return statistics.quantiles(values, n=100)[percent - 1]


def show(title, rows):
    print(f"\n{title}")
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), flush=True)
