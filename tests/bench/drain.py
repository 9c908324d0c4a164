"""A steady stream of logins, and how soon a revocation ends sessions meanwhile."""

import statistics
import threading
import time

from saving import LOGIN, USERS
from table import show, spread

RATE = 2000


def measure(site, seconds):
    site.add_users(USERS + 10_000)
    site.add_samples()
    site.install()
    with site.daemon():
        rate = {}
        load = threading.Thread(
            target=lambda: rate.update(tps=site.pgbench(LOGIN, f"--time={seconds}", f"--rate={RATE}")[0])
        )
        load.start()
        queue, latencies, number = [], [], USERS
        with site.server.connect(site.database) as other:
            while load.is_alive():
                number += 1
                latencies.append(_revoke(site, other, number))
                queue.append(site.value("select count(*) from session_reaper.pending_link"))
                time.sleep(0.05)
        load.join()
    percent = statistics.quantiles(latencies, n=100)
    show(
        f"{RATE:,} logins a second for {seconds} s, {len(latencies)} changes of passwords meanwhile",
        [
            ("logins a second that were done", f"{rate['tps']:,.0f}"),
            ("rows in the queue: median (least - most)", spread(queue)),
            (
                "the same, in each fifth of the time: most",
                " ".join(f"{max(part):,}" for part in _fifths(queue)),
            ),
            (
                "from commit to session gone, ms: p50, p99, most",
                f"{percent[49]:.1f}, {percent[98]:.1f}, {max(latencies):.1f}",
            ),
        ],
    )


def _fifths(values):
    size = max(1, len(values) // 5)
    return [values[place : place + size] for place in range(0, size * 5, size)]


def _revoke(site, other, number):
    """Logs a user in, changes the password at once, and waits for the session to be gone. In milliseconds."""
    key = f"measured-{number}"
    user = site.value("select id from auth_user where username = %s", f"user-{number}")
    site.db.execute(
        "insert into django_session select %s, data, now() + interval '14 days' from sample where user_id = %s",
        [key, user],
    )
    other.execute("update auth_user set password = 'second' where id = %s", [user])
    committed = time.monotonic()
    while site.value("select exists (select from django_session where session_key = %s)", key):
        assert time.monotonic() - committed < 30, "the session does not end"
        time.sleep(0.0005)
    return (time.monotonic() - committed) * 1000
