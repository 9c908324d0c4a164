"""The family of a browser and of its system, by what it calls itself: no versions, no models, nothing that tells two
people with the same phone apart."""

from __future__ import annotations

# In this order, because each pretends to be one of those below it.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Chromium/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def browser_of(user_agent: str) -> str:
    return _first(BROWSERS, user_agent)


def system_of(user_agent: str) -> str:
    return _first(SYSTEMS, user_agent)


def _first(families: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for mark, name in families if mark in user_agent), "")
