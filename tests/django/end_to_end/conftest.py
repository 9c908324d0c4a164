"""What pytest looks for here."""

from fixtures import server as server
from fixtures import site as site
from fixtures import template_of as template_of
from reporting import pytest_runtest_makereport as pytest_runtest_makereport
