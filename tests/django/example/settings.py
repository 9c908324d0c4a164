"""An ordinary Django site. What a test varies comes from the environment:

PG*                  where the database is: libpq reads these variables by itself
ATOMIC_REQUESTS=1    one transaction a request
USER_MODEL           a custom user: `people.Person` has a uuid key, `members.Member` a text, `customers.Customer` a bigint,
                     and `sealed.Sealed` a hash of its own in its sessions
SECRET_KEY           another one than usual, and
SECRET_KEY_FALLBACK  the one before it
NOT_LINKING=1        nothing in the site knows of session-reaper
SLOW_HASHER=1        hash passwords slowly, as a live site does
CACHE                the default cache, as JSON: sessions are then cached beside their table, and with
CACHE_GATE           not before there is a file of this name
APPS                 more apps, with commas, such as session_reaper, the package in django/, which replaces `linking`
ENGINE               another kind of database
ENGINE_OF_SESSIONS, SESSION_MIDDLEWARE  another package's sessions
SITE_LANGUAGE        another one than English
DRIVER=psycopg2      the older driver, where Django would take psycopg 3
ELSEWHERE            another database, which is then the default one: users and sessions are in the second, `accounts`
CHANNEL_LAYER        a Redis through which Django Channels' sockets are told what they have to know
"""

import json
import os
import sys

SECRET_KEY = os.environ.get("SECRET_KEY", "a-test-site-has-no-secrets")
SECRET_KEY_FALLBACKS = [os.environ["SECRET_KEY_FALLBACK"]] if "SECRET_KEY_FALLBACK" in os.environ else []
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
WSGI_APPLICATION = "example.wsgi.application"
ROOT_URLCONF = "example.urls"
USE_TZ = True

AUTH_USER_MODEL = os.environ.get("USER_MODEL", "auth.User")
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "example",
]
APPS = [app for app in os.environ.get("APPS", "").split(",") if app]
# An admin theme has to come before the admin.
INSTALLED_APPS = [app for app in APPS if app == "unfold"] + INSTALLED_APPS + [app for app in APPS if app != "unfold"]
if os.environ.get("NOT_LINKING") != "1" and "session_reaper" not in APPS:
    INSTALLED_APPS.append("linking")
if AUTH_USER_MODEL != "auth.User":
    INSTALLED_APPS.append(AUTH_USER_MODEL.split(".")[0])

MIDDLEWARE = [
    os.environ.get("SESSION_MIDDLEWARE", "django.contrib.sessions.middleware.SessionMiddleware"),
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
LANGUAGE_CODE = os.environ.get("SITE_LANGUAGE", "en-us")
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/whoami/"

DATABASES = {
    "default": {
        "ENGINE": os.environ.get("ENGINE", "django.db.backends.postgresql"),
        "NAME": os.environ["PGDATABASE"],
        "ATOMIC_REQUESTS": os.environ.get("ATOMIC_REQUESTS") == "1",
    }
}
if "ELSEWHERE" in os.environ:
    DATABASES = {"default": DATABASES["default"] | {"NAME": os.environ["ELSEWHERE"]}, "accounts": DATABASES["default"]}
    DATABASE_ROUTERS = ["example.routers.Accounts"]
if os.environ.get("DRIVER") == "psycopg2":
    # Django takes it where there is no psycopg 3.
    sys.modules["psycopg"] = None
if "ENGINE_OF_SESSIONS" in os.environ:
    SESSION_ENGINE = os.environ["ENGINE_OF_SESSIONS"]
if "CACHE" in os.environ:
    CACHES = {"default": json.loads(os.environ["CACHE"])}
    SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
if "CACHE_GATE" in os.environ:
    SESSION_ENGINE = "example.late_cache"

if "CHANNEL_LAYER" in os.environ:
    INSTALLED_APPS.append("sockets")
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            # channels-redis waits for five seconds at a time, which is when redis-py would give up by itself.
            "CONFIG": {"hosts": [{"address": os.environ["CHANNEL_LAYER"], "socket_timeout": None}]},
        }
    }

if "allauth" in APPS:
    MIDDLEWARE += ["allauth.account.middleware.AccountMiddleware"]
    if "allauth.usersessions" in APPS:
        MIDDLEWARE += ["allauth.usersessions.middleware.UserSessionsMiddleware"]
    USERSESSIONS_TRACK_ACTIVITY = True

# As django-user-sessions asks for: its middleware does not extend Django's.
if "SESSION_MIDDLEWARE" in os.environ:
    SILENCED_SYSTEM_CHECKS = ["admin.E410"]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = ["example.auth.GatedBackend"]

# The quick one unless a test asks: they log in hundreds of times. Both are known, so that a hash can be upgraded.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", "example.auth.SlowHasher"]
if os.environ.get("SLOW_HASHER") == "1":
    PASSWORD_HASHERS.reverse()
