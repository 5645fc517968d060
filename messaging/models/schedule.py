"""When the queue is processed by itself (S14)."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django_celery_beat.models import PeriodicTask

from .phrase import PhraseField

LONGEST_TIMES = 24 * 60 * len("00:00, ")  # every minute of a day


class Schedule(models.Model):
    """When to run Batch Message Processing, over which messages, as which account.

    django-celery-beat has a PeriodicTask per line of crontab that it takes (`tasks`); each is only a wake-up. What ran
    is in ScheduleRun.
    """

    class Kind(models.TextChoices):
        EVERY = "every", "Every … minutes"
        TIMES = "times", "At fixed times"
        CRONTAB = "crontab", "Crontab expression"

    class Missed(models.TextChoices):
        ONCE = "once", "Run once, as soon as possible"
        NEVER = "never", "Leave it out"

    name = models.CharField(max_length=100, unique=True)
    is_on = models.BooleanField("on", default=True)
    kind = models.CharField("when", max_length=8, choices=Kind, default=Kind.TIMES)
    minutes = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(1440)]
    )
    times = models.CharField(max_length=LONGEST_TIMES, blank=True, help_text="Such as 07:30, 17:00")
    days = models.CharField(
        max_length=20,
        blank=True,
        help_text="0 is Sunday; such as 1,2,3,4,5. L: the last day of the month; LW: its last working day.",
    )
    crontab = models.CharField(max_length=200, blank=True)
    time_zone = models.CharField(max_length=60)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The sending account; empty: the company's settings.",
    )
    filter = models.TextField(blank=True, help_text="Query string of the filters of /batches/new/; empty: everything.")
    at_most = models.PositiveIntegerField(
        "messages per run", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(1_000_000)]
    )
    missed = models.CharField("a missed run", max_length=5, choices=Missed, default=Missed.ONCE)
    since = models.DateTimeField(help_text="Runs before this time are not missed: when it was made, changed or put on.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    version = models.PositiveIntegerField(default=1, help_text="Grows with every save, for optimistic locking.")
    tasks: "models.ManyToManyField[PeriodicTask, models.Model]" = models.ManyToManyField(PeriodicTask, related_name="+")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ScheduleRun(models.Model):
    """One run of a schedule, by the time it was due: there is one per time, however often it is asked for."""

    class Outcome(models.TextChoices):
        BATCH = "batch", "Batch"
        NOTHING = "nothing", "Nothing waited"
        MISSED = "missed", "Left out"
        REFUSED = "refused", "Refused"

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="runs")
    due_at = models.DateTimeField()
    started_at = models.DateTimeField()
    outcome = models.CharField(max_length=8, choices=Outcome, blank=True, help_text="Empty while it starts.")
    remarks = PhraseField(help_text="What is to be said of it, such as why it was refused.")
    batch = models.ForeignKey("Batch", models.SET_NULL, null=True, blank=True, related_name="schedule_runs")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who pressed Run now.",
    )

    class Meta:
        ordering = ["-due_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["schedule", "due_at"], name="one_run_per_time")]

    def __str__(self) -> str:
        return f"{self.schedule} {self.due_at:%Y-%m-%d %H:%M}"
