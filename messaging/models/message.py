"""What must be said, to whom, and who did what to it."""

from enum import StrEnum
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse

from .attempt import Category
from .phrase import Phrase, PhraseField


class Reason(StrEnum):
    """Why a message, an account or a batch item stands as it does, beside the meanings of what servers say
    (delivery/outcomes/meanings.py). wording/sentences.py has the words, and what they need.
    """

    SAID = "said"  # by a person, in their own words
    TOLD = "told"  # by a version that kept sentences
    NO_ADDRESS = "no-address"  # it came in without
    NOBODY_NAMED = "nobody-named"
    RECIPIENT_REFUSED = "recipient-refused"
    REFUSED_EARLIER = "refused-earlier"  # in a try before the last
    GIVEN_UP = "given-up"  # the tries are used up
    EXPIRED = "expired"  # it waited too long
    STOPPED = "stopped"  # with the process that was sending it at once
    WRITTEN_AGAIN = "written-again"
    HANDED_OVER = "handed-over"  # to a mail program
    WAITS_FOR_BATCH = "waits-for-batch"  # because it could not go out by itself
    NOT_SENT = "not-sent"  # at once, because the account does not send now
    UNWRITTEN = "unwritten"  # what came of it
    LIMIT_REACHED = "limit-reached"
    OUTSIDE_WINDOW = "outside-window"
    NO_CONNECTION = "no-connection"  # free among those at once
    MANY_AT_ONCE = "many-at-once"  # users who wait for a mail server
    PAUSED = "paused"
    REFUSED_ALIKE = "refused-alike"  # as others were, in words that no one knows: it may be us
    UNANSWERED = "unanswered"  # after the handover, several in a row: why an account is paused
    ASKED = "asked"  # whether it is us: why an account is paused
    SINCE_BACKUP = "since-backup"  # it may have gone out
    RESTORED = "restored"  # the database, from a backup


Q = models.Q
# What belongs to one state only; by their values, because they are asked for while the class is made.
FITS = {
    "claim": Q(status="sending", lease_expires_at__isnull=False) & ~Q(lease_owner="")
    | ~Q(status="sending")
    & Q(lease_owner="", lease_expires_at=None, may_be_accepted=False, attempt_snapshot__isnull=True),
    "hold": Q(status="held") & ~Q(hold_kind="") | ~Q(status="held") & Q(hold_kind="", held_until=None),
    "draft": Q(hold_kind="mail-program") & ~Q(status_before="")
    | ~Q(hold_kind="mail-program") & Q(handed_to=None, status_before=""),
    "batch": Q(batch=None) | Q(status__in=["queued", "sending", "sent", "failed", "unknown"]),
    "time": Q(status="sent") | Q(sent_at=None),
}


class Message(models.Model):
    """One outbound message: its state, its envelope sender and what the list shows of it.

    The row is the truth about delivery; a Celery task is only a wake-up. `not_before` empty means: waits for a
    batch. Rows stay lean: the bytes are in MessageContent and Attachment.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        HELD = "held", "Held"
        SENDING = "sending", "Sending"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"
        UNKNOWN = "unknown", "Unknown"
        CANCELLED = "cancelled", "Cancelled"

    class HoldKind(models.TextChoices):
        HOLD = "hold", "Held until its time or until released"
        MAIL_PROGRAM = "mail-program", "In a person's mail program as a draft (send types 0 and 1)"

    message_id = models.CharField("Message-ID", max_length=998)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    reason_category = models.CharField(max_length=12, choices=Category, blank=True)
    reason = PhraseField(help_text="By Reason, or by the meaning of what a server said.")

    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="authored_messages"
    )
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The sending account whose email settings are used; empty: the company's.",
    )
    batch = models.ForeignKey(  # indexed with the status
        "Batch", models.SET_NULL, null=True, blank=True, related_name="messages", db_index=False
    )

    reverse_path = models.CharField("envelope sender", max_length=320, blank=True)
    from_header = models.CharField("from", max_length=500, blank=True)
    subject = models.CharField(max_length=998, blank=True)
    recipients_text = models.TextField("recipients", blank=True, help_text="All recipients, for the list and search.")
    recipient_count = models.PositiveIntegerField(default=0)
    attachment_count = models.PositiveIntegerField(default=0)
    size = models.PositiveBigIntegerField(default=0, help_text="Octets on the wire, before dot-stuffing.")
    is_8bit = models.BooleanField(default=False, help_text="The body has octets over 127 (RFC 6152).")
    needs_smtputf8 = models.BooleanField(default=False, help_text="An address cannot be written in ASCII (RFC 6531).")

    created_at = models.DateTimeField()
    not_before = models.DateTimeField(null=True, blank=True, help_text="Due from then on; empty: waits for a batch.")
    sent_at = models.DateTimeField(null=True, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)
    hold_kind = models.CharField(
        max_length=12, choices=HoldKind, blank=True, db_default="", help_text="With held: what kind of hold it is."
    )
    handed_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        help_text="With a hold of MAIL_PROGRAM: whose it is; empty when their account was deleted.",
    )
    category = models.CharField(
        max_length=40, blank=True, db_default="", help_text="What kind of mail it is, as the sender said."
    )
    doubt = PhraseField(help_text="Why an address cannot be right, known before it is sent.")
    status_before = models.CharField(
        max_length=10, blank=True, db_default="", help_text="With a hold of MAIL_PROGRAM: the status before that."
    )
    reason_before = PhraseField(help_text="With a hold of MAIL_PROGRAM: the reason before that.")
    is_immediate = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Sent at once, with one try: the sender is told the outcome.",
    )
    notified_at = models.DateTimeField(
        null=True, blank=True, help_text="With failed or unknown: when it was noted for the notices."
    )
    urgent = models.BooleanField(
        default=False, db_default=False, help_text="Goes first, and although a person paused sending."
    )

    tries = models.PositiveSmallIntegerField(default=0, help_text="Tries spent; set-up failures spend none.")
    max_tries = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="How many tries it has at most, after what was heard last."
    )
    give_up_at = models.DateTimeField(null=True, blank=True, help_text="Set by the first try: no try after that.")
    lease_owner = models.CharField(max_length=80, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0, help_text="Fencing number: grows with every claim.")
    may_be_accepted = models.BooleanField(
        default=False, help_text="Committed before the content is sent: may be accepted."
    )
    attempt_snapshot = models.JSONField(
        null=True, blank=True, help_text="With may_be_accepted: the attempt so far, for when its worker dies."
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["status", "-id"], name="message_status"),
            models.Index(
                fields=["account", "urgent", "not_before", "id"],
                name="message_due",
                condition=models.Q(status="queued"),
            ),
            models.Index(fields=["lease_owner"], name="message_lease", condition=models.Q(status="sending")),
            # With all that a batch is counted by; SQLite would not use one that leaves out what is in no batch.
            models.Index(fields=["batch", "status", "tries"], name="message_in_batch"),
            models.Index(fields=["status", "created_at"], name="message_created"),
            models.Index(  # few have one
                fields=["reason_category", "status", "-id"],
                name="message_reason",
                condition=models.Q(reason_category__gt=""),
            ),
            models.Index(fields=["message_id"], name="message_message_id"),
            models.Index(
                fields=["id"],
                name="message_to_notify",
                condition=models.Q(status__in=["failed", "unknown"], notified_at=None),
            ),
        ]
        # Each state with the columns that belong to it: lifecycle/transitions.py writes them together.
        constraints = [
            models.CheckConstraint(name=f"message_{name}_fits_its_state", condition=condition)
            for name, condition in FITS.items()
        ]
        permissions = [("operate_message", "Can write, hold, release, correct, send and cancel messages")]

    def __str__(self) -> str:
        return self.subject or "(no subject)"

    def get_absolute_url(self) -> str:
        return reverse("message", args=[self.pk])

    @cached_property
    def recipient_rows(self) -> "list[Recipient]":
        """Its recipients, read once; delivery changes these very rows. `claims.read_recipients` reads those of many."""
        return list(self.recipients.all())

    @cached_property
    def attachment_rows(self) -> "list[Attachment]":
        """Its attachments, read once, in their order in the message; for delivery."""
        return list(self.attachments.all()) if self.attachment_count else []


class MessageContent(models.Model):
    """The RFC 5322 bytes of a message with the encoded bodies of its attachments cut out (see content/assembly.py)."""

    message = models.OneToOneField(Message, models.CASCADE, primary_key=True, related_name="content")
    skeleton = models.BinaryField()

    def __str__(self) -> str:
        return f"content of message {self.pk}"


class Attachment(models.Model):
    """One non-text part. Its transfer-encoded body is kept once, as a file named by its own SHA-256."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="attachments")
    number = models.PositiveIntegerField(help_text="From 1, in the order of the message.")
    offset = models.PositiveIntegerField(help_text="Where in the skeleton the encoded body belongs.")
    sha256 = models.CharField(max_length=64, help_text="Of the encoded body, and its name under MEDIA_ROOT.")
    encoding = models.CharField(max_length=20, help_text="Content-Transfer-Encoding, in lower case.")
    encoded_size = models.PositiveBigIntegerField()
    size = models.PositiveBigIntegerField(help_text="Octets when decoded.")
    filename = models.CharField(max_length=255, blank=True)
    content_type = models.CharField(max_length=255)
    content_id = models.CharField(max_length=255, blank=True)
    is_inline = models.BooleanField(default=False, help_text="Shown within the HTML body, by its Content-ID.")

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["message", "number"], name="attachment_number")]

    def __str__(self) -> str:
        return self.filename or f"part {self.number}"


class Recipient(models.Model):
    """One envelope recipient and its own outcome."""

    class Kind(models.TextChoices):
        TO = "to", "To"
        CC = "cc", "Cc"
        BCC = "bcc", "Bcc"

    class Status(models.TextChoices):
        PENDING = "pending", "Not yet accepted"
        ACCEPTED = "accepted", "Accepted"
        FAILED = "failed", "Refused"
        UNKNOWN = "unknown", "Unknown"

    message = models.ForeignKey(Message, models.CASCADE, related_name="recipients")
    kind = models.CharField(max_length=3, choices=Kind, default=Kind.TO)
    address = models.CharField(max_length=320)
    name = models.CharField(max_length=320, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    reply_code = models.PositiveSmallIntegerField(null=True, blank=True)
    enhanced_code = models.CharField(max_length=12, blank=True)
    reply_text = models.TextField(blank=True)
    said = PhraseField(help_text="In the place of a server's words: this machine's error, or who decided.")
    decided_at = models.DateTimeField(null=True, blank=True)
    streak = models.ForeignKey(
        "RefusalStreak",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="recipients",
        db_index=False,
        help_text="Of refusals in the same words, the last that it was in.",
    )

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["streak"], name="recipient_streak", condition=models.Q(streak__isnull=False))]

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


class MessageEvent(models.Model):
    """What was done to a message outside an attempt: accepted, released, held, cancelled, marked by a person."""

    class Kind(models.TextChoices):
        QUEUED = "queued", "Accepted into the queue"
        TAKEN = "taken-at-once", "Taken to be sent at once"
        ENDED_EARLY = "ended-early", "Not sent at once, before a server was asked"
        HELD = "held", "Held"
        HOLD_ENDED = "hold-ended", "Hold ended automatically"
        RELEASED = "released", "Released"
        CANCELLED = "cancelled", "Cancelled"
        IN_BATCH = "in-batch", "Released in a batch"
        OUT_OF_BATCH = "out-of-batch", "Taken out of a batch"
        EXPIRED = Reason.EXPIRED.value, "Waited too long"
        RETRY = "retry", "Retry ordered"
        TRY_NOW = "try-now", "Try now ordered"
        MARKED_AS_SENT = "marked-as-sent", "Marked as sent"
        SEND_AGAIN = "send-again", "Send again ordered"
        EDITED = "edited", "Edited"
        WRITTEN_AGAIN = Reason.WRITTEN_AGAIN.value, "Written again"
        NOT_WRITTEN_AGAIN = "not-written-again", "Not written again"
        HANDED_OVER = Reason.HANDED_OVER.value, "Handed over to a mail program"
        SENT_FROM_MAIL_PROGRAM = "sent-from-mail-program", "Sent from a mail program"
        PUT_BACK = "put-back", "Put back, not sent from a mail program"
        RESCUED = "rescued", "Back in the queue after its worker stopped"
        STOPPED = Reason.STOPPED.value, "Not sent at once, because its process stopped"
        REROUTED = "rerouted", "Given to an account that works"
        PASSED_ON = "passed-on", "Passed on to another account"
        UNSIGNED = "dkim-taken-out", "DKIM signature taken out"
        IT_WAS_US = "it-was-us", "Queued again: our set-up was at fault"
        GO_ON = "go-on", "Left failed: the message was at fault"
        SINCE_BACKUP = Reason.SINCE_BACKUP.value, "May have gone out since the backup"
        NOT_SINCE_BACKUP = "not-since-backup", "Did not go out since the backup"
        TOLD = Reason.TOLD.value, "Told by a version that kept sentences"

    message = models.ForeignKey(Message, models.CASCADE, related_name="events")
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=24, choices=Kind)
    params = models.JSONField(default=dict, blank=True, help_text="What the words of the kind need, as in Phrase.")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.get_kind_display()

    @classmethod
    def of(cls, what: Phrase, **columns: Any) -> "MessageEvent":
        """An event, not yet stored, of the kind that is the phrase's key."""
        return cls(kind=what.key, params=what.params_as_row(), **columns)

    @property
    def what(self) -> Phrase:
        return Phrase.of({"key": self.kind} | self.params)
