"""Logins, and other requests, that take as long as a test wants."""

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection

# Whoever holds this advisory lock holds up logins.
GATE = 4711


def wait_at_the_gate():
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock_shared(%s)", [GATE])


class GatedBackend(ModelBackend):
    """Verifies the password first and then waits until the gate is open."""

    def authenticate(self, request, **credentials):
        user = super().authenticate(request, **credentials)
        wait_at_the_gate()
        return user


class SlowHasher(PBKDF2PasswordHasher):
    """Django's default, with a twentieth of its work: some 20 ms, long enough for a change to slip in."""

    iterations = PBKDF2PasswordHasher.iterations // 20
