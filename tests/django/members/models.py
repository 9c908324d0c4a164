import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


def new_key():
    return f"m-{uuid.uuid4().hex}"


class Member(AbstractUser):
    id = models.CharField(primary_key=True, max_length=40, default=new_key, editable=False)
