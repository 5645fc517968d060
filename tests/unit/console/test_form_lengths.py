"""What a form takes fits into the column it ends in, also where it becomes longer on the way."""

import importlib
import pkgutil

import pytest
from django import forms
from django.apps import apps

from messaging import console, option_values
from messaging.console.forms import compose
from messaging.intake import typed_addresses
from messaging.queue import pausing
from messaging.scheduling import timetable
from messaging.setup import servers

NOT_KEPT = "compared, or the beginning of an address that is judged at the gate"
# The column that each field with text ends in, and how long the text may be where the field itself does not say.
FIELDS = {
    "HoldForm.why": "Message.reason",
    "CancelForm.why": "Message.reason",
    "PauseForm.why": ("AccountPause.reason", pausing.LONGEST_REASON),
    "LetterForm.to": ("Recipient.address", NOT_KEPT),
    "LetterForm.cc": ("Recipient.address", NOT_KEPT),
    "LetterForm.bcc": ("Recipient.address", NOT_KEPT),
    "LetterForm.subject": ("Message.subject", compose.LONGEST_SUBJECT),
    "LetterForm.text": "MessageContent.skeleton",
    "ScheduleForm.name": "Schedule.name",
    "ScheduleForm.times": "Schedule.times",
    "ScheduleForm.crontab": "Schedule.crontab",
    "ScheduleForm.time_zone": "Schedule.time_zone",
    "ScheduleForm.q": "Schedule.filter",
    "ScheduleForm.sender": "Schedule.filter",
    "CompanyOptionsForm.other_categories": "CompanyOptions.urgent_categories",
    "TestMessageForm.recipient": "Recipient.address",
    "NewUserForm.password": NOT_KEPT,
    "SignIn.username": NOT_KEPT,
    "SignIn.password": NOT_KEPT,
    "CodeForm.code": NOT_KEPT,
    "LeavingForm.asked": NOT_KEPT,
    "ProofForm.password": NOT_KEPT,
    "SetUpForm.first": NOT_KEPT,
    "NewPassword.old_password": NOT_KEPT,
    "NewPassword.new_password1": NOT_KEPT,
    "NewPassword.new_password2": NOT_KEPT,
}


def all_forms():
    for module in pkgutil.walk_packages(console.__path__, "messaging.console."):
        importlib.import_module(module.name)

    def below(form):
        for each in form.__subclasses__():
            yield each
            yield from below(each)

    found = {each.__name__: each for each in below(forms.BaseForm) if each.__module__.startswith("messaging.")}
    return sorted(found.items())


def fields_with_text():
    """“Form.field” and the field; a field of a parent is named by the parent that has it."""
    for name, form in all_forms():
        ours = [base for base in form.__mro__[1:] if base.__module__.startswith("messaging.")]
        inherited = {field for base in ours for field in getattr(base, "base_fields", ())}
        for field_name, field in form.base_fields.items():
            if isinstance(field, forms.CharField) and field_name not in inherited:
                yield form, f"{name}.{field_name}", field


FOUND = list(fields_with_text())


def column(name):
    model, _, field = name.partition(".")
    return apps.get_model("messaging", model)._meta.get_field(field)


@pytest.mark.parametrize(("form", "name", "field"), FOUND, ids=[name for _, name, _ in FOUND])
def test_each_text_of_a_form_fits_into_its_column(form, name, field):
    model = getattr(getattr(form, "_meta", None), "model", None)
    of_model = {each.name: each for each in model._meta.fields} if model else {}
    if name not in FIELDS and name.partition(".")[2] in of_model:
        kept, longest = of_model[name.partition(".")[2]], field.max_length
    else:
        assert name in FIELDS, "a new field: say here in which column its text ends"
        told = FIELDS[name]
        if told == NOT_KEPT:
            return
        where, longest = told if isinstance(told, tuple) else (told, field.max_length)
        kept = column(where)
    if kept.max_length is not None and longest != NOT_KEPT:
        assert longest is not None and longest <= kept.max_length


def test_each_number_of_a_form_fits_into_its_column():
    for name, form in all_forms():
        for field_name, field in form.base_fields.items():
            if isinstance(field, forms.IntegerField) and field_name != "version":  # that is only compared
                of_model = (
                    [each for each in form._meta.model._meta.fields if each.name == field_name]
                    if hasattr(form, "_meta")
                    else []
                )
                validators = [*field.validators, *(each for column in of_model for each in column.validators)]
                most = [each.limit_value for each in validators if each.code == "max_value"]
                assert most and min(most) < 2**31, f"{name}.{field_name}"


def test_the_table_names_no_field_that_is_gone():
    assert FIELDS.keys() <= {name for _, name, _ in FOUND}


UMLAUTS = ".".join(["ü" * 20] * 6) + ".example"  # longer in ASCII
MOST_TIMES = " ".join(f"{hour}:{minute:02}" for hour in range(24) for minute in range(60))
GROWS = [
    ("Schedule.times", lambda text: ", ".join(timetable.times_in_words(timetable.parse_times(text))), MOST_TIMES),
    ("EmailSettings.host", servers.server_name, UMLAUTS),
    ("EmailSettings.ehlo_name", servers.server_name, UMLAUTS),
    ("EmailSettings.token_url", servers.sign_in_url, f"https://{UMLAUTS}/{'a' * 350}"),
    ("EmailSettings.from_address", typed_addresses.one, f"{'a' * 60}@{UMLAUTS}"),
    ("CompanyOptions.company_address", option_values.company_address, f"{'a' * 60}@{UMLAUTS}"),
    ("CompanyOptions.console_url", option_values.console_url, f"https://{'ü' * 20}.{'ü' * 20}.example/{'a' * 140}"),
    ("CompanyOptions.company_name", option_values.company_name, "ﷺ" * 120),
    ("CompanyOptions.urgent_categories", option_values.categories, "İ" * 40),
]


@pytest.mark.parametrize(("where", "read", "text"), GROWS, ids=[where for where, _, _ in GROWS])
def test_what_becomes_longer_on_the_way_fits_or_is_refused(where, read, text):
    longest = column(where).max_length
    assert longest is None or len(text) <= longest, "a form would refuse it before"
    try:
        kept = read(text)
    except ValueError as refused:
        assert str(refused)
        return
    assert longest is None or len(kept) <= longest
    assert read(kept) == kept, "the form that shows what is kept takes it again"


def test_times_of_beat_take_what_the_longest_schedule_has():
    """Beat's tables have columns of their own, written by schedules.py."""
    longest = {"minute": 60, "hour": 24, "day_of_month": 31, "month_of_year": 12, "day_of_week": 7}
    crontab = apps.get_model("django_celery_beat", "CrontabSchedule")
    for name, numbers in longest.items():
        assert len(",".join(map(str, range(numbers)))) <= crontab._meta.get_field(name).max_length
    task = apps.get_model("django_celery_beat", "PeriodicTask")
    name = f"Schedule {2**63}: {'x' * column('Schedule.name').max_length} (1440)"
    assert len(name) <= task._meta.get_field("name").max_length


@pytest.mark.parametrize("where", ["Schedule.name"])
def test_what_a_thing_is_called_fits_into_the_audit_log(where):
    assert column(where).max_length <= column("AuditEntry.object_name").max_length
