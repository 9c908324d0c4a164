"""A client with cookies, which speaks to the site over HTTP as a browser does."""

import http.cookiejar
import json
import urllib.error
import urllib.parse
import urllib.request


class Browser:
    def __init__(self, site_url):
        self.site_url = site_url
        # What it calls itself, if that matters.
        self.user_agent = None
        self.cookies = http.cookiejar.CookieJar()
        # Every session key that it ever held: none of them may turn up in a log.
        self.keys_held = set()
        self._opener = urllib.request.build_opener(
            # The caller's proxy has no business between two ends of one machine.
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self.cookies),
            _StayHere(),
        )

    def _cookie(self, name):
        return next((cookie.value for cookie in self.cookies if cookie.name == name), None)

    @property
    def session_key(self):
        return self._cookie("sessionid")

    def request(self, path, fields=None):
        """Status and text of the answer to a GET, or to a POST of these fields."""
        data = None if fields is None else urllib.parse.urlencode(fields).encode()
        headers = {"User-Agent": self.user_agent} if self.user_agent else {}
        asked = urllib.request.Request(self.site_url + path, data, headers)
        try:
            with self._opener.open(asked, timeout=60) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode(errors="replace")
        finally:
            if self.session_key:
                self.keys_held.add(self.session_key)

    def submit(self, path, fields_to=None, **fields):
        """Opens a form and sends it, to where it says. Django answers with a redirect if all is well, and with the form
        if not."""
        status, page = self.request(path)
        assert status == 200, f"GET {path} gave {status}: {page[:500]}"
        return self.request(fields_to or path, fields | {"csrfmiddlewaretoken": self._cookie("csrftoken")})

    def whoami(self):
        """The user for whom Django takes this browser."""
        return self._page("/whoami/")["user"]

    def remembers(self):
        return self._page("/whoami/")["word"]

    def _page(self, path):
        status, page = self.request(path)
        assert status == 200, f"GET {path} gave {status}: {page[:500]}"
        return json.loads(page)

    def log_in(self, username, password, path="/login/"):
        """Sends the login form and returns whether Django took it, which it says with a redirect."""
        return self.submit(path, username=username, password=password)[0] == 302

    def log_out(self):
        """Django logs out on a POST alone, and any form's page has the token for it."""
        status, _ = self.request("/password/")
        assert status == 200
        return 302 == self.request("/logout/", {"csrfmiddlewaretoken": self._cookie("csrftoken")})[0]

    def change_password(self, old, new, path="/password/"):
        """Sends the form and returns the status: 302 if the password is changed."""
        return self.submit(path, old_password=old, new_password1=new, new_password2=new)[0]


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: the page behind it would make Django look at the session, which
    deletes one that has an old password hash, and a test could not tell who deleted it."""

    def redirect_request(self, *arguments):
        return None
