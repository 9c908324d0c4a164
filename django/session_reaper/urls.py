"""`path("account/sessions/", include("session_reaper.urls"))`."""

from __future__ import annotations

from django.urls import path

from session_reaper import views

app_name = "session_reaper"

urlpatterns = [
    path("", views.OwnSessions.as_view(), name="sessions"),
    path("end-others/", views.EndOthers.as_view(), name="end_others"),
    # Which one stands in the form, so that what is logged of the request says nothing of it.
    path("end/", views.EndOne.as_view(), name="end"),
]
