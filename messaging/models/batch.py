"""One run of Batch Message Processing."""

from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse

from .phrase import PhraseField


class Batch(models.Model):
    """A chosen set of messages, frozen when confirmed.

    While a message belongs to the batch (`message.batch`), its state is the item's outcome; when it leaves for
    another batch or by a person's action, the outcome it had is written to its BatchItem and stays there.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", "To be reviewed"
        CONFIRMED = "confirmed", "Confirmed"
        CANCELLED = "cancelled", "Cancelled"

    class Source(models.TextChoices):
        CONSOLE = "console", "Console"
        COMMAND = "command", "Command"
        SCHEDULE = "schedule", "Schedule"

    INCOMPLETE = "incomplete"  # beside the choices: no one sees a draft before all of its messages are in it

    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    source = models.CharField(max_length=60, choices=Source, default=Source.CONSOLE)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="batches")
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        help_text="The sending account; empty: the company's settings.",
    )
    retry_of = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="retries")
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who ran it; empty: a command, a schedule's own run, or not recorded (version 0.1.0).",
    )
    cancelled_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "batches"

    def __str__(self) -> str:
        return f"Batch {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("batch", args=[self.pk])

    @property
    def run_by(self) -> Any:
        """The person who ran it, or prepared it where no one is recorded; None for a command or a schedule, and where
        the one who ran it is gone.
        """
        # Version 0.1.0 recorded no one; a person's batch went out with the account of who had prepared it.
        is_theirs = self.source != self.Source.CONSOLE or self.account_id == self.created_by_id
        return self.confirmed_by or (self.created_by if is_theirs else None)

    @property
    def prepared_by(self) -> Any:
        """The person who prepared it for another one to run; None where that is the same."""
        return self.created_by if self.created_by != self.run_by else None


class BatchItem(models.Model):
    """A message chosen for a batch, and what became of it there."""

    class State(models.TextChoices):
        CHOSEN = "chosen", "Chosen"
        RELEASED = "released", "Released"
        SKIPPED = "skipped", "Skipped"

    batch = models.ForeignKey(  # indexed with the message, and with the state
        Batch, models.CASCADE, related_name="items", db_index=False
    )
    message = models.ForeignKey("Message", models.CASCADE, related_name="batch_items")
    state = models.CharField(max_length=10, choices=State, default=State.CHOSEN)
    outcome = models.CharField(max_length=10, blank=True, help_text="Message status when it left this batch.")
    reason = PhraseField(help_text="Why skipped, or why it failed here.")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["batch", "message"], name="batch_message")]
        indexes = [models.Index(fields=["batch", "state", "outcome"], name="batchitem_outcome")]

    def __str__(self) -> str:
        return f"{self.batch_id}: {self.message_id}"
