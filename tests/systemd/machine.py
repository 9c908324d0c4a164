"""A Debian machine of our own: a tree by debootstrap, booted by systemd-nspawn, with a PostgreSQL server inside.

It has no network but its loopback, so that its server meets no other one. Nothing of it is known to the systemd of the
machine that the tests run on, which need not have one.
"""

import json
import os
import pathlib
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = ROOT / "target/systemd/base"
# What the docs take for granted: a Debian machine with systemd and a server.
PACKAGES = "systemd,systemd-sysv,dbus,libnss-systemd,procps,ca-certificates,tzdata,postgresql"
SUITE = os.environ.get("DEBIAN_SUITE", "bookworm")
PATIENCE_S = 180


def missing():
    """Why no machine can be booted here; nothing where one can."""
    if os.geteuid() != 0:
        return "only root may boot a machine"
    absent = [tool for tool in ("debootstrap", "systemd-nspawn", "nsenter") if not shutil.which(tool)]
    if absent:
        return f"{' and '.join(absent)} missing (Debian's packages debootstrap, systemd-container and util-linux)"
    return None


def make_base():
    """The tree that every machine is a copy of; kept for the next run."""
    if (BASE / "complete").exists():
        return
    shutil.rmtree(BASE, ignore_errors=True)
    BASE.mkdir(parents=True)
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, BASE / "tree"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (BASE / "complete").touch()


class Failed(AssertionError):
    """A command inside the machine did not end with 0."""


class Machine:
    def __init__(self, directory):
        self.tree = pathlib.Path(directory) / "tree"
        subprocess.run(["cp", "-a", "--reflink=auto", BASE / "tree", self.tree], check=True)
        self.nspawn = None
        self.leader = None

    def boot(self):
        log = open(self.tree.parent / "console", "ab")
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", f"--directory={self.tree}", "--boot", "--register=no", "--keep-unit", "--console=pipe",
             "--private-network", f"--machine=session-reaper-{os.getpid()}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("the machine has a first process", self._find_leader)
        wait_until("the machine has booted", self._is_up)

    def _find_leader(self):
        if self.nspawn.poll() is not None:
            raise Failed(f"systemd-nspawn ended: {(self.tree.parent / 'console').read_text()}")
        children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
        self.leader = children[0] if children else None
        return self.leader

    def _is_up(self):
        return self.try_to("systemctl is-system-running").stdout.strip() in ("running", "degraded")

    def power_off(self):
        """Ends it as a machine ends, and not by killing what is in it."""
        if self.leader:
            self.try_to("systemctl poweroff --no-wall")
        try:
            self.nspawn.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            # That ends everything inside it, too.
            self.nspawn.kill()
            self.nspawn.wait()

    def try_to(self, script, user="root"):
        """Runs a script inside, and leaves its failure to the caller."""
        command = ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        if user != "root":
            command += ["runuser", "-u", user, "--"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.run([*command, "bash", "-euo", "pipefail", "-c", script], env=environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)

    def run(self, script, user="root"):
        ended = self.try_to(script, user)
        if ended.returncode:
            raise Failed(f"{script}\nended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
        return ended.stdout

    def sql(self, statement, database="mysite"):
        return self.run(f"psql -qAtX -v ON_ERROR_STOP=1 -d {database} <<'END'\n{statement}\nEND", user="postgres").strip()

    def unit(self, what, instance="mysite"):
        return self.run(f"systemctl show --value --property={what} session-reaper@{instance}").strip()

    def server(self):
        """The unit of the PostgreSQL server, whatever its version."""
        version, cluster = self.run("pg_lsclusters --no-header").split()[:2]
        return f"postgresql@{version}-{cluster}"

    def journal(self, instance="mysite", options=""):
        return self.run(f"journalctl --no-pager --quiet --output=cat --unit=session-reaper@{instance} {options}")

    def entries(self, instance="mysite", options=""):
        lines = self.run(f"journalctl --no-pager --quiet --output=json --unit=session-reaper@{instance} {options}")
        return [json.loads(line) for line in lines.splitlines()]

    def serves(self, instance="mysite"):
        wait_until(f"{instance} serves", lambda: self.unit("StatusText", instance).startswith("serving"))


def wait_until(what, happens):
    until = time.monotonic() + PATIENCE_S
    while not (found := happens()):
        if time.monotonic() > until:
            raise Failed(f"it never came about that {what}")
        time.sleep(0.2)
    return found
