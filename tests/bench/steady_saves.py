"""Saves sessions by the clock until it is ended, and says of each when it was to begin and how many milliseconds it took.

Whether the one before has ended or not: a wait that holds up ten saves counts for each of them.
"""

import sys
import time

import psycopg

SAVES_A_SECOND = 200
SESSIONS = 1000
# As a request does that has changed its session: reads it by its key, and saves it.
READ = "select session_data, expire_date from django_session where session_key = %s and expire_date > now()"
SAVE = "update django_session set session_data = %s, expire_date = now() + interval '14 days' where session_key = %s"


def save_on(url):
    with psycopg.connect(url, autocommit=True, prepare_threshold=0, options="-c synchronous_commit=off") as connection:
        begins = time.monotonic()
        number = 0
        while True:
            begins += 1 / SAVES_A_SECOND
            time.sleep(max(0, begins - time.monotonic()))
            number += 1
            key = f"load-{1 + number * 7919 % SESSIONS}"
            with connection.transaction():
                data, _ = connection.execute(READ, [key]).fetchone()
                connection.execute(SAVE, [data, key])
            print(f"{begins} {(time.monotonic() - begins) * 1000}")


if __name__ == "__main__":
    save_on(sys.argv[1])
