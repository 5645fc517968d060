"""The form of the one schedule: when the queue is processed by itself, and as whom (seed row S14)."""

import json
import re
from datetime import time
from typing import Any

from crispy_forms.helper import FormHelper
from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from messaging.console.words import person

DAYS = [("1", "Monday"), ("2", "Tuesday"), ("3", "Wednesday"), ("4", "Thursday"), ("5", "Friday"), ("6", "Saturday"),
        ("0", "Sunday")]  # fmt: skip
TIME = re.compile(r"(\d{1,2})[:.](\d{2})")


class _Account(forms.ModelChoiceField):
    def label_from_instance(self, user: Any) -> str:
        return person(user)


class ScheduleForm(forms.Form):
    """On or off; every so many minutes, or at times on days; the sending account."""

    enabled = forms.BooleanField(required=False, label="Process the queue automatically")
    kind = forms.ChoiceField(
        label="When",
        choices=[("every", "At regular intervals"), ("times", "At fixed times")],
        widget=forms.RadioSelect,
    )
    minutes = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=1440,
        label="Every … minutes",
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )
    times = forms.CharField(
        required=False,
        max_length=200,
        label="Times",
        help_text="For example 18:00, or 08:00, 12:00, 18:00",
        widget=forms.TextInput(attrs={"placeholder": "18:00"}),
    )
    days = forms.MultipleChoiceField(required=False, label="Days", choices=DAYS, widget=forms.CheckboxSelectMultiple)
    account = _Account(
        queryset=User.objects.filter(is_active=True).order_by("first_name", "username"),
        to_field_name="username",
        required=False,
        label="Sending account",
        empty_label="The company",
        help_text="Whose email settings are used.",
        error_messages={"invalid_choice": "There is no such active account."},
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.helper = FormHelper()
        self.helper.form_tag = False
        self.helper.disable_csrf = True

    def clean_times(self) -> list[time]:
        """Times in order; one crontab row must be able to say them."""
        words = [word for word in re.split(r"[\s,;]+", self.cleaned_data["times"]) if word]
        times = sorted({_time(word) for word in words})
        hours, minutes = {moment.hour for moment in times}, {moment.minute for moment in times}
        if len(times) != len(hours) * len(minutes):
            raise ValidationError(
                "Choose times with the same minutes past the hour, such as 08:00, 12:00, 18:00 or 08:30, 18:30."
            )
        return times

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("kind") == "every" and not cleaned.get("minutes") and "minutes" not in self.errors:
            self.add_error("minutes", "Enter a number of minutes from 1 to 1440.")
        if cleaned.get("kind") == "times":
            if not cleaned.get("times") and "times" not in self.errors:
                self.add_error("times", "Enter at least one time, such as 18:00.")
            if not cleaned.get("days"):
                self.add_error("days", "Choose at least one day.")
        return cleaned

    def save_to(self, task: PeriodicTask) -> None:
        """Write interval or crontab and the task; beat sees the change within seconds."""
        values = self.cleaned_data
        task.interval = task.crontab = None
        if values["kind"] == "every":
            task.interval, _ = IntervalSchedule.objects.get_or_create(
                every=values["minutes"], period=IntervalSchedule.MINUTES
            )
        else:
            task.crontab, _ = CrontabSchedule.objects.get_or_create(
                hour=_listed({moment.hour for moment in values["times"]}),
                minute=_listed({moment.minute for moment in values["times"]}),
                day_of_week=_listed({int(day) for day in values["days"]}),
                day_of_month="*",
                month_of_year="*",
                timezone=settings.TIME_ZONE,
            )
        task.kwargs = account_arguments(values["account"])
        task.enabled = values["enabled"]
        task.save()


def account_arguments(account: User | None) -> str:
    """The task's keyword arguments as JSON."""
    return json.dumps({"account": account.get_username() if account else None})


def initial_of(task: PeriodicTask) -> dict[str, Any]:
    """What the form shows for the task as it is stored."""
    values: dict[str, Any] = {"enabled": task.enabled, "account": json.loads(task.kwargs or "{}").get("account")}
    if task.crontab is not None:
        hours, minutes = _numbers(task.crontab.hour), _numbers(task.crontab.minute)
        times = [f"{hour:02}:{minute:02}" for hour in hours for minute in minutes]
        days = [str(day) for day in _numbers(task.crontab.day_of_week)]
        return values | {"kind": "times", "times": ", ".join(times), "days": days, "minutes": 15}
    minutes_between = task.interval.every if task.interval else 15
    return values | {"kind": "every", "minutes": minutes_between, "times": "18:00", "days": ["1", "2", "3", "4", "5"]}


def _time(word: str) -> time:
    found = TIME.fullmatch(word)
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValidationError(f"“{word[:20]}” is not a time. Write it like 18:00.")
    return time(int(found[1]), int(found[2]))


def _listed(numbers: set[int]) -> str:
    return ",".join(str(number) for number in sorted(numbers))


def _numbers(text: str) -> list[int]:
    """The numbers of a crontab field that this form wrote; anything cleverer is shown as none."""
    return [int(part) for part in text.split(",") if part.isdigit()]
