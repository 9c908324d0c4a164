from django.contrib.auth.views import PasswordChangeView
from django.http import JsonResponse

from example.auth import wait_at_the_gate


def whoami(request):
    """Whom Django takes the browser for, and what it remembers in the session."""
    user = request.user.get_username() if request.user.is_authenticated else None
    return JsonResponse({"user": user, "word": request.session.get("word")})


def remember(request, word):
    """Gives a browser a session that belongs to nobody."""
    request.session["word"] = word
    return whoami(request)


class PasswordChangeThenError(PasswordChangeView):
    """A request that fails after it has changed the password."""

    template_name = "form.html"

    def form_valid(self, form):
        super().form_valid(form)
        raise RuntimeError("this view always fails")


class PasswordChangeThenWait(PasswordChangeView):
    """A request that goes on after it has changed the password. Until it ends, its new session has the old hash."""

    template_name = "form.html"
    success_url = "/whoami/"

    def form_valid(self, form):
        answer = super().form_valid(form)
        wait_at_the_gate()
        return answer
