"""What every run of tests shows of the programs that a test has started."""

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows with a failed test what the daemon and the app had to say."""
    report = yield
    site = getattr(item, "site", None)
    if report.failed and site:
        for log in sorted(site.directory.glob("*.log")):
            report.sections.append((log.name, log.read_text(errors="replace")[-8000:]))
    return report
