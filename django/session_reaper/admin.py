"""The record of revocations, for reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from session_reaper import admin_site, schema, stores
from session_reaper.models import Revocation

if TYPE_CHECKING or not apps.is_installed("unfold"):
    from django.contrib.admin import ModelAdmin
else:
    from unfold.admin import ModelAdmin


@admin.register(Revocation)
class RevocationAdmin(ModelAdmin):  # type: ignore[type-arg]
    list_display = ["id", "at", "whose", "reason", "scope", "sessions_ended", "state"]
    list_filter = ["state", "scope", ("change__at", admin.DateFieldListFilter), "reason"]
    list_select_related = ["change", "user"]
    search_fields = ["reason"]
    ordering = ["-id"]
    show_full_result_count = False
    readonly_fields = ["whose", "at", "requested_by", "application"]
    fields = [
        "whose",
        "reason",
        "scope",
        "at",
        "requested_by",
        "application",
        "state",
        "sessions_ended",
        "revoked_at",
        "settled_at",
    ]

    @admin.display(description=_("user"), ordering="user_id")
    def whose(self, obj: Revocation) -> str:
        """The record outlives the user, and then has the key alone."""
        if obj.user_id is None:
            return "-"
        try:
            return str(obj.user or obj.user_id)
        except type(obj).user.field.related_model.DoesNotExist:  # type: ignore[attr-defined]
            return str(obj.user_id)

    @admin.display(description=_("at"), ordering="change__at")
    def at(self, obj: Revocation) -> Any:
        return obj.change.at

    @admin.display(description=_("database role"))
    def requested_by(self, obj: Revocation) -> str:
        return obj.change.requested_by

    @admin.display(description=_("application"))
    def application(self, obj: Revocation) -> str:
        return obj.change.application_name

    def get_queryset(self, request: HttpRequest) -> Any:
        # Where the sessions are, whatever the site's routers know of this app.
        rows = super().get_queryset(request).using(stores.alias())
        return rows if admin_site.is_usable() else rows.none()

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not admin_site.is_usable():
            messages.warning(request, str(schema.state(stores.alias()).value))
        return super().changelist_view(request, extra_context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
