"""What people write before it is a message, and what a message was before it was edited."""

from django.conf import settings
from django.db import models

from .phrase import PhraseField


class Upload(models.Model):
    """An attachment of a page that is being written; its bytes are a blob. Forgotten after a day."""

    key = models.UUIDField(primary_key=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    at = models.DateTimeField()
    filename = models.CharField(max_length=255)
    content_type = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)

    def __str__(self) -> str:
        return self.filename


class FormSubmission(models.Model):
    """A form that was sent: a second click on its button, or a replay, finds its key here. Forgotten after two days.

    `state` is what came of it, `told` the phrase that says so.
    """

    class State(models.TextChoices):
        SENDING = "sending", "Being sent"
        QUEUED = "queued", "Queued"
        SENT = "sent", "Sent"
        PARTLY = "partly", "Sent to some only"
        NOT_SENT = "not-sent", "Not sent"
        UNKNOWN = "unknown", "Outcome unknown"
        HANDED_OVER = "handed-over", "Handed over to a mail program"
        BROKEN_OFF = "broken-off", "Broken off by an error"

    key = models.CharField(max_length=64, primary_key=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    at = models.DateTimeField()
    message = models.ForeignKey("Message", models.SET_NULL, null=True, blank=True, related_name="+")
    state = models.CharField(max_length=12, choices=State, default=State.SENDING)
    told = PhraseField()

    def __str__(self) -> str:
        return self.key


class MessageVersion(models.Model):
    """A message as it was before it was edited: nothing that was once accepted is lost."""

    message = models.ForeignKey("Message", models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(help_text="From 1.")
    at = models.DateTimeField(help_text="When it was replaced.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    changes = models.JSONField(
        default=list, help_text='What was changed then: [{"field": "subject", "before": …, "after": …}, …].'
    )
    fields = models.JSONField(help_text="Columns of the message that the edit replaced, by name.")
    skeleton = models.BinaryField()
    recipients = models.JSONField(help_text="[{kind, address, name}, ...]")
    attachments = models.JSONField(help_text="Columns of each attachment, as in Attachment.")

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["message", "number"], name="message_version")]

    def __str__(self) -> str:
        return f"{self.message_id}, version {self.number}"
