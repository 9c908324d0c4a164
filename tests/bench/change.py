"""Changing passwords, and waiting for the sessions to be gone."""

import time

CHANGE = "update auth_user set password = %s where id = any (%s)"
LONGEST_S = 300


def change(site, users):
    """In seconds, with the commit."""
    begun = time.monotonic()
    site.db.execute(CHANGE, [f"{begun}", users])
    return time.monotonic() - begun


def change_and_wait(site, link, users, longest_s=LONGEST_S):
    """Changes passwords, and waits until the last session is gone. In seconds, from the commit."""
    with site.db.transaction():
        site.db.execute(CHANGE, [f"{time.monotonic()}", users])
    committed = time.monotonic()
    gone = f"select not exists (select from {link} where user_id = any (%s))"
    while not site.db.execute(gone, [users], prepare=True).fetchone()[0]:
        assert time.monotonic() < committed + longest_s, "the sessions do not end"
        # Many users are many rows to look at, which would be in the way of what is measured.
        time.sleep(0.02 if len(users) > 100 else 0)
    return time.monotonic() - committed
