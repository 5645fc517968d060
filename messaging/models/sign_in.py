"""Signing in: what was tried with a wrong password, and from where each user came last."""

from django.conf import settings
from django.db import models


class SignInTries(models.Model):
    """Wrong tries, counted at one door for an account, a place, or an account at a place.

    `account` is a keyed digest of the name that was typed, so that what strangers type is not kept; empty: any name.
    `place` is an address, as sign_ins/client.py has it, or a known device; empty: any address.
    """

    door = models.CharField(max_length=8)
    account = models.CharField(max_length=32, blank=True)
    place = models.CharField(max_length=64, blank=True)
    tries = models.PositiveIntegerField(default=0)
    since = models.DateTimeField()
    last_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "sign-in tries"
        constraints = [
            models.UniqueConstraint(fields=["account", "place", "door"], name="one_count_per_account_place_and_door")
        ]

    def __str__(self) -> str:
        return f"{self.tries} at {self.place or 'any address'}"


class SignedIn(models.Model):
    """From where a user signed in the last time; User.last_login says when."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="signed_in")
    address = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"{self.user} from {self.address}"
