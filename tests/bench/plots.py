"""Draws what `bench.py --json` has written: `plots.py FIGURES.json DIRECTORY` writes the plots of docs/measurements.md."""

import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("svg")
# Text stays text, and the same figures make the same file.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "session-reaper", "font.size": 9})

from matplotlib import pyplot  # noqa: E402

OURS = "tab:red"
LABELS = {
    "reaped": "session-reaper",
    "bare": "bare loop",
    "statement": "the statement by hand",
    "graphile_worker": "Graphile Worker",
    "pg_boss": "pg-boss",
    "classic": "Django, loop over a model",
}


def main():
    figures = json.loads(pathlib.Path(sys.argv[1]).read_text())["figures"]
    directory = pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    # A run may be of some parts alone; the plots of the others stay as they are.
    drawn = {"one-change": ("single", one_change), "bulk": ("bulk", bulk), "growth": ("growth sessions", growth)}
    for name, (kind, draw) in drawn.items():
        if not family(figures, kind):
            continue
        picture = draw(figures)
        picture.savefig(directory / f"{name}.svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")


def family(figures, name):
    """What was measured of one kind of work, by who did it."""
    return {place.split("/")[1]: found for place, found in figures.items() if place.split("/")[0] == name}


def one_change(figures):
    picture, axes = pyplot.subplots(figsize=(6.5, 3.2))
    for name, found in family(figures, "single").items():
        share = [100 * (place + 1) / len(found) for place in range(len(found))]
        ours = {"color": OURS, "linewidth": 2} if name == "reaped" else {"linewidth": 1}
        axes.step(sorted(found), share, where="post", label=LABELS[name], **ours)
    axes.set(
        xscale="log", xlabel="ms from the commit of one change until its sessions are gone", ylabel="% of the changes"
    )
    axes.legend(frameon=False)
    return picture


def bulk(figures):
    picture, axes = pyplot.subplots(figsize=(6.5, 2.4))
    found = sorted(family(figures, "bulk").items(), key=lambda each: statistics.median(each[1]))
    for place, (name, speeds) in enumerate(found):
        middle = statistics.median(speeds)
        reach = [[middle - min(speeds)], [max(speeds) - middle]]
        axes.barh(place, middle, xerr=reach, color=OURS if name == "reaped" else "tab:gray")
    axes.set_yticks(range(len(found)), [LABELS[name] for name, _ in found])
    axes.set(
        xscale="log",
        xlim=(10, None),
        xlabel="sessions ended a second, many users changed in one statement; least to most",
    )
    return picture


def growth(figures):
    picture, (one, many) = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
    sizes = {_number(name): found for name, found in family(figures, "growth sessions").items()}
    _curve(one, sizes, "p50 of one change")
    one.set(xscale="log", xlabel="sessions in the table", ylabel="ms")
    for kind in ("fresh", "stale"):
        sizes = {_number(name): found for name, found in family(figures, f"growth {kind}").items()}
        _curve(many, sizes, f"{kind} statistics")
    many.set(xscale="log", xlabel="users changed in one statement", ylabel="µs a user")
    many.legend(frameon=False)
    return picture


def _number(size):
    return int(size.replace(",", ""))


def _curve(axes, sizes, label):
    places = sorted(sizes)
    medians = [statistics.median(sizes[place]) for place in places]
    axes.plot(places, medians, marker="o", label=label)
    # From nothing, so that what is flat looks flat.
    axes.set_ylim(0, 1.2 * max([*medians, axes.get_ylim()[1] / 1.2]))


if __name__ == "__main__":
    main()
