"""Linking what was there before: `session-reaper link` against a loop of Django's."""

import json
import pathlib
import re
import subprocess
import time

from bench_site import REAPER
from table import show, spread

USERS = 100_000
# What whoever has no daemon would write. The same columns and foreign keys, and no look at who is locked.
LOOP = """
import itertools, time
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connection, models
class Link(models.Model):
    session = models.OneToOneField(Session, models.CASCADE, primary_key=True)
    user = models.ForeignKey(get_user_model(), models.CASCADE)
    class Meta:
        app_label = "example"
        db_table = "plain_link"
with connection.schema_editor() as editor:
    editor.create_model(Link)
began = time.monotonic()
def found():
    for session in Session.objects.order_by("pk")[:{most}].iterator():
        user_id = session.get_decoded().get("_auth_user_id")
        if user_id is not None:
            yield Link(session_id=session.pk, user_id=user_id)
links = found()
while batch := list(itertools.islice(links, {batch})):
    Link.objects.bulk_create(batch)
print(time.monotonic() - began, Link.objects.count())
with connection.schema_editor() as editor:
    editor.delete_model(Link)
"""
BATCH_ROWS = 5000
ROUNDS = 2


def measure(site, figures, sessions):
    site.add_users(USERS)
    site.add_samples()
    site.tables(
        "insert into django_session select md5(n::text || s.user_id), s.data, now() + interval '14 days'"
        f" from generate_series(1, {sessions // USERS}) n cross join sample s order by random()",
        "vacuum analyze",
    )
    loop_rows = sessions // 10
    site.install()
    loops, readings, peaks = figures["link/loop"], figures["link/reaped"], figures["link/peak MiB"]
    for _ in range(ROUNDS):
        said = site.manage("shell", "--no-imports", "-c", LOOP.format(most=loop_rows, batch=BATCH_ROWS)).split()
        assert int(said[1]) == loop_rows, said
        loops.append(float(said[0]) * sessions / loop_rows)
        seconds, peak = _read_all(site, sessions)
        readings.append(seconds)
        peaks.append(peak)
    ratios = [loop / reading for loop, reading in zip(loops, readings, strict=True)]
    show(
        f"Linking {sessions:,} existing sessions of {USERS:,} users, {ROUNDS} rounds",
        [
            ("", "seconds: median (least - most)"),
            (f"Django's loop, measured on {loop_rows:,} of them and scaled", spread(loops, 1)),
            ("session-reaper link, all of them", spread(readings, 1)),
            ("times as fast", spread(ratios, 1)),
            ("peak resident memory of session-reaper, MiB", spread(peaks, 1)),
        ],
    )


def _read_all(site, sessions):
    """As the operator says it, with its defaults. Its own time, and its memory at the most."""
    site.tables(
        "truncate session_reaper.user_session",
        "vacuum django_session",
        "vacuum auth_user",
        "checkpoint",
        "select session_reaper.backfill_again('installed')",
    )
    began = time.monotonic()
    linking = subprocess.Popen(
        [REAPER, "link", "--json"], env=site.reaper_environment(), stdout=subprocess.PIPE, text=True
    )
    peak = 0
    while linking.poll() is None:
        # Empty as soon as it has ended.
        if found := re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{linking.pid}/status").read_text()):
            peak = int(found[1])
        time.sleep(0.02)
    seconds = time.monotonic() - began
    said = linking.stdout.read()
    assert linking.returncode == 0 and json.loads(said)["linking"]["backfilled"], said
    linked = site.value("select count(*) from session_reaper.user_session")
    assert linked == sessions, f"{linked} of {sessions} are linked"
    return seconds, peak / 1024
