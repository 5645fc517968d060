"""What administrators decide for everyone (S3), and who is told about failures (S2 and S15)."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from .phrase import PhraseField

MOST_SESSION_HOURS = 14 * 24
URGENT = "password-reset\nnotice\ntest-message"
# Django code is part of the installation. Any local program may run sendmail, so that is listed by an administrator.
CLAIMS = "backend *"


class CompanyOptions(models.Model):
    """The company's options; one row, made when first saved. company/options.py reads and saves them."""

    class Language(models.TextChoices):
        BRITISH = "en-gb", "English (United Kingdom): 24 November 2026, 17:05"
        AMERICAN = "en-us", "English (United States): Nov. 24, 2026, 5:05 p.m."

    record_mail = models.BooleanField("Record outbound email", default=False)
    hold_mail = models.BooleanField("Hold recorded email for Batch Message Processing", default=False)
    urgent_categories = models.TextField(
        "categories that are not held", blank=True, default=URGENT, help_text="One per line."
    )
    urgent_claims = models.TextField(
        "who may claim them",
        blank=True,
        default=CLAIMS,
        db_default=CLAIMS,
        help_text="A way in and a category per line.",
    )
    max_tries = models.PositiveSmallIntegerField(
        "tries at most",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text="Empty: as settings say.",
    )
    retry_hours = models.PositiveIntegerField(
        "hours of trying", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(24 * 30)]
    )
    expire_days = models.PositiveIntegerField(
        "days in the queue", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(3650)]
    )
    same_refusals = models.PositiveSmallIntegerField(
        "refusals in the same words",
        default=5,
        db_default=5,
        validators=[MaxValueValidator(100)],
        help_text="In a row, for as many recipient domains, in words that are not known; 0: sending never pauses.",
    )
    company_name = models.CharField(max_length=120, blank=True)
    company_address = models.CharField("main company address", max_length=320, blank=True)
    console_url = models.CharField("address of this console", max_length=200, blank=True)
    time_zone = models.CharField(max_length=60, blank=True)
    language = models.CharField(max_length=10, choices=Language, default=Language.BRITISH)
    operators_see_all = models.BooleanField("operators and viewers see all messages", default=True)
    users_may_edit = models.BooleanField(
        "users may change their own email settings", default=False, help_text="At Preferences > Email."
    )
    user_servers = models.TextField(
        "servers they may name", blank=True, help_text="One per line, such as smtp.example.com or *.example.com:2525."
    )
    second_factor_roles = models.TextField(
        "second factor required for", blank=True, default="", db_default="", help_text="Roles, one per line."
    )
    users_any_sender = models.BooleanField("users may send from any address", default=False, db_default=False)
    user_senders = models.TextField(
        "addresses they may send from",
        blank=True,
        default="",
        db_default="",
        help_text="A user and an address per line.",
    )
    idle_minutes = models.PositiveIntegerField(
        "minutes idle before sign-out",
        default=60,
        db_default=60,
        validators=[MinValueValidator(5), MaxValueValidator(MOST_SESSION_HOURS * 60)],
    )
    session_hours = models.PositiveIntegerField(
        "hours signed in at most",
        default=24,
        db_default=24,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_SESSION_HOURS)],
    )
    version = models.PositiveIntegerField(default=1, help_text="Grows with every save, for optimistic locking.")
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name_plural = "company options"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(hold_mail=False) | models.Q(record_mail=True), name="hold_needs_record"
            )
        ]

    def __str__(self) -> str:
        return "Company options"


class NoticeKind(models.TextChoices):
    """What people are told about."""

    FAILED = "failed", "Permanent failures"
    UNKNOWN = "unknown", "Unknown outcomes"
    PAUSED = "paused", "Paused accounts"
    NO_ADDRESS = "no-address", "No address"


class NoticeRule(models.Model):
    """Who is told about one kind of failure, and for how long failures are collected into one notice."""

    kind = models.CharField(max_length=12, choices=NoticeKind, primary_key=True)
    is_on = models.BooleanField("Notices are made", default=True)
    to_author = models.BooleanField("the author", default=False)
    to_admins = models.BooleanField("administrators", default=True)
    to_company = models.BooleanField("the main company address", default=False)
    window_minutes = models.PositiveIntegerField(
        "collected for (minutes)", default=15, validators=[MaxValueValidator(24 * 60)]
    )

    def __str__(self) -> str:
        return self.get_kind_display()


class Notice(models.Model):
    """What people were told: one kind of failure, collected. `mail_to` are the addresses it went to by mail.

    `author` set: told to that person about their own messages only. `mail_due` is True until it was handed to the
    queue as mail, or there was no need any more (`is_moot`).
    """

    kind = models.CharField(max_length=12, choices=NoticeKind)
    at = models.DateTimeField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+")
    mail_to = models.TextField(blank=True, help_text="Addresses, one per line.")
    mail_due = models.BooleanField(default=False)
    is_moot = models.BooleanField(
        default=False, db_default=False, help_text="Not mailed: all of it was dealt with by then, or its reader left."
    )
    mail = models.ForeignKey("Message", models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["mail_due"], name="notice_mail_due", condition=models.Q(mail_due=True))]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.at:%Y-%m-%d %H:%M}"


class NoticeItem(models.Model):
    """One failure that is told about; it waits until `told_at` says that its notices were made.

    `message` is empty where nothing is recorded, and for a paused account (`pause`), whose name is the `subject`: empty
    for the company's.
    """

    kind = models.CharField(max_length=12, choices=NoticeKind)
    at = models.DateTimeField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    message = models.ForeignKey("Message", models.SET_NULL, null=True, blank=True, related_name="notice_items")
    pause = models.ForeignKey("AccountPause", models.SET_NULL, null=True, blank=True, related_name="+")
    subject = models.CharField(max_length=998, blank=True)
    recipients = models.CharField(max_length=500, blank=True)
    reason = PhraseField()
    told_at = models.DateTimeField(null=True, blank=True)
    notices = models.ManyToManyField(Notice, related_name="items")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["kind", "at"], name="noticeitem_due", condition=models.Q(told_at=None))]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}"


class NoticesSeen(models.Model):
    """Up to which notice a person has seen them, for the badge."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="notices_seen")
    up_to = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.user}: {self.up_to}"
