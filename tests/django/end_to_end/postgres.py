"""A PostgreSQL server for the time of the tests, reachable through a Unix socket alone."""

import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.parse

import psycopg
from process import Process, clean_environment


def find_binaries():
    """The directory of initdb and postgres: the caller's choice, or else the newest that is installed."""
    if named := os.environ.get("SESSION_REAPER_PG_BINDIR"):
        return pathlib.Path(named)
    debian = pathlib.Path("/usr/lib/postgresql").glob("*/bin")
    redhat = pathlib.Path("/usr").glob("pgsql-*/bin")
    by_version = sorted([*debian, *redhat], key=lambda path: int(re.sub(r"\D", "", path.parts[-2]) or 0), reverse=True)
    on_path = map(pathlib.Path, os.get_exec_path())
    for directory in [*by_version, *on_path]:
        if (directory / "initdb").is_file() and (directory / "postgres").is_file():
            return directory
    raise AssertionError("no PostgreSQL server found: run tests/install, or set SESSION_REAPER_PG_BINDIR")


def server_account():
    """As whom root runs the server, which refuses to run as root. Only an installed server comes with an account."""
    if os.geteuid() != 0:
        return {}
    names = {account.pw_name: account for account in pwd.getpwall()}
    account = names.get("postgres") or names["nobody"]
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


class Server:
    def __init__(self, more_settings=None):
        self.binaries = find_binaries()
        # A short path: a Unix socket's name ends at 107 characters.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="reaper-"))
        user = server_account()
        if user:
            shutil.chown(self.directory, user["user"], user["group"])
            self.directory.chmod(0o755)
        data = self.directory / "data"
        options = user | {"cwd": self.directory, "env": clean_environment(LC_ALL="C.UTF-8")}
        subprocess.run(
            [self.binaries / "initdb", "--no-sync", "--auth=trust", "--username=postgres", "--pgdata", data],
            check=True,
            stdout=subprocess.DEVNULL,
            **options,
        )
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.directory,
            "fsync": "off",
            "max_connections": "200",
        } | (more_settings or {})
        self.process = Process(
            [self.binaries / "postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items())],
            self.directory / "server.log",
            **options,
        )
        self.process.wait_until(self._answers, "ready for connections")
        with self.connect("postgres") as connection:
            # No superusers: the owner of the databases, which may create more for Django's own tests, a role
            # that owns nothing, and the daemon's, which has what `migrate` gives it.
            connection.execute("create role site login createdb")
            connection.execute("create role app login")
            connection.execute("create role reaper login")

    def _answers(self):
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, database, user="postgres"):
        return psycopg.connect(self.url(database, user), autocommit=True)

    def url(self, database, user="site"):
        return f"postgresql:///{database}?" + urllib.parse.urlencode({"host": self.directory, "user": user})

    def variables(self, database):
        """What libpq, and with it Django and psql, reads."""
        return {"PGHOST": str(self.directory), "PGUSER": "site", "PGDATABASE": database}

    def create_database(self, name, template="template0"):
        with self.connect("postgres") as connection:
            connection.execute(f'create database "{name}" owner site template "{template}"')

    def drop_database(self, name):
        with self.connect("postgres") as connection:
            connection.execute(f'drop database "{name}" with (force)')

    def stop(self):
        try:
            # Fast shutdown: whoever is still connected is cut off.
            self.process.stop(signal.SIGINT)
        finally:
            shutil.rmtree(self.directory)
