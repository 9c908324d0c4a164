"""Find and end the sessions of a Django user, with session-reaper beside the database.

`INSTALLED_APPS += ["session_reaper"]`, and then:

    from session_reaper import delete_user_sessions

    delete_user_sessions(user, keep=request.session, reason="laptop stolen")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from session_reaper.ending import (
        adelete_all_sessions,
        adelete_session,
        adelete_user_sessions,
        delete_all_sessions,
        delete_session,
        delete_user_sessions,
    )
    from session_reaper.password import keeping
    from session_reaper.schema import Unavailable
    from session_reaper.signals import session_revoked

__version__ = "0.1.0"

__all__ = [
    "Unavailable",
    "adelete_all_sessions",
    "adelete_session",
    "adelete_user_sessions",
    "delete_all_sessions",
    "delete_session",
    "delete_user_sessions",
    "keeping",
    "session_revoked",
]

_MODULES = {"Unavailable": "schema", "keeping": "password", "session_revoked": "signals"}


def __getattr__(name: str) -> Any:
    """Imports on first use: Django imports this package before its apps are ready."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'ending')}"), name)
