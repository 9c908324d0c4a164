"""Noting the device of a login."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connections, models
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from session_reaper import schema, stores
from session_reaper.devices.addresses import truncated
from session_reaper.devices.families import browser_of, system_of
from session_reaper.devices.models import Device
from session_reaper.keys import KEY, NAMES, holding, table_and_column

logger = logging.getLogger(__name__)

# A foreign key that fails would put the session's key into the server's log. So the row comes from that of the session,
# which is held meanwhile, or there is none.
NOTE = """
insert into {devices} (session_key, browser, system, network)
select s.{key}, %s, %s, %s
from {sessions} s where s.{key} = {wanted} for key share
on conflict (session_key) do update
set browser = excluded.browser, system = excluded.system, network = excluded.network
"""


def record_login(sender: Any, request: HttpRequest, user: models.Model, **kwargs: Any) -> None:
    """A login never fails for it."""
    session = getattr(request, "session", None)
    if session is None or stores.store() is None:
        return
    try:
        if session.session_key is None:
            session.save()
        record(session.session_key, request)
    except DatabaseError as error:
        logger.error("The device of a session was not recorded: %s", schema.first_line(error))


@sensitive_variables(*NAMES)
def record(session_key: str, request: HttpRequest) -> None:
    using = stores.alias()
    # Elsewhere nothing would delete the note with its session.
    if connections[using].vendor != "postgresql":
        return
    user_agent = request.META.get("HTTP_USER_AGENT", "")
    with holding(using, session_key) as cursor:
        cursor.execute(_statement(using), [browser_of(user_agent), system_of(user_agent), _network(request)])


def _statement(using: str) -> str:
    sessions, key = table_and_column(Device.session.field.related_model, using)
    return NOTE.format(devices=Device._meta.db_table, sessions=sessions, key=key, wanted=KEY)


def _network(request: HttpRequest) -> str:
    if not getattr(settings, "SESSION_REAPER_RECORD_NETWORK", False):
        return ""
    # Behind a proxy it is for the site to say where the client's address is, as for Django itself.
    return truncated(request.META.get("REMOTE_ADDR", "")) or ""
