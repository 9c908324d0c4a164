"""Tells session-reaper which session belongs to which user. Goes into the models.py of any installed app."""

import logging

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection, models, transaction
from django.db.models.signals import post_save
from django.dispatch import receiver


def link(session_key, user_id):
    try:
        # Within a transaction this is a savepoint, so that a failure undoes the link and not the login.
        with transaction.atomic(), connection.cursor() as cursor:
            # The server logs a statement that fails. The one that can fail does not contain the key.
            cursor.execute("select set_config('session_reaper.key', %s, true)", [session_key])
            cursor.execute("select session_reaper.link_session(current_setting('session_reaper.key'), %s)", [user_id])
    except DatabaseError as error:
        logging.getLogger(__name__).error("A session was not linked to its user: %s", str(error).splitlines()[0])


@receiver(user_logged_in)
def link_login(request, user, **kwargs):
    if request.session.session_key is None:
        request.session.save()
    link(request.session.session_key, user.pk)


@receiver(post_save, sender=Session)
def link_new_key(instance, created, **kwargs):
    # A password change gives the session that stays a new key, and nobody logs in.
    if created and (user_id := instance.get_decoded().get(SESSION_KEY)):
        link(instance.session_key, user_id)


class UserSession(models.Model):
    """For reading: user.open_sessions.filter(session__expire_date__gt=now())."""

    session = models.OneToOneField(Session, models.DO_NOTHING, primary_key=True, db_column="session_key")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.DO_NOTHING, related_name="open_sessions")
    linked_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = 'session_reaper"."user_session'
