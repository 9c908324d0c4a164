"""Django as it has to be for what needs no database."""

import django
from django.conf import settings


def configure():
    if settings.configured:
        return
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "session_reaper",
        ],
        SECRET_KEY="a-test-has-no-secrets",
    )
    django.setup()
