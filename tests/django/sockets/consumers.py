"""A socket that ends with its session. With Django Channels."""

from channels.exceptions import DenyConnection
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.sessions.models import Session
from django.utils.timezone import now


class Account(AsyncWebsocketConsumer):
    async def connect(self):
        user, self.session_key = self.scope["user"], self.scope["session"].session_key
        if not user.is_authenticated:
            raise DenyConnection
        self.groups = ["everybody", f"user.{user.pk}"]
        for group in self.groups:
            await self.channel_layer.group_add(group, self.channel_name)
        # Only now, so that nothing ends unheard in between.
        if not await self.session_exists():
            raise DenyConnection
        await self.accept()

    async def session_revoked(self, event):
        """One of the user's sessions has ended, or several: is this one still there?"""
        if not await self.session_exists():
            await self.close(code=4401)

    async def session_exists(self):
        # Asks the table: a cache may still answer for a session that has ended.
        return await Session.objects.filter(session_key=self.session_key, expire_date__gt=now()).aexists()

    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=f"{text_data}, {self.scope['user'].get_username()}")
