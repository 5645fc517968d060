"""Which database this is, whether it was restored from a backup, and what was unsent in it then."""

from django.conf import settings
from django.db import models

from .phrase import PhraseField


class Lineage(models.Model):
    """One row: the name of this database's history, and how far it has come (delivery/store/restore_detection.py).

    `key` is a new one after each restore. `mark` grows with every claim, so that what is behind another mark of the
    same key is an earlier state. `place` is where the database was last seen: {"system", "timeline", "database",
    "table"} of PostgreSQL, {"path", "inode", "machine"} of SQLite. `answered` are the values of RESTORED acted on.
    """

    key = models.CharField(max_length=32)
    mark = models.PositiveBigIntegerField(default=0)
    place = models.JSONField(default=dict)
    answered = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{self.key} {self.mark}"


class Restore(models.Model):
    """A database that was restored from a backup or moved; all sending is paused until an administrator answers."""

    class Answer(models.TextChoices):
        MOVED = "moved", "Nothing was sent since: all is as it was"
        SENT_SINCE = "sent-since", "Mail may have gone out since: it stays unknown"

    noticed_at = models.DateTimeField()
    last_alive_at = models.DateTimeField(null=True, help_text="When a worker last reported, as recorded in the backup.")
    evidence = PhraseField(help_text="How it was noticed.")
    unsent = models.PositiveIntegerField(default=0, help_text="Messages that were not sent then, and became unknown.")
    answer = models.CharField(max_length=10, choices=Answer, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.noticed_at:%Y-%m-%d %H:%M} {self.answer or 'open'}"


class SetAside(models.Model):
    """How a message that was unsent in a backup stood in it: the columns it gets back when nothing was sent since.

    Only as long as its `fence` is the message's: an order for the message in the meantime decides otherwise.
    """

    message = models.OneToOneField("Message", models.CASCADE, primary_key=True, related_name="set_aside")
    restore = models.ForeignKey(Restore, models.CASCADE, related_name="set_aside")
    fence = models.PositiveIntegerField()
    status = models.CharField(max_length=10)
    reason_category = models.CharField(max_length=12, blank=True)
    reason = PhraseField()
    not_before = models.DateTimeField(null=True)
    held_until = models.DateTimeField(null=True)
    hold_kind = models.CharField(max_length=12, blank=True)
    handed_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    status_before = models.CharField(max_length=10, blank=True)
    reason_before = PhraseField()
    lease_owner = models.CharField(max_length=80, blank=True)
    lease_expires_at = models.DateTimeField(null=True)
    may_be_accepted = models.BooleanField(default=False)
    attempt_snapshot = models.JSONField(null=True)
    notified_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.message_id} was {self.status}"
