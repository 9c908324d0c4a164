""" "Your sessions": where a user is logged in, ending one of them, ending all others."""

from __future__ import annotations

import logging
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.generic import TemplateView, View

from session_reaper import schema, stores
from session_reaper.ending import delete_session, delete_user_sessions
from session_reaper.handles import handle_of
from session_reaper.showing import sessions_of

logger = logging.getLogger(__name__)


def user_of(request: HttpRequest) -> AbstractBaseUser:
    """Of a view that lets nobody in who is not logged in."""
    return cast("AbstractBaseUser", request.user)


@method_decorator(never_cache, name="dispatch")
class OwnSessions(LoginRequiredMixin, TemplateView):
    """The template is `session_reaper/sessions.html`, in `session_reaper/base.html`: a site overrides either."""

    template_name = "session_reaper/sessions.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | sessions_of(user_of(self.request), current=self.request.session)


@method_decorator([never_cache, csrf_protect], name="dispatch")
class Ending(LoginRequiredMixin, View):
    """What a form of the page asks for. Anything but a POST goes back to the page."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return redirect("session_reaper:sessions")

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            said = self.end(request)
        except schema.Unavailable as unavailable:
            # What its text says is for who runs the site.
            logger.warning("No session was ended: %s", unavailable)
            self._say(messages.ERROR, _("Nothing has been ended: that is not possible now."))
        else:
            self._say(messages.SUCCESS, said)
        return redirect("session_reaper:sessions")

    def _say(self, level: int, text: str) -> None:
        # A site may do without django.contrib.messages.
        messages.add_message(self.request, level, text, fail_silently=True)

    def end(self, request: HttpRequest) -> str:
        raise NotImplementedError


class EndOne(Ending):
    def end(self, request: HttpRequest) -> str:
        handle = request.POST.get("handle", "")
        if handle == handle_of(stores.key_of(request.session)):
            logout(request)
            return _("You have been logged out.")
        done = delete_session(handle, user=user_of(request), reason="ended by its user")
        return _("The session has been ended.") if done else _("There is no such session any more.")


class EndOthers(Ending):
    def end(self, request: HttpRequest) -> str:
        delete_user_sessions(user_of(request), keep=request.session, reason="others ended by their user")
        return _("All other sessions have been ended.")
