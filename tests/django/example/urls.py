from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.urls import path

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
]
