"""Many users changed in one statement: session-reaper beside the others, on the same data."""

import time

from bare_loop import STATEMENT
from change import change, change_and_wait
from classic import Classic
from sites import SESSIONS_EACH, in_turn
from table import show, spread

# The loop over a model takes milliseconds a session, so a part of the users tells its speed.
LOOPED_USERS = 300


def measure(sites, figures, users, rounds):
    """Sessions that ended a second."""
    with Classic(sites.bare) as classic:
        for number in range(rounds):
            _statement(sites, figures, users)
            one_bulk(sites, figures, users, number)
            looped = min(LOOPED_USERS, users // 10)
            seconds = classic.delete_user_sessions(sites.take_users(looped)[0], looped)
            figures["bulk/classic"].append(looped * SESSIONS_EACH / seconds)
            sites.settle_down()
    names = ["statement", *(name for name, _, _ in sites.all()), "classic"]
    show(
        f"{users:,} users changed at once, {rounds} rounds: sessions ended a second",
        [(name, spread(figures[f"bulk/{name}"])) for name in names],
    )


def one_bulk(sites, figures, users, number):
    changed = sites.take_users(users)
    for name, site, link in in_turn(sites.all(), number):
        ended = site.value(f"select count(*) from {link} where user_id = any (%s)", changed)
        figures[f"bulk/{name}"].append(ended / change_and_wait(site, link, changed))
        sites.wait_until_settled()


def _statement(sites, figures, users):
    begun = time.monotonic()
    ended = sites.bare.db.execute(STATEMENT, [sites.take_users(users)]).rowcount
    figures["bulk/statement"].append(ended / (time.monotonic() - begun))


# Who takes longer than this for a change is measured once: Graphile Worker takes two minutes, and other parts wait.
ONCE_BEYOND_S = 60


def what_the_app_pays(sites, figures, users, rounds):
    """One statement that changes many users' passwords, with its commit, in seconds."""
    changed = list(range(1, users + 1))
    for number in range(rounds):
        sites.bare.tables("alter table auth_user disable trigger note_change")
        figures["paid/plain"].append(change(sites.bare, changed))
        sites.bare.tables("alter table auth_user enable trigger note_change")
        for name, site, _ in in_turn(sites.all(), number):
            if max(figures[f"paid/{name}"], default=0) > ONCE_BEYOND_S:
                continue
            with sites.without_worker(name):
                figures[f"paid/{name}"].append(change(site, changed))
            sites.wait_until_settled()
        sites.settle_down()
    names = ["plain", *(name for name, _, _ in sites.all())]
    show(
        f"What the app pays for changing {users:,} users, {rounds} rounds: seconds",
        [(name, spread(figures[f"paid/{name}"], 2)) for name in names],
    )
