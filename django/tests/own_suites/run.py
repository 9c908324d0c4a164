"""Runs Django's own tests of sessions and of auth beside session-reaper, as they run without it.

    python run.py [--without] [LABEL ...]

Fetches the source distribution of the Django that is installed, puts this package among the apps that its tests
always have, installs the schema in their database and has a daemon serve it. With `--without` it does none of that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import django

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
END_TO_END = REPOSITORY / "tests/django/end_to_end"
CACHE = REPOSITORY / "target/django-sources"
LABELS = ["sessions_tests", "auth_tests"]

sys.path.insert(0, str(END_TO_END))
from postgres import Server  # noqa: E402
from process import clean_environment  # noqa: E402


def fetch_tests() -> Path:
    """The folder `tests` of Django's source distribution."""
    version = django.get_version()
    tests = CACHE / f"django-{version}" / "tests"
    if not tests.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            ":all:",
            "-d",
            str(CACHE),
        ]
        subprocess.run([*pip, f"Django=={version}"], check=True)
        (archive,) = (path for path in CACHE.glob("*.tar.gz") if path.name.lower() == f"django-{version}.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(CACHE, filter="data")
        unpacked = next(path for path in CACHE.iterdir() if path.name.lower() == f"django-{version}" and path.is_dir())
        if unpacked != tests.parent:
            unpacked.rename(tests.parent)
    return tests


def put_app_in(tests: Path) -> Path:
    """A copy of `runtests.py`, which has no option for more apps."""
    text = (tests / "runtests.py").read_text()
    begin = "ALWAYS_INSTALLED_APPS = ["
    assert text.count(begin) == 1
    changed = tests / "runtests_beside_session_reaper.py"
    changed.write_text(text.replace(begin, f'{begin}\n    "session_reaper",'))
    return changed


def main() -> int:
    arguments = sys.argv[1:]
    without = "--without" in arguments
    labels = [argument for argument in arguments if argument != "--without"] or LABELS
    tests = fetch_tests()
    runner = tests / "runtests.py" if without else put_app_in(tests)
    server = Server()
    try:
        server.create_database("django")
        path = os.pathsep.join([str(HERE), str(REPOSITORY / "django")])
        environment = clean_environment(**server.variables("django"), PYTHONPATH=path)
        environment["OWN_SUITES"] = "without" if without else "beside"
        environment["SESSION_REAPER_BIN"] = os.environ.get(
            "SESSION_REAPER_BIN", str(REPOSITORY / "target/debug/session-reaper")
        )
        command = [sys.executable, str(runner), "--parallel=1", "--settings=own_settings", *labels]
        return subprocess.run(command, cwd=tests, env=environment).returncode
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
