"""Where users are signed in, and what they had typed when that ended."""

from django.conf import settings
from django.db import models


class UserSession(models.Model):
    """A browser that has a session; `user` is empty until one has signed in there.

    `digest` is the SHA-256 of the cookie, so that a copy of the database opens no session. `data` is signed by Django.
    """

    digest = models.CharField(max_length=64, unique=True)
    data = models.TextField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="sessions")
    started_at = models.DateTimeField(help_text="When the user signed in.")
    active_at = models.DateTimeField(help_text="When the user last did something, to half a minute.")
    expires_at = models.DateTimeField(db_index=True, help_text="When it ends at the latest.")
    address = models.CharField(max_length=64, blank=True, help_text="From where the user last did something.")
    browser = models.CharField(max_length=300, blank=True, help_text="What it calls itself (User-Agent).")

    class Meta:
        ordering = ["-active_at", "-id"]

    def __str__(self) -> str:
        return f"{self.user or 'no one'} since {self.started_at:%Y-%m-%d %H:%M}"


class KeptForm(models.Model):
    """A form that was sent after its session had ended: shown to that user again, filled in. Forgotten after a day."""

    key = models.UUIDField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    at = models.DateTimeField()
    path = models.CharField(max_length=500, help_text="Where the form was sent to.")
    fields = models.JSONField(help_text="{name: [value, ...]}, without passwords.")
    had_secret = models.BooleanField(default=False)
    files = models.JSONField(default=list, help_text="Names of the files that were picked; they are not kept.")

    class Meta:
        indexes = [models.Index(fields=["user", "at"], name="keptform_of_user")]

    def __str__(self) -> str:
        return f"{self.path}, {self.at:%Y-%m-%d %H:%M}"
