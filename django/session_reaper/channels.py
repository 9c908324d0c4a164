"""Django Channels: a socket closes when its session has ended.

    class Chat(ClosesWithSession, AsyncWebsocketConsumer):
        async def connect(self):
            if await self.join_session():
                await self.accept()

and `manage.py session_reaper_listen` beside the web's processes, which tells the sockets through the channel layer.
"""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from channels.exceptions import DenyConnection
from channels.layers import get_channel_layer
from django.utils.timezone import now

from session_reaper import stores
from session_reaper.handles import digest_of

EVERYBODY = "session_reaper.everybody"
CLOSED = 4401


def group_of(user_id: Any) -> str:
    """Channel layers allow few characters in a name; a text key may hold any."""
    return f"session_reaper.user.{(digest_of(str(user_id)) or '')[:32]}"


class ClosesWithSession:
    """For an asynchronous websocket consumer behind `AuthMiddlewareStack`."""

    scope: Any
    channel_layer: Any
    channel_name: str
    groups: Any

    async def join_session(self) -> bool:
        """Joins the groups that are told of ended sessions. Refuses who is not logged in, or not any more."""
        user = self.scope.get("user")
        if user is None or not user.is_authenticated:
            raise DenyConnection
        joined = [EVERYBODY, group_of(user.pk)]
        # Channels leaves the groups that stand here when the socket closes.
        self.groups = [*(self.groups or []), *joined]
        for group in joined:
            await self.channel_layer.group_add(group, self.channel_name)
        # Only now, so that nothing ends unheard in between.
        if not await self.session_exists():
            raise DenyConnection
        return True

    async def session_exists(self) -> bool:
        """Asks the table: a cache may still answer for a session that has ended."""
        sessions = stores.session_model()
        key = self.scope["session"].session_key
        if sessions is None:
            return True
        rows = sessions._default_manager.filter(pk=key, expire_date__gt=now())
        return await rows.aexists()

    async def session_reaper_revoked(self, event: dict[str, Any]) -> None:
        """One of the user's sessions has ended, or several: is this one still there?"""
        if not await self.session_exists():
            await self.close(code=CLOSED)  # type: ignore[attr-defined]


def tell_sockets(sender: Any, user_id: str | None, **kwargs: Any) -> None:
    """Receives `session_revoked` in the process that listens."""
    layer = get_channel_layer()
    if layer is not None:
        group = EVERYBODY if user_id is None else group_of(user_id)
        async_to_sync(layer.group_send)(group, {"type": "session_reaper.revoked"})
