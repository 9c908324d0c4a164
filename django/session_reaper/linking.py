"""Telling the database at once which session belongs to whom.

The daemon finds that out by itself, a second later. Told by the login, the link is there when the login commits, so
that a changing transaction can end the session even while no daemon runs.
"""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth import SESSION_KEY, get_user_model
from django.core.exceptions import ValidationError
from django.db import DatabaseError, models, transaction
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from session_reaper import schema, stores
from session_reaper.keys import KEY, NAMES, holding

logger = logging.getLogger(__name__)

# A link with this version has seen no change at all: what ended the user's sessions ends this one, too.
SAW_NOTHING = "nothing"


def link_login(sender: Any, request: HttpRequest, user: models.Model, **kwargs: Any) -> None:
    """Links the session that a user has just logged in to. A login never fails for it."""
    session = getattr(request, "session", None)
    if session is None or stores.store() is None or not isinstance(user, get_user_model()):
        return
    using = stores.alias()
    try:
        if schema.state(using) is not schema.State.READY:
            return
        if session.session_key is None:
            session.save()
        # Within a transaction this is a savepoint, so that a failure undoes the link and not the login.
        with transaction.atomic(using=using):
            link(session.session_key, user.pk, version=version_of_login(user, using), using=using)
    except DatabaseError as error:
        complain(error)


def link_new_key(sender: Any, instance: Any, created: bool, using: str, **kwargs: Any) -> None:
    """Links a session that goes on under a new key: after a password change, nobody logs in to it."""
    if not created:
        return
    try:
        if schema.state(using) is schema.State.READY and (user_id := instance.get_decoded().get(SESSION_KEY)):
            link(instance.session_key, user_key(user_id), using=using)
    # A session may name a user by what is no key of theirs, such as one from before the model was replaced.
    except (DatabaseError, ValidationError) as error:
        complain(error)


def user_key(text: str) -> Any:
    """A user's key, as it stands in sessions, as a value of the key's type."""
    return get_user_model()._meta.pk.to_python(text)


def version_of_login(user: Any, using: str) -> str | None:
    """The credential version under which this login verified the password.

    One statement reads the hash and what it can see. If the hash is the one that the login verified, the login is as
    good as one that verifies it now; if not, the password has changed in between, and the session is dead on arrival.
    None for a user whose hash was never loaded, and for a model without passwords.
    """
    loaded = {field.attname for field in user._meta.concrete_fields} - user.get_deferred_fields()
    if "password" not in loaded:
        return None
    function = RawSQL("session_reaper.credential_version(%s)", [user.pk])
    # The class of the user himself, should this be Django's lazy stand-in for him.
    rows = user.__class__._base_manager.using(using).filter(pk=user.pk).annotate(session_reaper_version=function)
    now, version = rows.values_list("password", "session_reaper_version").first() or (None, None)
    return str(version) if now == user.password else SAW_NOTHING


@sensitive_variables(*NAMES)
def link(session_key: str, user_id: Any, *, version: str | None = None, using: str) -> bool:
    """Says whose session this is; false if the session or the user is gone."""
    with holding(using, session_key) as cursor:
        cursor.execute(f"select session_reaper.link_session({KEY}, %s, %s)", [user_id, version])
        return bool(cursor.fetchone()[0])


def complain(error: Exception) -> None:
    schema.forget()
    logger.error("A session was not linked to its user: %s", schema.first_line(error))
