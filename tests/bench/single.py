"""One change: session-reaper beside the others, in turn, on the same data."""

from change import change_and_wait
from classic import Classic
from sites import in_turn
from table import percentile, show


def one_change(sites, figures, number):
    """In milliseconds, from its commit until its sessions are gone."""
    user = sites.take_users(1)
    for name, site, link in in_turn(sites.all(), number):
        figures[f"single/{name}"].append(change_and_wait(site, link, user) * 1000)
        sites.wait_until_settled()


def measure(sites, figures, changes):
    with Classic(sites.bare) as classic:
        for number in range(changes):
            one_change(sites, figures, number)
            looped = sites.take_users(1)[0]
            figures["single/classic"].append(classic.delete_user_sessions(looped, 1) * 1000)
    rows = [("", "p50", "p99", "least - most")]
    for name in [*(name for name, _, _ in sites.all()), "classic"]:
        found = figures[f"single/{name}"]
        rows.append(
            (
                name,
                f"{percentile(found, 50):.2f}",
                f"{percentile(found, 99):.2f}",
                f"{min(found):.2f} - {max(found):.2f}",
            )
        )
    show(f"One change, {changes} times in turn: ms from commit to sessions gone", rows)
