"""What was changed, as every page says it, and as a form says it to the second of two people."""

import pytest

from messaging.models import Schedule
from tests.audit import (
    EMAIL,
    OPTIONS,
    PASSWORD,
    SCHEDULES,
    USERS,
    as_shown,
    make_schedule,
    overtaken,
    post,
    save,
    told,
)
from tests.pages import press

pytestmark = pytest.mark.django_db


# --- What the pages say -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_page_of_email_setup(admin, private_authority):
    pem, ca = private_authority
    save(admin, EMAIL, send_type="3", host="a.example.com", port="587", ca_bundle=pem, per_minute="1200")
    save(admin, EMAIL, send_type="2", host="b.example.com", port="", sign_in="oauth2", per_minute="0")
    save(admin, EMAIL, host="", sign_in="", ca_bundle="", time_zone="Europe/Berlin")
    for values in ({"password": "pw-1"}, {"password": "pw-2"}, {"forget_password": "on"}):
        save(admin, EMAIL, host="", **values)
    assert told(admin, EMAIL) == [("Anna", *line) for line in (
        ("Send type", "set to “3 – SMTP with authentication”"),
        ("Server", "set to “a.example.com”"),
        ("Port", "set to “587”"),
        ("Certificate authorities", f"set to “{ca}”"),
        ("Messages per minute", "set to “1,200”"),
        ("Send type", "from “3 – SMTP with authentication” to “2 – SMTP without authentication”"),
        ("Server", "from “a.example.com” to “b.example.com”"),
        ("Port", "emptied, it was “587”"),
        ("Way to sign in", "set to “Another provider of OAuth 2.0 (token endpoint)”"),
        ("Messages per minute", "from “1,200” to “no limit”"),
        ("Server", "emptied, it was “b.example.com”"),
        ("Way to sign in", "emptied, it was “Another provider of OAuth 2.0 (token endpoint)”"),
        ("Certificate authorities", f"emptied, it was “{ca}”"),
        ("Time zone", "set to “Europe/Berlin”"),
        ("Password", "set"), ("Password", "changed"), ("Password", "removed"),
    )]  # fmt: skip


@pytest.mark.slow
def test_page_of_an_accounts_own_settings_shows_only_its_own(admin, ben):
    save(admin, EMAIL, username="office")
    save(admin, "/setup/email/users/ben/", username="ben@example.com")
    assert told(admin, "/setup/email/users/ben/") == [("Anna", "User name", "set to “ben@example.com”")]
    assert told(admin, EMAIL) == [("Anna", "User name", "set to “office”")]


def test_page_of_the_options(admin):
    save(admin, OPTIONS, record_mail="on", expire_days="30", company_name="A & B", language="en-us", bypass=["notice"],
         other_categories="alarm", failed_is_on=None, failed_window_minutes="0", time_zone="Europe/Berlin")  # fmt: skip
    save(admin, OPTIONS, hold_mail="on", expire_days="", company_name="C", bypass=None, other_categories="",
         failed_is_on="on", failed_window_minutes="30")  # fmt: skip
    assert told(admin, OPTIONS) == [("Anna", *line) for line in (
        ("Record outbound email", "switched on"),
        ("Days in the queue", "set to “30”"),
        ("Company name", "set to “A & B”"),
        ("Time zone", "set to “Europe/Berlin”"),
        ("Language", "from “English (United Kingdom)” to “English (United States)”"),
        ("Categories that are not held", "from “password-reset, notice, test-message” to “notice, alarm”"),
        ("Permanent failures: notices", "switched off"),
        ("Permanent failures: collected for minutes", "from “15” to “0”"),
        ("Hold recorded email for Batch Message Processing", "switched on"),
        ("Days in the queue", "emptied, it was “30”"),
        ("Company name", "from “A & B” to “C”"),
        ("Categories that are not held", "emptied, it was “notice, alarm”"),
        ("Permanent failures: notices", "switched on"),
        ("Permanent failures: collected for minutes", "from “0” to “30”"),
    )]  # fmt: skip


def test_page_of_the_options_tells_what_users_may_do(admin):
    save(admin, "/setup/email/users/", users_may_edit="on", user_servers="*.example.com\nmail.example.com:2525")
    assert told(admin, OPTIONS) == [
        ("Anna", "Users may change their own email settings", "switched on"),
        ("Anna", "Servers that users may name", "set to “*.example.com, mail.example.com:2525”"),
    ]


def test_pages_of_users(admin, operator):
    admin.post(USERS, {"username": "vera", "role": "", "password": PASSWORD})
    admin.post(USERS, {"username": "vic", "email": "vic@office.example", "role": "Viewer", "password": PASSWORD})
    vic = type(operator).objects.get(username="vic")
    path = f"{USERS}{vic.pk}/"
    save(admin, path, first_name="Vic", email="", role="Operator")
    save(admin, path, username="victor", role="", is_active=None)
    admin.post(f"{path}password/")
    of_vic = [
        ("Anna", "vic", "Added as Viewer"),
        ("Anna", "vic", "First name from “none” to “Vic”"),
        ("Anna", "vic", "Email from “vic@office.example” to “none”"),
        ("Anna", "vic", "Role from “Viewer” to “Operator”"),
        ("Anna", "victor", "Sign-in name from “vic” to “victor”"),
        ("Anna", "victor", "Active from “yes” to “no”"),
        ("Anna", "victor", "Role from “Operator” to “none”"),
        ("Anna", "victor", "Sign-in password changed"),
    ]
    assert told(admin, path) == of_vic
    assert told(admin, USERS) == [("Anna", "vera", "Added as no role"), *of_vic]


@pytest.mark.slow
def test_pages_of_schedules(admin, operator, email_setup):
    path = f"{SCHEDULES}{make_schedule(admin, is_on='').pk}/"
    save(admin, path, times="09:00", on_days="these", days=["1", "5", "0"], q="invoice", sender="anna", reason="busy",
         at_most="500", account=operator.pk, missed="never", is_on="on", name="Night batch")  # fmt: skip
    save(admin, path, kind="every", minutes="15", q="", sender="", reason="", at_most="", account="")
    save(admin, path, kind="crontab", crontab="30 7 * * 1-5", time_zone="UTC")
    made = ("Made", "Evening batch: weekdays at 07:30 and 17:00 (Europe/Berlin), off")
    everything, some = "everything that waits", "messages with “invoice” from “anna” with the reason “Server busy”"
    changed = [
        ("Name", "from “Evening batch” to “Night batch”"),
        ("Times", "from “07:30, 17:00” to “09:00”"),
        ("Days", "from “weekdays” to “Mondays, Fridays and Sundays”"),
        ("Which messages", f"from “{everything}” to “{some}”"),
        ("Sending account", "from “The company” to “Anna”"),
        ("Messages per run", "set to “500”"),
        ("A missed run", "from “Run once, as soon as possible” to “Leave it out”"),
        ("On or off", "from “off” to “on”"),
        ("When", "from “At fixed times” to “Every … minutes”"),
        ("Every … minutes", "set to “15”"),
        ("Times", "it was “09:00”"),
        ("Days", "it was “Mondays, Fridays and Sundays”"),
        ("Which messages", f"from “{some}” to “{everything}”"),
        ("Sending account", "from “Anna” to “The company”"),
        ("Messages per run", "it was “500”"),
        ("When", "from “Every … minutes” to “Crontab expression”"),
        ("Every … minutes", "it was “15”"),
        ("Crontab expression", "set to “30 7 * * 1-5”"),
        ("Time zone", "from “Europe/Berlin” to “UTC”"),
    ]
    assert told(admin, path) == [("Anna", *line) for line in (made, *changed)]
    deleted = ("Deleted", "it was “Night batch: crontab 30 7 * * 1-5 (UTC), on”")
    assert told(admin, SCHEDULES) == [("Anna", "Night batch", *line) for line in (made, *changed)]
    press(admin, Schedule.objects.get(), "delete")
    assert [line[2:] for line in told(admin, SCHEDULES)] == [made, *changed, deleted]


# --- Two administrators at one form ---------------------------------------------------------------------------


@pytest.mark.slow
def test_second_of_two_at_email_setup_sees_who_changed_what(admin, second_admin, private_authority):
    pem, ca = private_authority
    save(admin, EMAIL, host="a.example.com", port="25", ehlo_name="old.example.com")
    opened = as_shown(admin, EMAIL)
    save(second_admin, EMAIL, host="b.example.com", port="", ca_bundle=pem, password="geheim")
    response = post(admin, EMAIL, opened, host="mine.example.com", ehlo_name="new.example.com")
    assert overtaken(response) == [
        "Server: from “a.example.com” to “b.example.com”, by Ben Okoro",
        "Port: emptied, it was “25”, by Ben Okoro",
        "Password: set, by Ben Okoro",
        f"Certificate authorities: set to “{ca}”, by Ben Okoro",
    ]
    shown = {bound.html_name: bound.value() for bound in response.context["form"]}
    # What was typed stays; what was not touched is what Ben saved.
    assert (shown["host"], shown["ehlo_name"]) == ("mine.example.com", "new.example.com")
    assert (shown["port"], shown["ca_bundle"].strip()) == ("", pem.strip())


def test_second_of_two_at_the_options_sees_who_changed_what(admin, second_admin):
    opened = as_shown(admin, OPTIONS)
    save(second_admin, OPTIONS, record_mail="on", expire_days="30", other_categories="alarm", failed_window_minutes="5",
         unknown_is_on=None, language="en-us")  # fmt: skip
    response = post(admin, OPTIONS, opened, expire_days="60")
    assert overtaken(response) == [
        "Record outbound email: switched on, by Ben Okoro",
        "Days in the queue: set to “30”, by Ben Okoro",
        "Language: from “English (United Kingdom)” to “English (United States)”, by Ben Okoro",
        "Categories that are not held: from “password-reset, notice, test-message” to “password-reset, notice, "
        "test-message, alarm”, by Ben Okoro",
        "Permanent failures: collected for minutes: from “15” to “5”, by Ben Okoro",
        "Unknown outcomes: notices: switched off, by Ben Okoro",
    ]
    shown = {bound.html_name: bound.value() for bound in response.context["form"]}
    assert (shown["expire_days"], shown["record_mail"], shown["other_categories"]) == ("60", True, "alarm")
    assert (shown["failed_window_minutes"], shown["unknown_is_on"], shown["language"]) == ("5", False, "en-us")


def test_second_of_two_at_a_schedule_sees_who_changed_what(admin, second_admin, ben, email_setup):
    path = f"{SCHEDULES}{make_schedule(admin).pk}/"
    opened = as_shown(admin, path)
    save(second_admin, path, times="09:00", account=ben.pk, is_on=None)
    assert overtaken(post(admin, path, opened, times="10:00")) == [
        "Times: from “07:30, 17:00” to “09:00”, by Ben Okoro",
        "Sending account: from “The company” to “Ben Okoro”, by Ben Okoro",
        "On or off: from “on” to “off”, by Ben Okoro",
    ]
