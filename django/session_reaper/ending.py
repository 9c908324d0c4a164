"""Ending sessions.

Each function asks the database for it, in the caller's transaction, and returns the number of the revocation. The
sessions end when that has committed: a few milliseconds later by the daemon, or within the transaction where none runs.
"""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connections
from django.views.decorators.debug import sensitive_variables

from session_reaper import schema, stores
from session_reaper.handles import digest_of, is_handle
from session_reaper.keys import KEY, NAMES, holding

# A longer one would not fit into what listeners are told.
REASON_CHARS = 200


@sensitive_variables(*NAMES)
def delete_user_sessions(
    user: AbstractBaseUser, *, keep: Any = None, reason: str = "", using: str | None = None
) -> int | None:
    """Ends all sessions of this user, but for `keep`: a session of a request, a row, or a key.

    The reason goes into the record of revocations. None if the user has no key, because it is not saved.
    """
    using = stores.alias(using)
    schema.require(using, in_a_pause=True)
    return _value(
        using,
        "select session_reaper.revoke_user(%s, %s, %s)",
        [user.pk, _plain(reason), digest_of(stores.key_of(keep))],
    )


@sensitive_variables(*NAMES)
def delete_session(
    session: Any, *, user: AbstractBaseUser | None = None, reason: str = "", using: str | None = None
) -> int | None:
    """Ends one session: an `OpenSession`, a `UserSession`, a session of a request, a row, or its key.

    With `user` it is the handle that stands in a page, and ends nothing but a session of that user. None if there is
    no such session.
    """
    using = stores.alias(using)
    schema.require(using, in_a_pause=True)
    if user is None and hasattr(session, "handle") and not hasattr(session, "session_key"):
        return _by_handle(using, session.user_id, session.handle, reason)
    if user is not None:
        return _by_handle(using, user.pk, str(getattr(session, "handle", session)), reason)
    key = getattr(session, "session_id", None) or stores.key_of(session)
    if not key:
        return None
    with holding(using, key):
        return _value(using, f"select session_reaper.revoke_session({KEY}, %s)", [_plain(reason)])


@sensitive_variables(*NAMES)
def delete_all_sessions(*, keep: Any = None, reason: str = "", using: str | None = None) -> int | None:
    """Ends everybody's sessions, but for `keep`: the switch to throw after a breach."""
    using = stores.alias(using)
    schema.require(using, in_a_pause=True)
    return _value(
        using,
        "select session_reaper.revoke_all(%s, %s)",
        [_plain(reason), digest_of(stores.key_of(keep))],
    )


def _by_handle(using: str, user_id: Any, handle: str, reason: str) -> int | None:
    if not is_handle(handle):
        return None
    return _value(using, "select session_reaper.revoke_session_of(%s, %s, %s)", [user_id, handle, _plain(reason)])


def _plain(reason: str) -> str:
    """PostgreSQL's text holds no NUL."""
    return reason.replace("\0", "")[:REASON_CHARS] or "requested"


def _value(using: str, query: str, parameters: list[Any]) -> int | None:
    with connections[using].cursor() as cursor:
        cursor.execute(query, parameters)
        number: int | None = cursor.fetchone()[0]
        return number


adelete_user_sessions = sync_to_async(delete_user_sessions)
adelete_session = sync_to_async(delete_session)
adelete_all_sessions = sync_to_async(delete_all_sessions)
