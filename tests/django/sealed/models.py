from django.contrib.auth.models import AbstractUser
from django.utils.crypto import salted_hmac


class Sealed(AbstractUser):
    """Has a salt of its own for the hash in its sessions, which Django allows."""

    def get_session_auth_hash(self):
        return salted_hmac("sealed", self.password, algorithm="sha256").hexdigest()
