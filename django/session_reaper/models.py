"""What session-reaper knows, for reading. Its tables and views are its own: Django creates none of them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from session_reaper import stores

SESSION_MODEL = stores.session_model_label()


class ReadOnly(models.Model):
    """A view of session-reaper's schema."""

    class Meta:
        abstract = True
        managed = False
        default_permissions = ("view",)


class OpenSession(ReadOnly):
    """A session that has a user and has not expired, without its key."""

    handle = models.CharField(_("session"), max_length=12, primary_key=True, db_column="digest")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.DO_NOTHING, verbose_name=_("user"), related_name="+")
    # None: it is older than session-reaper's installation.
    opened_at = models.DateTimeField(_("since"), null=True)
    # None: never.
    expires_at = models.DateTimeField(_("until"), null=True)

    class Meta(ReadOnly.Meta):
        abstract = False
        db_table = 'session_reaper"."live_session'
        verbose_name = _("open session")
        verbose_name_plural = _("open sessions")
        permissions = [("end_sessions", _("Can log users out everywhere"))]

    def __str__(self) -> str:
        return self.handle


class Change(ReadOnly):
    """A transaction that asked for sessions to end."""

    at = models.DateTimeField(_("at"), null=True)
    requested_by = models.CharField(_("database role"), max_length=63)
    application_name = models.TextField(_("application"))

    class Meta(ReadOnly.Meta):
        abstract = False
        db_table = 'session_reaper"."change_trail'
        verbose_name = _("change")
        verbose_name_plural = _("changes")

    def __str__(self) -> str:
        return str(self.pk)


class Revocation(ReadOnly):
    """Whose sessions were to end, why, and how far that is."""

    class Scope(models.TextChoices):
        USER = "user", _("all sessions of a user")
        SESSION = "session", _("single sessions")
        ALL = "all", _("everybody's sessions")

    class State(models.TextChoices):
        REQUESTED = "requested", _("requested")
        REVOKED = "revoked", _("ended")
        SETTLED = "settled", _("ended for good")

    change = models.ForeignKey(Change, models.DO_NOTHING, verbose_name=_("change"), related_name="revocations")
    scope = models.CharField(_("scope"), max_length=7, choices=Scope.choices)
    # The record outlives the user.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        verbose_name=_("user"),
        related_name="+",
        null=True,
        db_constraint=False,
    )
    reason = models.TextField(_("reason"))
    state = models.CharField(_("state"), max_length=9, choices=State.choices)
    sessions_ended = models.BigIntegerField(_("sessions ended"))
    revoked_at = models.DateTimeField(_("ended at"), null=True)
    settled_at = models.DateTimeField(_("settled at"), null=True)

    class Meta(ReadOnly.Meta):
        abstract = False
        db_table = 'session_reaper"."revocation_trail'
        verbose_name = _("revocation")
        verbose_name_plural = _("revocations")

    def __str__(self) -> str:
        return str(self.pk)


if SESSION_MODEL is not None:

    class UserSession(ReadOnly):
        """Which session is whose: `user.open_sessions.filter(session__expire_date__gt=now())`.

        It leads to the session and so to its key, which is why it stands in no admin and says nothing of itself.
        """

        session = models.OneToOneField(
            SESSION_MODEL,  # type: ignore[arg-type]
            models.DO_NOTHING,
            verbose_name=_("session"),
            related_name="user_session",
            primary_key=True,
            db_column="session_key",
        )
        user = models.ForeignKey(
            settings.AUTH_USER_MODEL, models.DO_NOTHING, verbose_name=_("user"), related_name="open_sessions"
        )
        linked_at = models.DateTimeField(_("linked at"))

        class Meta(ReadOnly.Meta):
            abstract = False
            db_table = 'session_reaper"."user_session'
            default_permissions = ()  # type: ignore[assignment]
            verbose_name = _("session of a user")
            verbose_name_plural = _("sessions of users")

        def __str__(self) -> str:
            from session_reaper.handles import handle_of

            return str(handle_of(str(self.session_id)))
