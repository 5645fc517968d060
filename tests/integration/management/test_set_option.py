"""`manage.py set_option NAME VALUE`: the company's options from the command line, with the page's own judgement."""

import pytest
from django.core.management import CommandError, call_command

from messaging.audit import ChangedMeanwhile
from messaging.company import options
from messaging.management.commands import set_option
from messaging.models import AuditEntry
from tests.pages import words

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(capsys):
    def run(*arguments):
        call_command("set_option", *arguments)
        return capsys.readouterr().out

    return run


def test_the_two_options_of_the_queue(run):
    assert run("record_outbound_email", "on") == "record_outbound_email: off -> on\n"
    assert run("hold_recorded_email", "ON") == "hold_recorded_email: off -> on\n"
    company = options.options()
    assert (company.record_mail, company.hold_mail, company.version) == (True, True, 2)
    assert run("hold_recorded_email", "on") == "hold_recorded_email is on already.\n"
    assert options.options().version == 2, "nothing was written"


def test_it_is_in_the_audit_log_as_the_commands(run, admin):
    run("record_outbound_email", "on")
    entry = AuditEntry.objects.get()
    assert (entry.area, entry.field, entry.before, entry.after) == ("options", "record_mail", False, True)
    assert (entry.by, entry.via, entry.version) == (None, "set_option", 1)
    page = words(admin.get("/setup/options/"))
    assert "set_option" in page
    assert "Record outbound email" in page


VALUES = {  # name: (value, what is kept)
    "max_tries": ("7", 7),
    "retry_hours": (" 48 ", 48),
    "expire_days": ("", None),
    "same_refusals": ("Off", 0),
    "company_name": ("Brightwater & Söhne", "Brightwater & Söhne"),
    "company_address": ("office@brightwater.example", "office@brightwater.example"),
    "console_url": ("https://mail.office.example/", "https://mail.office.example"),
    "time_zone": ("Europe/Berlin", "Europe/Berlin"),
    "idle_minutes": ("30", 30),
    "session_hours": (" 12 ", 12),
    "language": ("en-us", "en-us"),
    "operators_see_all": ("off", False),
    "users_may_edit": ("on", True),
    "user_servers": ("SMTP.example.com, *.example.org:2525", "smtp.example.com\n*.example.org:2525"),
    "urgent_claims": (" Sendmail  Alarm, backend *,backend *", "sendmail alarm\nbackend *"),
    "users_any_sender": ("on", True),
    "user_senders": (
        "anna accounts@example.com, * office@example.com",
        "anna accounts@example.com\n* office@example.com",
    ),
    "second_factor_roles": ("administrator, Operator", "Operator\nAdministrator"),
    "urgent_categories": ("password-reset, Alarm,alarm", "password-reset\nalarm"),
}


@pytest.mark.parametrize("name", VALUES)
def test_every_option_can_be_set(run, name):
    value, kept = VALUES[name]
    run(name, value)
    assert getattr(options.options(), name) == kept


def test_no_option_is_forgotten():
    assert VALUES.keys() | {"record_mail", "hold_mail"} == set(options.NAMES)


def test_without_arguments_all_are_shown(run):
    run("record_outbound_email", "on")
    run("user_servers", "a.example,b.example")
    shown = dict(line.split(" ", 1) for line in run().splitlines())
    assert shown.keys() == VALUES.keys() | {"record_outbound_email", "hold_recorded_email"}
    assert (shown["record_outbound_email"], shown["hold_recorded_email"]) == ("on", "off")
    assert (shown["max_tries"], shown["user_servers"]) == ('""', "a.example,b.example")


WRONG = [
    (("record", "on"), "There is no option “record”. Choose from record_outbound_email, hold_recorded_email, "),
    (("record_mail", "on"), "There is no option “record_mail”."),
    (("version", "7"), "There is no option “version”."),
    (("record_outbound_email",), "Say what record_outbound_email is to be: on or off."),
    (("record_outbound_email", "maybe"), "record_outbound_email can be on or off, and not “maybe”."),
    (("record_outbound_email", ""), "record_outbound_email can be on or off"),
    (("hold_recorded_email", "on"), "What is not recorded cannot be held. Switch record_outbound_email on first."),
    (("max_tries", "0"), "max_tries: Enter a number from 1 to 50, or leave it empty."),
    (("max_tries", "many"), "max_tries: Enter a number from 1 to 50"),
    (("retry_hours", "9" * 40), "retry_hours: Enter a number of hours from 1 to 720"),
    (("expire_days", "-1"), "expire_days: Enter a number of days from 1 to 3650"),
    (("company_name", "a\nb"), "company_name: Line breaks and control characters are not allowed here."),
    (("company_name", "x" * 121), "company_name: It is longer than 120 characters."),
    (("company_address", "office"), "company_address: “office” is not a valid email address."),
    (("console_url", "mail.office.example"), "console_url: Enter the address as the browser shows it"),
    (("time_zone", "Berlin"), "time_zone: "),
    (("language", "de"), "language can be en-gb or en-us, and not “de”."),
    (("user_servers", "http://x"), "user_servers: “http://x”"),
    (("second_factor_roles", "King"), "second_factor_roles: “king” is not a role. Choose from Viewer, Operator, "),
    (("urgent_categories", "x" * 41), "urgent_categories: "),
    (
        ("urgent_claims", "smoke-signals alarm"),
        "urgent_claims: “smoke-signals alarm” is not a way in (backend or sendmail)",
    ),
    (("urgent_claims", "sendmail"), "urgent_claims: “sendmail” is not a way in"),
    (("urgent_claims", "sendmail " + "x" * 41), "urgent_claims: “"),
    (("user_senders", "anna"), "user_senders: “anna” is not a user name and an address"),
    (("user_senders", "anna office"), "user_senders: “anna office”: "),
    (("user_senders", "office@example.com"), "user_senders: “office@example.com” is not a user name and an address"),
]


@pytest.mark.parametrize(("arguments", "line"), WRONG, ids=str)
def test_what_makes_no_sense_is_told_in_one_line_and_nothing_is_written(arguments, line):
    with pytest.raises(CommandError) as error:
        call_command("set_option", *arguments)
    assert str(error.value).startswith(line)
    assert len(str(error.value).splitlines()) == 1
    assert options.options().version == 0


def test_what_is_held_stays_recorded(holding):
    with pytest.raises(CommandError, match="Switch hold_recorded_email off first"):
        call_command("set_option", "record_outbound_email", "off")


def test_change_of_another_person_meanwhile_is_told(monkeypatch):
    def overtaken(*args, **kwargs):
        raise ChangedMeanwhile

    monkeypatch.setattr(set_option.options, "save", overtaken)
    with pytest.raises(CommandError, match=r"Nothing was written\. Another user changed .* Run this again\."):
        call_command("set_option", "record_outbound_email", "on")


@pytest.mark.parametrize(
    ("name", "value"), [("company_name", "a\u202eb"), ("console_url", "ftp://x"), ("time_zone", "x")]
)
def test_the_page_says_the_same(admin, name, value):
    with pytest.raises(CommandError) as error:
        call_command("set_option", name, value)
    page = words(admin.post("/setup/options/", {name: value, "version": "0", "language": "en-gb"}))
    assert str(error.value).removeprefix(f"{name}: ") in page
