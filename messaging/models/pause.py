"""Who sends for an account now, and what keeps it from sending."""

from hashlib import sha256

from django.conf import settings
from django.db import models
from django.db.models.functions import Coalesce

from .phrase import PhraseField

MARK_LENGTH = 16


class CurrentPauses(models.Manager["AccountPause"]):
    """Those that have not ended."""

    def get_queryset(self) -> models.QuerySet["AccountPause"]:
        return super().get_queryset().filter(ended_at=None)


class AccountPause(models.Model):
    """One reason why an account (none: the company's) does not send, and until when; several may hold at once.

    `until` is when it ends on its own, and where it is PROBED when one lane tries again; empty: a person ends it.
    A DOUBT ends when a person answers (RefusalStreak).
    `objects` are the current ones; `history` has those that ended as well.
    """

    class Kind(models.TextChoices):
        FAULT = "fault", "Set-up at fault"
        DOUBT = "doubt", "Refused in the same words"
        BUSY = "busy", "Slowed down by the mail server"
        UNANSWERED = "unanswered", "No answer after messages were handed over"
        LIMIT = "limit", "Limit reached"
        WINDOW = "window", "Outside the sending window"
        PERSON = "person", "Paused by a person"
        ALL = "all", "All sending paused by a person"
        RESTORED = "restored", "All sending paused after a restore"

    # With these not even urgent messages go out: the server would not take them, or not say so. With a DOUBT they do:
    # the server may have been right about the others; what it refuses in the same words comes back, its try unspent.
    STOP_URGENT = (Kind.FAULT, Kind.BUSY, Kind.UNANSWERED, Kind.LIMIT)
    # These end when a message gets through.
    PROBED = (Kind.FAULT, Kind.BUSY, Kind.UNANSWERED)
    # Of these people are told (notices).
    TOLD = (Kind.FAULT, Kind.DOUBT, Kind.UNANSWERED)
    # These people order, or answer.
    BY_PEOPLE = (Kind.RESTORED, Kind.ALL, Kind.PERSON)
    # These keep every account from sending.
    OF_EVERYBODY = (Kind.ALL, Kind.RESTORED)

    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.FAULT, db_default=Kind.FAULT)
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    failures = models.PositiveIntegerField(default=1, help_text="Of what is PROBED, in a row.")
    server = models.CharField(max_length=300, blank=True)
    reason = PhraseField(help_text="By Reason or by the meaning of what a server said; a person's own words.")
    reply_text = models.TextField(blank=True)
    said = PhraseField(help_text="This machine's error, as in SendAttempt.")
    notified_at = models.DateTimeField(null=True, blank=True, help_text="Noted for the notices.")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    # Set by lifecycle/limits.current_pauses: its end, or the next try, is still to come.
    is_in_force = False

    history = models.Manager()  # first, so that Django itself sees all rows
    objects = CurrentPauses()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                Coalesce("account", 0),
                "kind",
                condition=models.Q(ended_at=None),
                name="one_pause_per_account_and_kind",
            )
        ]

    def __str__(self) -> str:
        whose = "All sending" if self.kind in self.OF_EVERYBODY else str(self.account or "Company account")
        return f"{whose} paused: {self.get_kind_display()}"

    @property
    def mark(self) -> str:
        """Names the pause in forms: another one where another is in its place, or says something else by now."""
        return sha256(repr((self.pk, self.until, self.reason)).encode()).hexdigest()[:MARK_LENGTH]


class RefusalStreak(models.Model):
    """Refusals of one account at one stage, in words that no line of the reply table knows, and in the same words.

    No acceptance at that stage came between them. When they are for enough recipient `domains`, the account pauses and
    a person is asked (`asked_at`); the `answer` holds for a day. `wording` is a digest of the masked words. The current
    one has not ended.
    """

    class Answer(models.TextChoices):
        IT_WAS_US = "us", "It was us"
        GO_ON = "go-on", "It was not us"

    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+")
    stage = models.CharField(max_length=12)
    wording = models.CharField(max_length=64)
    last_at = models.DateTimeField()
    domains = models.JSONField(default=list, help_text="Each was refused by a reply of its own.")
    refusals = models.PositiveIntegerField(default=0, help_text="Messages.")
    pause = models.ForeignKey(AccountPause, models.SET_NULL, null=True, blank=True, related_name="streaks")
    asked_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=8, choices=Answer, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    server = models.CharField(max_length=300, blank=True)
    reply_text = models.TextField(blank=True, help_text="The last one's own words, after the code.")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                Coalesce("account", 0),
                "stage",
                "wording",
                condition=models.Q(ended_at=None),
                name="one_streak_per_account_stage_and_wording",
            )
        ]

    def __str__(self) -> str:
        return f"{self.refusals} refused alike at {self.stage}"

    @property
    def is_asked(self) -> bool:
        """Whether a person is to answer, and has not yet."""
        return self.asked_at is not None and not self.answer


class UnansweredStreak(models.Model):
    """Messages of one account that one server did not answer after they were handed over, without an answer between."""

    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+")
    server = models.CharField(max_length=300, help_text="As in SendAttempt.")
    messages = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Coalesce("account", 0), "server", name="one_unanswered_streak_per_account_and_server"
            )
        ]

    def __str__(self) -> str:
        return f"{self.messages} not answered by {self.server}"


class ActiveLane(models.Model):
    """A lane at work for an account (none: the company's), or who sends at once: one connection of its limit."""

    owner = models.CharField(max_length=80, primary_key=True, help_text="As in Message.lease_owner.")
    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    expires_at = models.DateTimeField(help_text="Put off by its worker while that lives.")

    def __str__(self) -> str:
        return self.owner
