"""One PostgreSQL server a run, one database, web server and daemon a test."""

import contextlib
import itertools
import subprocess
import sys

import pytest
from django_site import NAMES, PROJECT, SHELL, Kind, Site, password_of
from postgres import Server
from process import clean_environment

CREATE_USERS = f"""
from django.contrib.auth import get_user_model
for name, password in {[(name, password_of(name)) for name in NAMES]}:
    create = get_user_model().objects.create_superuser if name == "admin" else get_user_model().objects.create_user
    create(name, password=password)
"""

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def server():
    running = Server()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def template_of(server):
    """A database for each user model and set of apps, with Django's tables and a few users, from which tests copy theirs."""
    made = {}

    def make(kind):
        wanted = (kind.user_model, kind.apps)
        if wanted not in made:
            name = f"template_{next(NUMBERS)}"
            server.create_database(name)
            environment = clean_environment(**server.variables(name), **kind.variables())
            for command in (["migrate"], [*SHELL, "-c", CREATE_USERS]):
                subprocess.run(
                    [sys.executable, PROJECT / "manage.py", *command, "--verbosity=0"],
                    cwd=PROJECT,
                    env=environment,
                    check=True,
                )
            made[wanted] = name
        return made[wanted]

    return make


@pytest.fixture
def site(request, server, template_of, tmp_path):
    kind = getattr(request, "param", Kind())
    database = f"site_{next(NUMBERS)}"
    server.create_database(database, template_of(kind))
    with contextlib.ExitStack() as ending:
        ending.callback(server.drop_database, database)
        opened = Site(server, database, kind, tmp_path)
        request.node.site = opened
        ending.callback(opened.stop)
        opened.start()
        yield opened
    opened.assert_no_key_is_logged()
