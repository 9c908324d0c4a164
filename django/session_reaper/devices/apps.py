"""Opt-in: being in INSTALLED_APPS is what switches it on."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.utils.translation import gettext_lazy as _


class DevicesConfig(AppConfig):
    name = "session_reaper.devices"
    label = "session_reaper_devices"
    verbose_name = _("Devices of sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from session_reaper.devices import recording

        user_logged_in.connect(recording.record_login, dispatch_uid="session_reaper.devices")
