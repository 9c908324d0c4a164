"""What being in INSTALLED_APPS does."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_migrate, post_save, pre_migrate
from django.utils.translation import gettext_lazy as _


class SessionReaperConfig(AppConfig):
    name = "session_reaper"
    verbose_name = _("Revoked sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from session_reaper import checks, linking, migrating, password, stores

        checks.register()
        user_logged_in.connect(linking.link_login, dispatch_uid="session_reaper.link_login")
        if sessions := stores.session_model():
            post_save.connect(linking.link_new_key, sender=sessions, dispatch_uid="session_reaper.link_new_key")
        pre_migrate.connect(migrating.pause, sender=self, dispatch_uid="session_reaper.pause")
        post_migrate.connect(migrating.resume, sender=self, dispatch_uid="session_reaper.resume")
        if getattr(settings, "CHANNEL_LAYERS", None):
            from session_reaper.channels import tell_sockets
            from session_reaper.signals import session_revoked

            session_revoked.connect(tell_sockets, dispatch_uid="session_reaper.tell_sockets")
        password.install()
        if apps.is_installed("django.contrib.admin"):
            from session_reaper import admin_site

            admin_site.install()
