"""Which changes of a password spare whom.

Two of Django's own ways are told apart from any other change: the user who changes the own password stays logged in
there, and a hash that is only made stronger while its password is verified is no change at all.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.apps import apps
from django.contrib.auth import views
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import connections, router, transaction
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from session_reaper import schema, stores
from session_reaper.handles import digest_of
from session_reaper.keys import KEY, NAMES, holding, table_and_column

# What holds passwords and their hashes, and keys as well: Django's reports on errors look no further than the innermost
# decoration.
PASSWORDS = ("raw_password", "password", "encoded", "verified", "values", "args", "kwargs", *NAMES)

# The user whose password is being verified, and the hash against which.
_verified: contextvars.ContextVar[tuple[AbstractBaseUser, str] | None] = contextvars.ContextVar(
    "verified", default=None
)


@contextlib.contextmanager
def keeping(request: HttpRequest, using: str | None = None) -> Iterator[None]:
    """A transaction in which a new password spares the session of this request.

    For views that change the user's own password and go on with the same session:

        with keeping(request):
            user.set_password(new)
            user.save()
            update_session_auth_hash(request, user)
    """
    using = stores.alias(using)
    # The digest alone: Django's report on an error shows what stands in a generator.
    kept = digest_of(stores.key_of(getattr(request, "session", None)))
    if kept is None or not _is_there(using):
        yield
        return
    with transaction.atomic(using=using), _set(using, "session_reaper.keep_session", kept):
        _hold(using, request)
        yield
        _take_device_along(request, kept)


@sensitive_variables(*NAMES)
def _hold(using: str, request: HttpRequest) -> None:
    """A request that began before its session ended goes no further: it would change the password, and stay logged in.

    Verifying the old password takes long enough for that to happen.
    """
    sessions = stores.session_model()
    if sessions is None or stores.store() is None:
        return
    table, column = table_and_column(sessions, using)
    with holding(using, str(stores.key_of(request.session))) as cursor:
        cursor.execute(f"select from {table} where {column} = {KEY} for key share")
        if not cursor.fetchall():
            raise SessionInterrupted("The session has ended before the request was done.")


@sensitive_variables(*NAMES)
def _take_device_along(request: HttpRequest, kept: str) -> None:
    """Django gives the session that stays a new key, under which nothing is noted of its device."""
    key = stores.key_of(request.session)
    if key and digest_of(key) != kept and apps.is_installed("session_reaper.devices"):
        from session_reaper.devices.recording import record

        record(key, request)


@contextlib.contextmanager
def _set(using: str, name: str, value: str) -> Iterator[None]:
    """Sets it for the statements within, and not for the rest of a transaction that goes on."""
    before = _write(using, name, value)
    yield
    # After an error the transaction, or its savepoint, takes the setting back with everything else.
    _write(using, name, before)


def _write(using: str, name: str, value: str) -> str:
    """What it was before."""
    with connections[using].cursor() as cursor:
        cursor.execute("select current_setting(%s, true)", [name])
        before: str | None = cursor.fetchone()[0]
        cursor.execute("select set_config(%s, %s, true)", [name, value])
    return before or ""


def _is_there(using: str) -> bool:
    return schema.state(using) in (schema.State.READY, schema.State.PAUSED)


def install() -> None:
    """Puts both in place. Django has no signal for either: none before a password changes, none with the request."""
    _wrap(views.PasswordChangeView, "form_valid", _keep_browser)
    _wrap(AbstractBaseUser, "check_password", _check_password)
    _wrap(AbstractBaseUser, "save", _save)
    if hasattr(AbstractBaseUser, "acheck_password"):  # from Django 5.0 on
        _wrap(AbstractBaseUser, "acheck_password", _acheck_password)
    if apps.is_installed("django.contrib.admin"):
        from django.contrib.auth.admin import UserAdmin

        _wrap(UserAdmin, "user_change_password", _keep_browser_in_admin)


def _wrap(owner: type, name: str, around: Callable[..., Any]) -> None:
    original = getattr(owner, name)
    if hasattr(original, "wrapped_by_session_reaper"):
        return

    @functools.wraps(original)
    @sensitive_variables(*PASSWORDS)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        return around(original, self, *args, **kwargs)

    wrapped.wrapped_by_session_reaper = True  # type: ignore[attr-defined]
    setattr(owner, name, markcoroutinefunction(wrapped) if iscoroutinefunction(original) else wrapped)


def _keep_browser(original: Callable[..., Any], view: Any, form: Any) -> Any:
    """Also puts Django's two steps, the new hash and the new session key, into one transaction."""
    with keeping(view.request):
        _require_same_password(view.request.user)
        return original(view, form)


def _require_same_password(user: Any) -> None:
    """Of two changes at the same time the later one would win, and who knows the old password could be that."""
    using = stores.alias()
    if isinstance(user, AbstractBaseUser) and _is_there(using) and _hash_of(user, using) != user.password:
        raise SessionInterrupted("The password has changed before the request was done.")


def _keep_browser_in_admin(
    original: Callable[..., Any], admin: Any, request: HttpRequest, *args: Any, **kwargs: Any
) -> Any:
    if request.method != "POST":
        return original(admin, request, *args, **kwargs)
    with keeping(request):
        return original(admin, request, *args, **kwargs)


def _check_password(original: Callable[..., Any], user: AbstractBaseUser, raw_password: Any) -> Any:
    token = _verified.set((user, user.password))
    try:
        return original(user, raw_password)
    finally:
        _verified.reset(token)


@sensitive_variables(*PASSWORDS)
async def _acheck_password(original: Callable[..., Any], user: AbstractBaseUser, raw_password: Any) -> Any:
    token = _verified.set((user, user.password))
    try:
        return await original(user, raw_password)
    finally:
        _verified.reset(token)


def _save(original: Callable[..., Any], user: AbstractBaseUser, *args: Any, **kwargs: Any) -> Any:
    """A save of the hash alone, by the very verification of its password: Django has made the hash stronger."""
    verified, upgraded = _verified.get(), list(kwargs.get("update_fields") or ()) == ["password"]
    if verified is None or verified[0] is not user or not upgraded:
        return original(user, *args, **kwargs)
    using = kwargs.get("using") or router.db_for_write(type(user), instance=user)
    if not _is_there(using):
        return original(user, *args, **kwargs)
    with transaction.atomic(using=using), _set(using, "session_reaper.rehash", "on"):
        # The password may have changed meanwhile. The upgrade would bring the old one back, unheard.
        if _hash_of(user, using) == verified[1]:
            return original(user, *args, **kwargs)


def _hash_of(user: AbstractBaseUser, using: str) -> str | None:
    """In the table, and held until the transaction ends."""
    rows = user.__class__._base_manager.using(using).select_for_update(no_key=True).filter(pk=user.pk)
    return rows.values_list("password", flat=True).first()
