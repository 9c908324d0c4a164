"""What a daemon costs while nothing happens."""

import os
import pathlib
import time

from bench_site import REAPER
from table import show

TICKS = os.sysconf("SC_CLK_TCK")


def measure(sites, figures, seconds):
    """A minute's worth of statements, transaction ids, WAL and processor time, and the memory that is resident."""
    sites.wait_until_settled()
    # What they write is in the same log.
    sites.stop()
    # Autovacuum writes, too, and not for us.
    sites.settle_down()
    time.sleep(3)
    before = _look(sites)
    time.sleep(seconds)
    after = _look(sites)
    spent = {name: (after[name] - before[name]) * 60 / seconds for name in before}
    # This look's own.
    spent["statements"] -= 60 / seconds
    process = pathlib.Path(f"/proc/{sites.daemon.child.pid}/status").read_text()
    resident = next(int(line.split()[1]) / 1024 for line in process.splitlines() if line.startswith("VmRSS"))
    for name, value in spent.items():
        figures[f"idle/{name}"].append(value)
    figures["idle/resident MiB"].append(resident)
    figures["idle/binary MiB"].append(pathlib.Path(REAPER).stat().st_size / 2**20)
    names = [*spent, "resident MiB", "binary MiB"]
    show(f"Idle for {seconds} s, as of a minute", [(name, f"{figures[f'idle/{name}'][-1]:,.1f}") for name in names])
    _show_records(sites, before["WAL bytes"], after["WAL bytes"])


def _show_records(sites, first, last):
    """By kind, from the server's extension for this, which came with PostgreSQL 15."""
    look = sites.looking
    if not look.execute("select 1 from pg_available_extensions where name = 'pg_walinspect'").fetchone():
        return
    look.execute("create extension if not exists pg_walinspect")
    records = look.execute(
        """select "resource_manager/record_type", count, combined_size, fpi_size
        from pg_get_wal_stats('0/0'::pg_lsn + %s, '0/0'::pg_lsn + %s, true)
        where count > 0 order by combined_size desc""",
        (int(first), int(last)),
    ).fetchall()
    rows = [tuple(map(str, row)) for row in records] or [("none",)]
    show("Its records in the WAL: number, bytes, bytes of whole pages", rows)


def _look(sites):
    count = (
        "select sum(s.calls) from pg_stat_statements s join pg_database d on d.oid = s.dbid"
        " where d.datname = 'reaped' and s.toplevel"
    )
    ids = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    process = pathlib.Path(f"/proc/{sites.daemon.child.pid}/stat").read_text().rpartition(")")[2].split()
    return {
        "statements": float(sites.looking.execute(count).fetchone()[0]),
        "transaction ids": sites.reaped.value(ids),
        "WAL bytes": float(sites.reaped.value("select pg_current_wal_insert_lsn() - '0/0'")),
        "processor ms": (int(process[11]) + int(process[12])) * 1000 / TICKS,
    }
