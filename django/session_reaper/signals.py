"""What other code can listen to."""

from django.dispatch import Signal

# Sent by `manage.py session_reaper_listen`, in its process, when sessions have ended and once more when their
# revocation has settled. Arguments: `user_id` (text, None for everybody and for a session that nobody was linked to),
# `scope` ("user", "session" or "all"), `reason`, `state` ("revoked" or "settled"), `revocation` (its number). Never a
# key: who holds a connection open looks whether its session is still there.
session_revoked = Signal()
