"""The site of the daemon's own tests, with this package among its apps."""

from fixtures import server as server
from fixtures import site as site
from fixtures import template_of as template_of
from reporting import pytest_runtest_makereport as pytest_runtest_makereport
