"""What a site's own test suite does: each test in a transaction, on a database that nobody installed anything in."""

from django.contrib.auth import get_user_model
from django.test import TestCase


class Login(TestCase):
    def test_a_login_goes_on_after_its_session_could_not_be_linked(self):
        get_user_model().objects.create_user("alice", password="first")

        with self.assertLogs("linking.models", "ERROR") as logged:
            self.client.post("/login/", {"username": "alice", "password": "first"})

        self.assertIn('schema "session_reaper" does not exist', logged.output[0])
        self.assertEqual(self.client.get("/whoami/").json()["user"], "alice")
