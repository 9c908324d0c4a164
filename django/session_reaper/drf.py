"""Endpoints for Django REST framework: `path("api/sessions/", include("session_reaper.drf"))`.

GET     api/sessions/            the open sessions of who asks
DELETE  api/sessions/HANDLE/     ends one of them
DELETE  api/sessions/            ends all others
"""

from __future__ import annotations

import logging
from typing import Any

from django.urls import path
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, NotFound
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from session_reaper import schema
from session_reaper.ending import delete_session, delete_user_sessions
from session_reaper.showing import sessions_of

app_name = "session_reaper_api"

logger = logging.getLogger(__name__)


class NotThere(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "session_reaper_unavailable"
    # Why is for who runs the site, and stands in the log.
    default_detail = _("That is not possible now.")


class SessionSerializer(serializers.Serializer):
    handle = serializers.CharField()
    opened_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    is_current = serializers.BooleanField()
    device = serializers.SerializerMethodField()

    def get_device(self, session: Any) -> str | None:
        return str(session.device) if session.device else None


class Base(APIView):
    permission_classes = [IsAuthenticated]

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, schema.Unavailable):
            logger.warning("Sessions could not be ended: %s", exc)
            exc = NotThere()
        return super().handle_exception(exc)


class Sessions(Base):
    def get(self, request: Request) -> Response:
        # A request with a token has no session of its own.
        shown = sessions_of(request.user, current=getattr(request, "session", None))
        if shown["unavailable"]:
            logger.warning("Sessions could not be listed: %s", shown["unavailable"])
            raise NotThere
        return Response(SessionSerializer(shown["open_sessions"], many=True).data)

    def delete(self, request: Request) -> Response:
        keep = getattr(request, "session", None)
        delete_user_sessions(request.user, keep=keep, reason="others ended by their user")
        return Response(status=status.HTTP_204_NO_CONTENT)


class Session(Base):
    def delete(self, request: Request, handle: str) -> Response:
        if delete_session(handle, user=request.user, reason="ended by its user") is None:
            raise NotFound
        return Response(status=status.HTTP_204_NO_CONTENT)


urlpatterns = [
    path("", Sessions.as_view(), name="sessions"),
    path("<str:handle>/", Session.as_view(), name="session"),
]
