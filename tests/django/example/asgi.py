"""The site with its sockets."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.apps import apps
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example.settings")
# Before anything is imported that has models.
http = get_asgi_application()

if apps.is_installed("session_reaper"):
    from sockets.of_package import Account  # noqa: E402
else:
    from sockets.consumers import Account  # noqa: E402

sockets = AuthMiddlewareStack(URLRouter([path("account/", Account.as_asgi())]))
application = ProtocolTypeRouter({"http": http, "websocket": AllowedHostsOriginValidator(sockets)})
