"""One PostgreSQL server for all of the apps."""

import pytest
from postgres import Server
from reporting import pytest_runtest_makereport as pytest_runtest_makereport


@pytest.fixture(scope="session")
def server():
    running = Server()
    yield running
    running.stop()
