from django.contrib.auth.models import AbstractUser


class Customer(AbstractUser):
    """Its key is a BigAutoField, as DEFAULT_AUTO_FIELD has it; its migration begins beyond what an integer holds."""
