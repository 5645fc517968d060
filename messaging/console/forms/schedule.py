"""The form of a schedule: when, which messages, as whom, and what of a run that was missed (S14)."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import QueryDict

from messaging.audit import ChangedMeanwhile
from messaging.company import options
from messaging.console.forms.generic import ModelChoiceField
from messaging.console.forms.helper import fields_alone
from messaging.models import AuditEntry, Category, Schedule
from messaging.models.schedule import LONGEST_TIMES
from messaging.queue import selection
from messaging.scheduling import schedules, timetable
from messaging.scheduling.timetable import BadTimetable, Timetable
from messaging.wording import person

DAYS = [(str(number), timetable.DAY_NAMES[number]) for number in (1, 2, 3, 4, 5, 6, 0)]
ON_DAYS = [
    ("weekdays", "Weekdays (Monday to Friday)"),
    ("daily", "Every day"),
    ("month-end", "The last day of the month"),
    ("last-workday", "The last working day of the month (Monday to Friday)"),
    ("these", "The days ticked below"),
]
# As Schedule keeps them.
WHOLE = {
    "weekdays": sorted(map(str, timetable.WEEKDAYS)),
    "daily": sorted(map(str, timetable.ALL_DAYS)),
    "month-end": [timetable.LAST_DAY.upper()],
    "last-workday": [timetable.LAST_WORKDAY.upper()],
}


class _Account(ModelChoiceField[User]):
    def label_from_instance(self, user: User) -> str:
        return person(user)


def _number(label: str, largest: int, help_text: str = "") -> forms.IntegerField:
    wanted = f"Enter a number from 1 to {largest:,}."
    return forms.IntegerField(
        required=False,
        min_value=1,
        max_value=largest,
        label=label,
        help_text=help_text,
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
        error_messages={"invalid": wanted, "min_value": wanted, "max_value": wanted},
    )


def _line(label: str, placeholder: str = "", help_text: str = "", **options: Any) -> forms.CharField:
    attrs = {"placeholder": placeholder, "autocomplete": "off"} | options.pop("attrs", {})
    widget = forms.TextInput(attrs=attrs)
    return forms.CharField(label=label, help_text=help_text, widget=widget, **{"max_length": 200} | options)


class ScheduleForm(forms.Form):
    """A schedule in plain words. Only what belongs to the chosen kind of times is asked for."""

    name = _line("Name", "Evening batch", max_length=100, error_messages={"required": "Give it a name."})
    is_on = forms.BooleanField(required=False, label="On")
    kind = forms.ChoiceField(
        label="When",
        choices=[("times", "At fixed times"), ("every", "Every … minutes"), ("crontab", "Crontab expression")],
        widget=forms.RadioSelect,
    )
    times = _line(
        "Times", "07:30 and 17:00", "Such as 18:00, or 07:30 and 17:00.", required=False, max_length=LONGEST_TIMES
    )
    on_days = forms.ChoiceField(label="Days", required=False, choices=ON_DAYS, widget=forms.RadioSelect)
    days = forms.MultipleChoiceField(
        required=False, label="These days", choices=DAYS, widget=forms.CheckboxSelectMultiple
    )
    minutes = _number("Every … minutes", timetable.DAY, "Counted from midnight: 15 means 00:00, 00:15 and so on.")
    crontab = _line(
        "Crontab expression",
        "30 7 * * 1-5",
        "Minute, hour, day of the month, month, day of the week. L as the day is the last of the month, LW the last "
        "working day.",
        required=False,
        attrs={"spellcheck": "false", "class": "mono"},
    )
    time_zone = _line("Time zone", max_length=60, attrs={"list": "time-zones", "spellcheck": "false"})
    q = _line("Words", "Subject, recipient or sender", required=False, validators=[selection.few_words])
    sender = _line("From", "Sender or author", required=False)
    reason = forms.ChoiceField(required=False, label="Reason", choices=[("", "Any"), *Category.choices])
    at_most = _number("Messages per run, at most", 1_000_000, "The oldest first. Empty: all that wait.")
    account = _Account(
        queryset=User.objects.filter(is_active=True).order_by("first_name", "username"),
        required=False,
        label="Sending account",
        empty_label="The company",
        help_text="Whose email settings are used.",
        error_messages={"invalid_choice": "This account does not exist or is not active. Choose another one."},
    )
    missed = forms.ChoiceField(
        label="When a run was missed",
        choices=[("once", "Run once, as soon as the worker and beat are back"), ("never", "Leave it out")],
        widget=forms.RadioSelect,
    )
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, schedule: Schedule | None = None) -> None:
        super().__init__(data, initial=initial_of(schedule))
        self.schedule = schedule
        self.helper = fields_alone()
        self.overtaken: list[AuditEntry] = []

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = Schedule.objects.filter(name=name).exclude(pk=self.schedule.pk if self.schedule else 0)
        if others.exists():
            raise ValidationError("Another schedule has this name.")
        return name

    def clean_account(self) -> User | None:
        account: User | None = self.cleaned_data["account"]
        why = schedules.why_never(account)
        if why:
            raise ValidationError(why)
        return account

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if whole := WHOLE.get(values.get("on_days", "")):
            values["days"] = whole
        if not {"kind", "minutes", "time_zone"} & set(self.errors):
            try:
                self.timetable()
            except BadTimetable as bad:
                self.add_error(bad.field, str(bad))
        return values

    def timetable(self) -> Timetable:
        """The times that were entered. Raises BadTimetable."""
        return timetable.of(Schedule(**self.when()))

    def when(self) -> dict[str, Any]:
        """What was entered about times, as the fields of Schedule; what belongs to another kind is left out."""
        values = self.cleaned_data
        kind = values.get("kind", "")
        times = values.get("times", "") if kind == "times" else ""
        if times:
            times = ", ".join(timetable.times_in_words(timetable.parse_times(times)))
        return {
            "kind": kind,
            "minutes": values.get("minutes") if kind == "every" else None,
            "times": times,
            "days": ",".join(values.get("days", [])) if kind == "times" else "",
            "crontab": values.get("crontab", "") if kind == "crontab" else "",
            "time_zone": values.get("time_zone", ""),
        }

    def query(self) -> str:
        """The filter that was entered, as Schedule keeps it."""
        return query_of(self.cleaned_data)

    def save(self, by: User) -> Schedule:
        """Save it as a new version.

        Raises:
            ValidationError: someone else saved it since the form was shown, or took its name; nothing was written.
        """
        values = self.cleaned_data
        kept = {name: values[name] for name in ("name", "is_on", "account", "at_most", "missed")}
        kept |= self.when() | {"filter": self.query()}
        try:
            return schedules.save(self.schedule.pk if self.schedule else None, kept, by=by, seen=values["version"] or 0)
        except ChangedMeanwhile as error:
            self.overtaken = error.changes
            raise ValidationError(
                "Another user changed this schedule while you had it open; nothing was saved. Load the page again to "
                "see it as it is now."
            ) from error


def query_of(values: dict[str, Any]) -> str:
    """A query string of selection.NAMES."""
    query = QueryDict(mutable=True)
    for name in selection.NAMES:
        if values.get(name):
            query[name] = values[name]
    return query.urlencode()


def initial_of(schedule: Schedule | None) -> dict[str, Any]:
    """What the form shows of a schedule; without one, the likeliest."""
    if schedule is None:
        zone = options.options().time_zone or settings.TIME_ZONE
        usual = {"kind": "times", "on_days": "weekdays", "missed": "once", "is_on": True, "version": 0}
        return usual | {"time_zone": zone}
    values = {name: getattr(schedule, name) for name in (*schedules.NAMES, "version")}
    days = schedule.days.split(",") if schedule.days else []
    asked = QueryDict(schedule.filter)
    words = {name: asked.get(name, "") for name in selection.NAMES}
    whole = next((name for name, these in WHOLE.items() if sorted(days) == these), "these")
    return values | words | {"on_days": whole, "days": days if whole == "these" else [], "account": schedule.account_id}
