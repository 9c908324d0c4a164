"""Which table the site keeps its sessions in, and which preset of the daemon's fits it."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.base import SessionBase
from django.db import models, router


class Store(NamedTuple):
    """A session engine that keeps its sessions in a table."""

    model: str
    preset: str
    is_cached: bool = False


# By SESSION_ENGINE.
STORES = {
    "django.contrib.sessions.backends.db": Store("sessions.Session", "django"),
    "django.contrib.sessions.backends.cached_db": Store("sessions.Session", "django", True),
    "user_sessions.backends.db": Store("user_sessions.Session", "django-user-sessions"),
    "qsessions.backends.db": Store("qsessions.Session", "django-qsessions"),
    "qsessions.backends.cached_db": Store("qsessions.Session", "django-qsessions", True),
}


def store() -> Store | None:
    """The site's store; None if its sessions have no rows. An engine of the site's own is known by what it extends."""
    engine = settings.SESSION_ENGINE
    if engine in STORES:
        return STORES[engine]
    bases = import_module(engine).SessionStore.__mro__
    return next((STORES[base.__module__] for base in bases if base.__module__ in STORES), None)


def session_model_label() -> str | None:
    """The model that links refer to, found before models can be imported; None if the site has no such table."""
    engine = settings.SESSION_ENGINE
    label = STORES[engine].model if engine in STORES else "sessions.Session"
    return label if apps.is_installed(_app_name(label)) else None


def _app_name(label: str) -> str:
    app = label.split(".")[0]
    return "django.contrib.sessions" if app == "sessions" else app


def session_model() -> type[models.Model] | None:
    label = session_model_label()
    return apps.get_model(label) if label else None


def alias(using: str | None = None) -> str:
    """The database of the sessions, which is that of the users, too: foreign keys lead to both."""
    if using:
        return using
    return router.db_for_write(session_model() or get_user_model())


def key_of(session: Any) -> str | None:
    """The key of a session, given as that of a request, as a row, or as the key itself."""
    if session is None or isinstance(session, str):
        return session
    if isinstance(session, SessionBase):
        return session.session_key
    key = getattr(session, "session_key", None)
    return str(key) if key is not None else None
