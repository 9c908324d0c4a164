"""One PostgreSQL server a run, one database, web server and daemon a test."""

import contextlib
import itertools
import subprocess
import sys

import pytest
from django_site import NAMES, PROJECT, Kind, Site, password_of
from postgres import Server
from process import clean_environment
from reporting import pytest_runtest_makereport as pytest_runtest_makereport

CREATE_USERS = f"""
from django.contrib.auth import get_user_model
for name, password in {[(name, password_of(name)) for name in NAMES]}:
    create = get_user_model().objects.create_superuser if name == "admin" else get_user_model().objects.create_user
    create(name, password=password)
"""


@pytest.fixture(scope="session")
def server():
    running = Server()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def template_of(server):
    """A database for each user model, with Django's tables and a few users, from which tests copy theirs."""
    made = {}

    def make(user_model):
        if user_model not in made:
            name = f"template_{len(made)}"
            server.create_database(name)
            environment = clean_environment(**server.variables(name), USER_MODEL=user_model)
            for command in (["migrate"], ["shell", "--no-imports", "-c", CREATE_USERS]):
                subprocess.run(
                    [sys.executable, PROJECT / "manage.py", *command, "--verbosity=0"],
                    cwd=PROJECT,
                    env=environment,
                    check=True,
                )
            made[user_model] = name
        return made[user_model]

    return make


NUMBERS = itertools.count(1)


@pytest.fixture
def site(request, server, template_of, tmp_path):
    kind = getattr(request, "param", Kind())
    database = f"site_{next(NUMBERS)}"
    server.create_database(database, template_of(kind.user_model))
    with contextlib.ExitStack() as ending:
        ending.callback(server.drop_database, database)
        opened = Site(server, database, kind, tmp_path)
        request.node.site = opened
        ending.callback(opened.stop)
        opened.start()
        yield opened
    opened.assert_no_key_is_logged()
