"""Tells Django's migrations of tables and views that are session-reaper's own. Creates nothing.

The keys that lead to users and sessions are left out, as `makemigrations` does for models that are not managed: Django
would alter these columns together with the keys that they refer to, and views cannot be altered.
"""

from django.db import migrations, models

from session_reaper.stores import session_model_label


def user_session() -> migrations.CreateModel:
    return migrations.CreateModel(
        name="UserSession",
        fields=[("linked_at", models.DateTimeField(verbose_name="linked at"))],
        options={
            "verbose_name": "session of a user",
            "verbose_name_plural": "sessions of users",
            "db_table": 'session_reaper"."user_session',
            "abstract": False,
            "managed": False,
            "default_permissions": (),
        },
    )


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(null=True, verbose_name="at")),
                ("requested_by", models.CharField(max_length=63, verbose_name="database role")),
                ("application_name", models.TextField(verbose_name="application")),
            ],
            options={
                "verbose_name": "change",
                "verbose_name_plural": "changes",
                "db_table": 'session_reaper"."change_trail',
                "abstract": False,
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="OpenSession",
            fields=[
                (
                    "handle",
                    models.CharField(
                        db_column="digest", max_length=12, primary_key=True, serialize=False, verbose_name="session"
                    ),
                ),
                ("opened_at", models.DateTimeField(null=True, verbose_name="since")),
                ("expires_at", models.DateTimeField(null=True, verbose_name="until")),
            ],
            options={
                "verbose_name": "open session",
                "verbose_name_plural": "open sessions",
                "db_table": 'session_reaper"."live_session',
                "permissions": [("end_sessions", "Can log users out everywhere")],
                "abstract": False,
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Revocation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("scope", models.CharField(max_length=7, verbose_name="scope")),
                ("reason", models.TextField(verbose_name="reason")),
                ("state", models.CharField(max_length=9, verbose_name="state")),
                ("sessions_ended", models.BigIntegerField(verbose_name="sessions ended")),
                ("revoked_at", models.DateTimeField(null=True, verbose_name="ended at")),
                ("settled_at", models.DateTimeField(null=True, verbose_name="settled at")),
            ],
            options={
                "verbose_name": "revocation",
                "verbose_name_plural": "revocations",
                "db_table": 'session_reaper"."revocation_trail',
                "abstract": False,
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        *([user_session()] if session_model_label() else []),
    ]
