"""One row a session, which goes with it, whoever deletes it."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from session_reaper.handles import handle_of
from session_reaper.models import SESSION_MODEL, UserSession


class Device(models.Model):
    # The database deletes it with the session: the daemon knows nothing of this table. See the migration.
    session = models.OneToOneField(
        SESSION_MODEL or "sessions.Session",
        models.DO_NOTHING,
        primary_key=True,
        db_column="session_key",
        db_constraint=False,
        related_name="+",
    )
    browser = models.CharField(gettext_lazy("browser"), max_length=40, blank=True)
    system = models.CharField(gettext_lazy("system"), max_length=40, blank=True)
    # Empty unless SESSION_REAPER_RECORD_NETWORK is on.
    network = models.CharField(gettext_lazy("network"), max_length=49, blank=True)

    class Meta:
        default_permissions = ()
        verbose_name = gettext_lazy("device of a session")
        verbose_name_plural = gettext_lazy("devices of sessions")

    def __str__(self) -> str:
        names = {"browser": self.browser or _("unknown browser"), "system": self.system or _("unknown system")}
        text = _("%(browser)s on %(system)s") % names
        return f"{text} ({self.network})" if self.network else text

    def __repr__(self) -> str:
        return f"<Device of session {handle_of(str(self.session_id))}>"

    @classmethod
    def of(cls, user: models.Model, using: str) -> Any:
        links = UserSession.objects.using(using).filter(user_id=user.pk)
        return cls.objects.using(using).filter(pk__in=links.values("session_id"))
