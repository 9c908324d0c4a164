"""Has sockets look whether their session is still there. Runs once, beside the web processes."""

import json
import time

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.core.management.base import BaseCommand
from django.db import OperationalError, connection
from psycopg import OperationalError as ConnectionLost


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        while True:
            try:
                self.listen()
            except (OperationalError, ConnectionLost) as error:
                self.stderr.write(f"Not listening: {error}")
                connection.close()
                time.sleep(1)

    def listen(self):
        # Not through a pooler in transaction mode, which would deliver to somebody else.
        with connection.cursor() as cursor:
            cursor.execute("listen session_revoked")
            # Nobody listened until now.
            tell("everybody")
            self.stdout.write("Listening.")
            while True:
                for notification in connection.connection.notifies(timeout=30):
                    told = json.loads(notification.payload)
                    # Everybody's sessions, or one that nobody had linked to a user.
                    tell("everybody" if told["user"] is None else f"user.{told['user']}")
                # A connection that is dead says nothing, either.
                cursor.execute("select 1")


def tell(group):
    async_to_sync(get_channel_layer().group_send)(group, {"type": "session.revoked"})
