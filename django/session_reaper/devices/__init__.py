"""Which kind of browser a session was opened with: `INSTALLED_APPS += ["session_reaper.devices"]`."""
