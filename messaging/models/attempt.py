"""What happened, per try and recipient."""

from typing import Any

from django.conf import settings
from django.db import models

from .phrase import PhraseField


class Category(models.TextChoices):
    """Why something was not sent, as office staff sort it."""

    ADDRESS = "address", "Address"
    CONTENT = "content", "Content"
    BUSY = "busy", "Server busy"
    SETUP = "setup", "Our setup"
    NETWORK = "network", "Network"
    POLICY = "policy", "Policy or spam"


class AttemptOutcome(models.TextChoices):
    ACCEPTED = "accepted", "Accepted"
    TRANSIENT = "transient", "Will be tried again"
    PERMANENT = "permanent", "Refused"
    SETUP = "setup", "Set-up at fault"
    UNKNOWN = "unknown", "Unknown"


def leave_the_company_alone(collector: Any, field: "models.Field[Any, Any]", rows: Any, using: str) -> None:
    """With the account of a try deleted, none is named, as in one of the company's: say so, as those are counted."""
    # In this order: the rows are found by the account.
    collector.add_field_update(SendAttempt._meta.get_field("account_is_gone"), True, rows)
    collector.add_field_update(field, None, rows)


leave_the_company_alone.lazy_sub_objs = True  # type: ignore[attr-defined]


class SendAttempt(models.Model):
    """One try to hand a message over: never deleted before its message.

    `recipients` holds a reply per recipient addressed:
    [{"address", "outcome", "stage", "reply_code", "enhanced_code", "reply_text", "said"}], `said` as in Recipient.
    """

    message = models.ForeignKey("Message", models.CASCADE, related_name="attempts")
    batch = models.ForeignKey("Batch", models.SET_NULL, null=True, blank=True, related_name="+")
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, leave_the_company_alone, null=True, blank=True, related_name="+"
    )
    account_is_gone = models.BooleanField(default=False, db_default=False)
    fence = models.PositiveIntegerField(help_text="Of the claim that made this attempt.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    server = models.CharField(max_length=300, blank=True, help_text="host:port")
    tls = models.CharField(max_length=80, blank=True, help_text="Version and cipher; empty: in the clear.")
    stage = models.CharField(max_length=12)
    outcome = models.CharField(max_length=12, choices=AttemptOutcome)
    category = models.CharField(max_length=12, choices=Category, blank=True)
    reply_code = models.PositiveSmallIntegerField(null=True, blank=True)
    enhanced_code = models.CharField(max_length=12, blank=True)
    reply_text = models.TextField(blank=True, help_text="The server's own words, or those of the operating system.")
    said = PhraseField(help_text="This machine's error, in the place of a server's words or beside them.")
    reason = PhraseField(help_text="What it means.")
    recipients = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["account", "started_at"], name="attempt_pace")]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M:%S} {self.server} {self.outcome}"

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from the start of the transaction to its outcome."""
        if self.finished_at is None:
            return None
        return round((self.finished_at - self.started_at).total_seconds() * 1000)


class PastTry(models.Model):
    """When an account (none: the company's) tried a message of which nothing is kept: it counts against a limit."""

    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["account", "at"], name="past_try_pace")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}"
