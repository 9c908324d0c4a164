from django.contrib import admin
from django.contrib.sessions.models import Session

# Sites do this to see who is logged in, and to throw somebody out.
admin.site.register(Session)
