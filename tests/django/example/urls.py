from django.apps import apps
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.contrib.staticfiles.views import serve
from django.urls import include, path

from example import views

urlpatterns = [
    path("login/", LoginView.as_view(template_name="form.html")),
    path("logout/", LogoutView.as_view(next_page="/whoami/")),
    path("password/", PasswordChangeView.as_view(template_name="form.html", success_url="/whoami/")),
    path("password-then-error/", views.PasswordChangeThenError.as_view()),
    path("password-then-wait/", views.PasswordChangeThenWait.as_view()),
    path("remember/<word>/", views.remember),
    path("whoami/", views.whoami),
    path("admin/", admin.site.urls),
    # Good enough for pages that a test looks at.
    path("static/<path:path>", serve, {"insecure": True}),
]
if apps.is_installed("session_reaper"):
    urlpatterns.append(path("account/sessions/", include("session_reaper.urls")))
if apps.is_installed("rest_framework"):
    urlpatterns.append(path("api/sessions/", include("session_reaper.drf")))
