"""Users and their sessions in a database of their own. It knows nothing of session-reaper."""

ACCOUNTS = {"admin", "auth", "contenttypes", "customers", "members", "people", "sealed", "sessions"}


class Accounts:
    def db_for_read(self, model, **hints):
        return "accounts" if model._meta.app_label in ACCOUNTS else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return db == "accounts" if app_label in ACCOUNTS else None
