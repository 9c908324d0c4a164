"""Writes sessions as Django does, one a line: `write_sessions.py SEED COUNT`.

Each line is JSON: the session's data, the user that Django reads out of it again (or null), and the password under
which the session was opened. The first line is the secret key.
"""

import json
import random
import sys
import uuid

import django
from django.conf import settings

KEY = "not a secret, and not ASCII either: \u00fc"
APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
LETTERS = "abcXYZ0189 _-.:\"'\\/\n\t\u00e9\u00df\u0416\u4e2d\U0001f511"


def text(rng, longest):
    return "".join(rng.choices(LETTERS, k=rng.randint(1, longest)))


def user_id(rng):
    kinds = [
        lambda: rng.choice([0, 1, 42, 2**31, 2**63 - 1, -1]),
        lambda: str(rng.randint(1, 10**6)),
        lambda: str(uuid.UUID(int=rng.getrandbits(128))),
        lambda: text(rng, 60),
    ]
    return rng.choice(kinds)()


def value(rng, depth=0):
    kinds = [
        lambda: rng.randint(-(2**70), 2**70),
        lambda: rng.choice([None, True, False, 0.5, -1e300, float("nan"), float("inf"), float("-inf")]),
        lambda: text(rng, 400),
        lambda: chr(0xD800 + rng.randint(0, 0x7FF)),
        lambda: "_auth_user_id",
        lambda: [value(rng, depth + 1) for _ in range(rng.randint(0, 4))],
        lambda: {key(rng): value(rng, depth + 1) for _ in range(rng.randint(0, 4))},
    ]
    return rng.choice(kinds[: 5 if depth > 3 else None])()


def key(rng):
    return rng.choice(["_auth_user_id", "NaN", "\ud800", text(rng, 20), text(rng, 20), text(rng, 20)])


def session(rng, user):
    entries = [(name, value(rng)) for name in {key(rng) for _ in range(rng.randint(0, 8))} - {"_auth_user_id"}]
    if rng.random() < 0.8:
        entries.append(("_auth_user_id", user_id(rng)))
        entries.append(("_auth_user_backend", "django.contrib.auth.backends.ModelBackend"))
        entries.append(("_auth_user_hash", user.get_session_auth_hash()))
    rng.shuffle(entries)
    return dict(entries)


def main(seed, count):
    settings.configure(SECRET_KEY=KEY, INSTALLED_APPS=APPS)
    django.setup()
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore

    rng, store = random.Random(seed), SessionStore()
    print(json.dumps(KEY))
    for _ in range(count):
        user = User(password=text(rng, 100))
        data = store.encode(session(rng, user))
        known = store.decode(data).get("_auth_user_id")
        print(json.dumps({"data": data, "user": known, "password": user.password}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
