"""The same as consumers.py, for a site that has the package."""

from channels.generic.websocket import AsyncWebsocketConsumer
from session_reaper.channels import ClosesWithSession


class Account(ClosesWithSession, AsyncWebsocketConsumer):
    async def connect(self):
        if await self.join_session():
            await self.accept()

    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=f"{text_data}, {self.scope['user'].get_username()}")
