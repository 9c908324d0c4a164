from typing import Any

import django.db.models.deletion
from django.db import migrations, models, router

from session_reaper.stores import session_model_label

# Without a table of sessions there is nothing to note a device of: Django names the missing app.
SESSION_MODEL = session_model_label() or "sessions.Session"


def reference_sessions(apps: Any, schema_editor: Any) -> None:
    """A foreign key of Django's own keeps the session from being deleted; this one goes with it."""
    connection = schema_editor.connection
    model = apps.get_model(SESSION_MODEL)
    # A site may keep its sessions in another of its databases.
    if connection.vendor != "postgresql" or not router.allow_migrate_model(connection.alias, model):
        return
    quote = schema_editor.quote_name
    device = apps.get_model("session_reaper_devices", "Device")._meta.db_table
    sessions = model._meta
    schema_editor.execute(
        f"alter table {quote(device)} add constraint session_reaper_device_of_session"
        f" foreign key (session_key) references {quote(sessions.db_table)} ({quote(sessions.pk.column)})"
        f" on delete cascade on update cascade"
    )


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("session_reaper", "0001_initial"),
        (SESSION_MODEL.split(".")[0], "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Device",
            fields=[
                (
                    "session",
                    models.OneToOneField(
                        db_column="session_key",
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=SESSION_MODEL,
                    ),
                ),
                ("browser", models.CharField(blank=True, max_length=40, verbose_name="browser")),
                ("system", models.CharField(blank=True, max_length=40, verbose_name="system")),
                ("network", models.CharField(blank=True, max_length=49, verbose_name="network")),
            ],
            options={
                "verbose_name": "device of a session",
                "verbose_name_plural": "devices of sessions",
                "default_permissions": (),
            },
        ),
        migrations.RunPython(reference_sessions, migrations.RunPython.noop, elidable=False),
    ]
