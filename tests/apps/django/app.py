"""Django with a store of sessions from elsewhere, as its documentation sets it up. STORE names its backend."""

import os
import pathlib
import secrets
import time
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.conf import settings

store = os.environ["STORE"]
package = store.split(".")[0]
settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ALLOWED_HOSTS=["127.0.0.1"],
    # libpq's variables say where.
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"]}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", package],
    MIDDLEWARE=[f"{package}.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"],
    SESSION_ENGINE=store,
    SESSION_COOKIE_AGE=3600,
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["REDIS_URL"]}
        if "REDIS_URL" in os.environ
        else {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
    },
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    ROOT_URLCONF=__name__,
)
django.setup()

from django.contrib.auth import authenticate, login, update_session_auth_hash
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse
from django.urls import path


def refused():
    return HttpResponse("who are you?", status=401)


def sign_up(request):
    User.objects.create_user(request.POST["username"], password=request.POST["password"])
    return HttpResponse("welcome")


def log_in(request):
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    if user is None:
        return refused()
    login(request, user)
    return HttpResponse(user.username)


def account(request):
    return HttpResponse(request.user.username) if request.user.is_authenticated else refused()


def change_password(request):
    """As PasswordChangeView does: this session gets a new key."""
    request.user.set_password(request.POST["password"])
    request.user.save()
    update_session_auth_hash(request, request.user)
    return HttpResponse("changed")


def word(request):
    if request.method == "POST":
        request.session["word"] = request.POST["word"]
        return HttpResponse("noted")
    return HttpResponse(request.session.get("word", ""))


def slow_word(request):
    """A request that is in flight until the gate opens, and writes to its session then."""
    request.session.get("word")
    print("holding", flush=True)
    while not pathlib.Path(os.environ["GATE"]).exists():
        time.sleep(0.02)
    return word(request)


urlpatterns = [
    path("sign-up", sign_up),
    path("login", log_in),
    path("account", account),
    path("password", change_password),
    path("word", word),
    path("slow-word", slow_word),
]


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    connection.close()
    server = make_server("127.0.0.1", 0, get_wsgi_application(), Threaded)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
