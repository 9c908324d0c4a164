"""What the tests ask of the site."""

import pytest
from django_site import USER_MODELS, Kind

PACKAGE = ("session_reaper",)
WITH_DEVICES = (*PACKAGE, "session_reaper.devices")


def package(*more, **options):
    return Kind(apps=(*PACKAGE, *more), **options)


def on(*kinds, **named):
    """Runs a test on each of these sites."""
    every = [pytest.param(kind, id=name) for name, kind in named.items()] or list(kinds)
    return pytest.mark.parametrize("site", every, indirect=True)


# Django supports both drivers.
PSYCOPG2 = {"more": (("DRIVER", "psycopg2"),)}
EVERY_KEY = {key: package(user_model=model) for key, model in USER_MODELS.items()}
