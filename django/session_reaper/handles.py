"""How a session is named where its key must not stand: in pages, URLs, the admin and logs."""

from __future__ import annotations

import hashlib
import re

LENGTH = 12


def handle_of(session_key: str | None) -> str | None:
    """What the view live_session calls its digest. Nobody can log in with it, or work out the key."""
    if not session_key:
        return None
    return hashlib.sha256(session_key.encode()).hexdigest()[:LENGTH]


def is_handle(text: str) -> bool:
    """Handles come from pages, so from whoever sends a form."""
    return re.fullmatch(f"[0-9a-f]{{{LENGTH}}}", text) is not None


def digest_of(session_key: str | None) -> str | None:
    """By which a session is kept, so that no log of the server's has its key."""
    return hashlib.sha256(session_key.encode()).hexdigest() if session_key else None
