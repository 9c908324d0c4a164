"""What Django sites do by themselves: `clearsessions`, and a `UserSession` model whose sessions a view deletes one by one.

The model is the one that tutorials have: a foreign key to the user and one to the session, filled at each login. Here it
stands over the same table of links that the other contenders use.
"""

import subprocess
import sys

from bench_site import PROJECT
from process import clean_environment

# Answers one line for each line that it reads, so that its start is not in what is measured.
SERVE = """
import sys, time
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import models
class UserSession(models.Model):
    session = models.OneToOneField(Session, models.CASCADE, primary_key=True, db_column="session_key")
    user = models.ForeignKey(get_user_model(), models.CASCADE)
    class Meta:
        app_label = "example"
        db_table = "plain_link"
def delete_user_sessions(user_id):
    for user_session in UserSession.objects.filter(user_id=user_id):
        user_session.session.delete()
print("ready", flush=True)
for line in sys.stdin:
    began = time.perf_counter()
    if line == "clear\\n":
        call_command("clearsessions")
    else:
        for user_id in range(*map(int, line.split())):
            delete_user_sessions(user_id)
    print(time.perf_counter() - began, flush=True)
"""


class Classic:
    """A process of the site's, on the database of a contender."""

    def __init__(self, site):
        environment = clean_environment(
            **site.server.variables(site.database), NOT_LINKING="1", PGOPTIONS="-c synchronous_commit=off"
        )
        self.child = subprocess.Popen(
            [sys.executable, PROJECT / "manage.py", "shell", "--no-imports", "-c", SERVE],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        assert self.child.stdout.readline() == "ready\n", "Django does not start"
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait(timeout=60)
        self.child.stdout.close()

    def delete_user_sessions(self, first, count):
        """In seconds, for as many users from the first on."""
        return self._ask(f"{first} {first + count}")

    def clear(self):
        return self._ask("clear")

    def _ask(self, line):
        print(line, file=self.child.stdin, flush=True)
        return float(self.child.stdout.readline())
