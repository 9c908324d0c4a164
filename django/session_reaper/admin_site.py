"""Sessions on the user pages of the admin, whatever admin a site has registered for its users.

A site registers its users with an admin class of its own, perhaps after this app was loaded, so there is nothing to
inherit from beforehand. When an admin site puts its URLs together, everything has been registered: the class of the
users' admin then gets `UserSessionsMixin` in front.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string, select_template
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from session_reaper import schema, stores
from session_reaper.ending import delete_session, delete_user_sessions
from session_reaper.showing import sessions_of

PERMISSION = "session_reaper.end_sessions"
FIELD = "session_reaper_open_sessions"


def install() -> None:
    original = admin.AdminSite.get_urls
    if hasattr(original, "wrapped_by_session_reaper"):
        return

    @functools.wraps(original)
    def get_urls(site: admin.AdminSite) -> list[Any]:
        extend(site)
        return original(site)

    get_urls.wrapped_by_session_reaper = True  # type: ignore[attr-defined]
    admin.AdminSite.get_urls = get_urls  # type: ignore[method-assign,assignment]


def extend(site: admin.AdminSite) -> None:
    """Puts the mixin in front of the class of the users' admin, if there is one."""
    registered = site._registry.get(get_user_model())
    if registered is None or isinstance(registered, UserSessionsMixin):
        return
    registered.session_reaper_base = registered.change_form_template  # type: ignore[attr-defined]
    own = type(registered)
    registered.__class__ = type(own.__name__, (UserSessionsMixin, own), {"__module__": own.__module__})


class UserSessionsMixin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The open sessions of a user, and "Log out everywhere" as a button and as an action."""

    change_form_template = "session_reaper/admin/user_change_form.html"
    session_reaper_base: Any = None

    # What is shown on the user's page.

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not may_see(request):
            return fieldsets
        return [*fieldsets, (gettext_lazy("Sessions"), {"fields": (FIELD,)})]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without what has a fieldset of its own: an admin that names no fields shows all that can only be read."""
        return [field for field in super().get_fields(request, obj) if field != FIELD]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return [*fields, FIELD] if obj is not None and may_see(request) else fields

    @admin.display(description=gettext_lazy("Open sessions"))
    def session_reaper_open_sessions(self, obj: models.Model) -> SafeString:
        return render_to_string("session_reaper/admin/open_sessions.html", sessions_of(obj))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        names = [
            f"admin/{self.opts.app_label}/{self.opts.model_name}/change_form.html",
            f"admin/{self.opts.app_label}/change_form.html",
            "admin/change_form.html",
        ]
        context["session_reaper_base"] = select_template(
            [self.session_reaper_base] if self.session_reaper_base else names
        ).template
        obj = kwargs.get("obj") or (args[3] if len(args) > 3 else None)
        if obj is not None and request.user.has_perm(PERMISSION):
            context["session_reaper_url"] = self._url("sessions", obj.pk)
        return super().render_change_form(request, context, *args, **kwargs)

    # The page behind the button.

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.session_reaper_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_sessions"
        return [path("<path:object_id>/sessions/", view, name=name), *super().get_urls()]

    def session_reaper_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user = self.get_object(request, unquote(object_id))
        if user is None:
            raise Http404
        if not self.has_view_permission(request, user) or not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        if request.method == "POST":
            self._end(request, user, request.POST.get("handle"))
            return HttpResponseRedirect(self._url("change", user.pk))
        return self._page(request, [user], sessions_of(user, current=request.session))

    def _end(self, request: HttpRequest, user: Any, handle: str | None) -> None:
        """One session, or all of them but that of the browser that asks."""
        reason = request.POST.get("reason", "").strip()
        try:
            if handle:
                done = delete_session(handle, user=user, reason=reason)
                said = _("The session has been ended.") if done else _("There is no such session any more.")
            else:
                is_own = user.pk == request.user.pk
                done = delete_user_sessions(user, keep=request.session if is_own else None, reason=reason)
                # Not with the name first: the admin begins a message with a capital letter, and a name is what it is.
                said = _("Logged out everywhere: %(user)s.") % {"user": user}
                if is_own:
                    said = _("All other sessions have been ended.")
        except schema.Unavailable as unavailable:
            messages.error(request, str(unavailable))
            return
        messages.success(request, said)
        if done:
            self.log_change(request, user, f"{said} {reason}".strip())

    def _url(self, view: str, key: Any) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"
        return reverse(name, args=[quote(key)], current_app=self.admin_site.name)

    # The action.

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> Any:
        """On the list alone: a user's page has the button. Django has locations since 6.1, and passes them then."""
        own = super().get_actions
        is_list = action_location is None or action_location.name == "CHANGE_LIST"
        takes_location = "action_location" in inspect.signature(own).parameters
        if action_location is not None and takes_location:
            actions = own(request, action_location=action_location)  # type: ignore[call-arg]
        else:
            actions = own(request) if is_list else {}
        if is_list and "_popup" not in request.GET and request.user.has_perm(PERMISSION):
            actions["log_out_everywhere"] = self.get_action("log_out_everywhere")
        return actions

    @admin.action(description=gettext_lazy("Log out everywhere"))
    def log_out_everywhere(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        users = list(queryset)
        if "confirmed" not in request.POST:
            return self._page(request, users, {})
        for user in users:
            self._end(request, user, None)
        return None

    def _page(self, request: HttpRequest, users: list[Any], sessions: dict[str, Any]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            **sessions,
            "title": _("Log out everywhere"),
            "question": _question(request, users),
            "users": users,
            "opts": self.opts,
            "media": self.media,
            "is_action": not sessions,
            "select_across": request.POST.get("select_across", "0"),
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "session_reaper/admin/log_out.html", context)


def _question(request: HttpRequest, users: list[Any]) -> str:
    if len(users) != 1:
        return _("End all sessions of these users?")
    if users[0].pk == request.user.pk:
        return _("End all your other sessions? This browser stays logged in.")
    return _("End all sessions of %(user)s?") % {"user": users[0]}


def may_see(request: HttpRequest) -> bool:
    return request.user.has_perm("session_reaper.view_opensession") or request.user.has_perm(PERMISSION)


def is_usable() -> bool:
    """Whether the record of revocations can be read."""
    return schema.state(stores.alias()) in (schema.State.READY, schema.State.PAUSED)
