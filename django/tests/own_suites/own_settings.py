"""Settings for Django's own tests: what its documentation asks for, on PostgreSQL."""

import os

DATABASES = {
    alias: {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "HOST": os.environ["PGHOST"],
        "USER": os.environ["PGUSER"],
    }
    for alias, name in {"default": "django", "other": "django2"}.items()
}
SECRET_KEY = "django_tests_secret_key"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False

if os.environ["OWN_SUITES"] == "beside":
    TEST_RUNNER = "own_runner.Runner"
