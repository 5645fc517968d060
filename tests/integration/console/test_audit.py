"""The audit log keeps keys and values: no words, no secret; and everyone who changes a setting writes into it."""

import json
import re

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from messaging import audit, users
from messaging.access import roles
from messaging.audit import Area, Source, Subject
from messaging.company import options
from messaging.console import presentation
from messaging.management.commands import runlocal
from messaging.models import AuditEntry, CompanyOptions, EmailSettings
from messaging.scheduling import schedules
from messaging.setup import changes, fields
from messaging.setup.certificates import facts
from messaging.setup.secrets import Secret
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
from tests.factories import make_user
from tests.pages import press, words

pytestmark = pytest.mark.django_db


# --- What the rows hold -----------------------------------------------------------------------------------


def rows(area, key=None):
    """The entries of an area as (field, action, before, after), the first one first."""
    entries = AuditEntry.objects.filter(area=area, **({} if key is None else {"object_key": str(key)})).order_by("pk")
    return [(entry.field, entry.action, entry.before, entry.after) for entry in entries]


def everything():
    return json.dumps(list(AuditEntry.objects.values()), default=str)


@pytest.mark.slow
def test_rows_of_email_setup_hold_values_and_facts(admin, operator, private_authority):
    pem, _ = private_authority
    save(admin, EMAIL, send_type="3", auth_type="tls-explicit", port="587", per_minute="0", ca_bundle=pem)
    save(admin, EMAIL, send_type="", auth_type="", port="", ca_bundle="", per_minute="1200")
    assert rows("email") == [
        ("send_type", "changed", None, 3), ("auth_type", "changed", "", "tls-explicit"), ("port", "changed", None, 587),
        ("ca_bundle", "changed", "", facts(pem)), ("per_minute", "changed", None, 0),
        ("send_type", "changed", 3, None), ("auth_type", "changed", "tls-explicit", ""), ("port", "changed", 587, None),
        ("ca_bundle", "changed", facts(pem), ""), ("per_minute", "changed", 0, 1200),
    ]  # fmt: skip
    [ca] = facts(pem)
    assert ca.keys() == {"name", "begins", "ends", "fingerprint"}
    assert re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", ca["ends"])
    assert re.fullmatch("([0-9A-F]{2}:){31}[0-9A-F]{2}", ca["fingerprint"])
    entry = AuditEntry.objects.latest("pk")
    assert (entry.by, entry.by_name, entry.via, entry.object_key, entry.version) == (operator, "anna", "", "", 2)


def test_rows_of_options_and_notices_hold_values(admin):
    save(admin, OPTIONS, record_mail="on", expire_days="30", language="en-us", bypass=None, other_categories="alarm",
         failed_is_on=None, paused_window_minutes="0")  # fmt: skip
    urgent = ["password-reset", "notice", "test-message"]
    assert rows("options") == [
        ("record_mail", "changed", False, True), ("expire_days", "changed", None, 30),
        ("language", "changed", "en-gb", "en-us"), ("urgent_categories", "changed", urgent, ["alarm"]),
    ]  # fmt: skip
    assert rows("notices", "failed") == [("is_on", "changed", True, False)]
    assert rows("notices", "paused") == [("window_minutes", "changed", 1, 0)]
    assert set(AuditEntry.objects.values_list("version", flat=True)) == {1}


def test_rows_of_users_hold_values(admin, ben):
    admin.post(USERS, {"username": "vera", "role": "", "password": PASSWORD})
    save(admin, f"{USERS}{ben.pk}/", first_name="", role="", is_active=None)
    admin.post(f"{USERS}{ben.pk}/password/")
    vera = User.objects.get(username="vera")
    made = {"username": "vera", "first_name": "", "last_name": "", "email": "", "is_active": True, "role": ""}
    assert rows("users", vera.pk) == [("", "created", None, made)]
    assert rows("users", ben.pk) == [
        ("first_name", "changed", "Ben", ""), ("is_active", "changed", True, False),
        ("role", "changed", "Operator", ""), ("password", "secret changed", None, None),
    ]  # fmt: skip


def test_rows_of_schedules_hold_values(admin, operator, email_setup):
    schedule = make_schedule(admin)
    path = f"{SCHEDULES}{schedule.pk}/"
    save(
        admin, path, kind="every", minutes="15", q="a b", reason="busy", account=operator.pk, missed="never", is_on=None
    )
    press(admin, schedule, "delete")
    anna = {"id": operator.pk, "name": "Anna"}
    before = {"name": "Evening batch", "kind": "times", "minutes": None, "times": "07:30, 17:00", "days": "1,2,3,4,5",
              "crontab": "", "time_zone": "Europe/Berlin", "filter": "", "account": None, "at_most": None,
              "missed": "once", "is_on": True}  # fmt: skip
    changed = {"kind": "every", "minutes": 15, "times": "", "days": "", "filter": "q=a+b&reason=busy", "account": anna,
               "missed": "never", "is_on": False}  # fmt: skip
    assert rows("schedules", schedule.pk) == [
        ("", "created", None, before),
        *((name, "changed", before[name], value) for name, value in changed.items()),
        ("", "deleted", before | changed, None),
    ]
    assert set(AuditEntry.objects.values_list("object_name", flat=True)) == {"Evening batch"}


def test_what_is_the_same_writes_nothing(admin, ben, email_setup):
    path = f"{SCHEDULES}{make_schedule(admin).pk}/"
    before = everything()
    for page in (EMAIL, OPTIONS, path, f"{USERS}{ben.pk}/"):
        save(admin, page)
    assert everything() == before


def test_change_that_is_refused_in_the_end_leaves_no_entry(admin, operator, ben):
    response = post(admin, f"{USERS}{operator.pk}/", role="Viewer", email="new@office.example")
    assert "last active administrator" in words(response)
    assert "cannot deactivate yourself" in words(post(admin, f"{USERS}{operator.pk}/", is_active=None))
    assert rows("users") == []
    operator.refresh_from_db()
    assert (operator.email, roles.given(operator)) == ("anna@office.example", roles.ADMIN)


# --- Words are made when they are shown -----------------------------------------------------------------------


@pytest.mark.slow
def test_rewording_changes_what_pages_say_and_nothing_else(admin, second_admin, monkeypatch, email_setup):
    """As a translation would: rows stay, old entries are told in the new words, a form takes over what others saved."""
    save(admin, OPTIONS, record_mail="on", language="en-us", failed_is_on=None)
    save(admin, EMAIL, send_type="3", per_minute="0")
    schedule = make_schedule(admin)
    opened = as_shown(admin, OPTIONS)
    before = everything()
    monkeypatch.setitem(presentation.options.LABELS, "record_mail", "Aufzeichnen")
    monkeypatch.setitem(presentation.options.RULE_LABELS, "is_on", "Hinweise")
    monkeypatch.setitem(fields.LABELS, "send_type", "Versandart")
    monkeypatch.setattr(presentation.audit, "ON_OFF", {True: "ein", False: "aus"})
    monkeypatch.setattr(presentation.audit, "LANGUAGES", {"en-gb": "Britisch", "en-us": "Amerikanisch"})
    monkeypatch.setattr(EmailSettings.SendType.SMTP, "_label_", "ohne Anmeldung")
    monkeypatch.setattr(EmailSettings.SendType.SMTP_AUTH, "_label_", "mit Anmeldung")
    monkeypatch.setattr("messaging.scheduling.timetable.DAY_NAMES", ("So", "Mo", "Di", "Mi", "Do", "Fr", "Sa"))
    assert told(admin, OPTIONS) == [
        ("Anna", "Aufzeichnen", "switched ein"), ("Anna", "Language", "from “Britisch” to “Amerikanisch”"),
        ("Anna", "Permanent failures: Hinweise", "switched aus"),
    ]  # fmt: skip
    assert told(admin, EMAIL)[0] == ("Anna", "Versandart", "from “ohne Anmeldung” to “mit Anmeldung”")
    assert told(admin, f"{SCHEDULES}{schedule.pk}/")[0][2].endswith(", ein")
    for page in (OPTIONS, EMAIL, f"{SCHEDULES}{schedule.pk}/"):
        save(admin, page)
    assert everything() == before
    save(second_admin, OPTIONS, record_mail=None, failed_is_on="on", unknown_window_minutes="7")
    shown = {bound.html_name: bound.value() for bound in post(admin, OPTIONS, opened).context["form"]}
    assert (shown["record_mail"], shown["failed_is_on"], shown["unknown_window_minutes"]) == (False, True, "7")


def test_company_called_true_is_not_switched_on(admin):
    save(admin, OPTIONS, company_name="True")
    save(admin, OPTIONS, company_name="False")
    assert [line[2] for line in told(admin, OPTIONS)] == ["set to “True”", "from “True” to “False”"]


def test_saving_says_what_an_emptied_field_falls_back_to(admin):
    save(admin, EMAIL, host="a.example.com", per_minute="5")
    admin.get(EMAIL)
    save(admin, EMAIL, host="", per_minute="0")  # no limit is a value of its own
    page = words(admin.get(EMAIL))
    assert "Server falls back to" in page
    assert "Messages per minute falls back to" not in page


# --- Those who are renamed or deleted -------------------------------------------------------------------------


@pytest.mark.slow
def test_entries_of_a_deleted_user_stay_readable_and_theirs_alone(admin, ben):
    number = ben.pk
    save(admin, "/setup/email/users/ben/", host="a.example.com")
    save(admin, f"{USERS}{number}/", username="benedict", last_name="Oak")
    ben.delete()
    again = make_user("ben")
    assert told(admin, USERS) == [
        ("Anna", "benedict", "Sign-in name from “ben” to “benedict”"),
        ("Anna", "benedict", "Last name from “Okoro” to “Oak”"),
    ]
    assert rows("email", number) == [("host", "changed", "", "a.example.com")]
    assert told(admin, f"{USERS}{again.pk}/") == []
    assert told(admin, "/setup/email/users/ben/") == []
    assert told(admin, EMAIL) == []


@pytest.mark.slow
def test_what_a_deleted_user_changed_keeps_their_name(admin, second_admin, ben):
    save(second_admin, EMAIL, host="a.example.com")
    opened = as_shown(admin, EMAIL)
    save(second_admin, EMAIL, host="b.example.com")
    ben.delete()
    assert told(admin, EMAIL)[-1] == ("ben", "Server", "from “a.example.com” to “b.example.com”")
    assert overtaken(post(admin, EMAIL, opened)) == ["Server: from “a.example.com” to “b.example.com”, by ben"]
    assert "company settings, ben," in words(admin.get(EMAIL))


def test_entries_of_a_renamed_and_a_deleted_schedule_stay_readable(admin, email_setup):
    first, second = make_schedule(admin), make_schedule(admin, name="Night batch")
    save(admin, f"{SCHEDULES}{first.pk}/", name="Morning batch")
    assert [line[1] for line in told(admin, SCHEDULES)] == ["Morning batch", "Night batch", "Morning batch"]
    for schedule in (first, second):
        press(admin, schedule, "delete")
    lines = told(admin, SCHEDULES)
    assert [line[1] for line in lines][-2:] == ["Morning batch", "Night batch"]
    assert lines[-1][3] == "it was “Night batch: weekdays at 07:30 and 17:00 (Europe/Berlin), on”"
    assert len(lines) == 5


# --- Secrets ---------------------------------------------------------------------------------------------------

HIDDEN = "Tr0ub4dor-42"


@pytest.mark.slow
def test_no_secret_gets_into_a_row(admin, second_admin, ben, settings):
    key = json.dumps({"type": "service_account", "client_email": "a@b.example", "private_key": HIDDEN})
    secrets = {"password": HIDDEN, "client_secret": HIDDEN, "refresh_token": HIDDEN, "service_account": key}
    save(admin, EMAIL, **secrets)
    save(admin, EMAIL, **{name: f"x{value}" for name, value in secrets.items() if name != "service_account"})
    save(admin, EMAIL, **{f"forget_{name}": "on" for name in secrets})
    # What fails after it was typed: another field, the version, the key, the user name.
    assert post(admin, EMAIL, port="x", **secrets).status_code == 422
    opened = as_shown(admin, EMAIL)
    save(second_admin, EMAIL, host="a.example.com", **secrets)
    assert post(admin, EMAIL, opened, **secrets).status_code == 422
    settings.FIELD_ENCRYPTION_KEYS = []
    assert post(admin, EMAIL, host="b.example.com", **secrets).status_code == 422
    admin.post(USERS, {"username": "vera", "role": "Viewer", "password": HIDDEN})
    assert admin.post(USERS, {"username": "vera", "role": "Viewer", "password": HIDDEN}).status_code == 422
    own = {"old_password": PASSWORD, "new_password1": HIDDEN, "new_password2": HIDDEN}
    assert second_admin.post("/preferences/password/", own).status_code == 302
    assert AuditEntry.objects.filter(action__startswith="secret").count() == 4 + 3 + 4 + 4 + 1
    assert HIDDEN not in everything()
    assert "gAAAA" not in everything(), "not encrypted either"
    assert AuditEntry.objects.filter(field__in=fields.SECRETS, action="changed").count() == 0
    for page in (EMAIL, USERS):
        assert HIDDEN not in admin.get(page)


def test_a_secret_that_is_handed_to_the_log_is_refused(db):
    with pytest.raises(TypeError) as raised, transaction.atomic():
        audit.record(Subject(Area.EMAIL), EmailSettings(), {"username": Secret(HIDDEN)}, Source(None))
    assert HIDDEN not in str(raised.value)
    with pytest.raises(TypeError), transaction.atomic():
        audit.created(Subject(Area.USERS), {"username": Secret(HIDDEN)}, Source(None))
    assert not AuditEntry.objects.exists()


def test_database_keeps_no_value_of_a_secret(db, operator):
    entry = audit.record(Subject(Area.USERS), operator, {"password": audit.Action.SECRET_CHANGED}, Source(None))[0]
    for column in ("before", "after"):
        with pytest.raises(IntegrityError), transaction.atomic():
            AuditEntry.objects.filter(pk=entry.pk).update(**{column: HIDDEN})


# --- Everyone who changes a setting ------------------------------------------------------------------------


def test_own_password_is_logged(second_admin, ben):
    own = {"old_password": PASSWORD, "new_password1": "another long one", "new_password2": "another long one"}
    assert second_admin.post("/preferences/password/", own | {"old_password": "no"}).status_code == 422
    assert rows("users") == []
    second_admin.post("/preferences/password/", own)
    assert told(second_admin, USERS) == [("Ben Okoro", "ben", "Sign-in password changed")]
    assert Client().login(username="ben", password="another long one")


def test_new_password_of_a_user_whose_address_is_not_valid_any_more(admin, ben):
    User.objects.filter(pk=ben.pk).update(email="nowhere")
    assert admin.post(f"{USERS}{ben.pk}/password/").status_code == 200
    assert rows("users") == [("password", "secret changed", None, None)]


def test_commands_are_logged_with_their_name(admin, tmp_path):
    (tmp_path / "email.smtp_server").write_text("mail.example.com")
    call_command("import_opt_files", str(tmp_path), "--yes")
    call_command("createoperator", "vera", "--role", "viewer", "--generate")
    call_command("createoperator", "vera", "--new-password", "--generate")
    with pytest.raises(CommandError):
        call_command("createoperator", "vera", "--generate")
    by_opt, by_operator = "a command (import_opt_files)", "a command (createoperator)"
    assert told(admin, EMAIL) == [(by_opt, "Server", "set to “mail.example.com”")]
    assert told(admin, USERS) == [
        (by_operator, "vera", "Added as Viewer"), (by_operator, "vera", "Sign-in password changed"),
    ]  # fmt: skip


@pytest.mark.slow
def test_first_start_and_demo_are_logged(admin, operator):
    assert runlocal._first_mail()
    assert {entry.via for entry in AuditEntry.objects.filter(area__in=("email", "options"))} == {"runlocal"}
    assert ("a command (runlocal)", "Server", "set to “127.0.0.1”") in told(admin, EMAIL)
    row = EmailSettings.objects.get()
    logged = {entry.field: entry.after for entry in changes.log(None)}
    assert logged == {name: getattr(row, name) for name in logged}
    assert logged.keys() == {"send_type", "host", "port", "from_address", "ehlo_name"}
    assert ("a command (demo)", "m.lindqvist", "Added as Operator") in told(admin, USERS)
    assert not User.objects.get(username="m.lindqvist").has_usable_password()
    call_command("seed_demo", "--messages", "1")
    assert AuditEntry.objects.filter(via="demo").count() == 4, "they are made once"


def test_every_field_that_can_change_has_a_label():
    names = {
        Area.EMAIL: (*fields.NAMES, *fields.LIMITS), Area.OPTIONS: options.NAMES, Area.NOTICES: options.RULE_NAMES,
        Area.USERS: (
            *users.FIELDS, "role", "password", "under_way", "sign_in", "second_factor", "recovery_codes",
            "recovery_codes_left", "signed_out",
        ),
        Area.SCHEDULES: schedules.NAMES, Area.RESTORES: ("answer",),
    }  # fmt: skip
    assert {area: set(found) for area, found in names.items()} == {
        area: set(labels) for area, labels in presentation.audit.LABELS.items()
    }
    assert set(presentation.audit.LANGUAGES) == set(CompanyOptions.Language.values)


@pytest.mark.parametrize("entry", [
    AuditEntry(area="other", field="frobnicate", before={"words": "a"}, after={"words": "b"}),
    AuditEntry(area="options", field="frobnicate", before="a", after="b"),
    AuditEntry(area="notices", object_key="fire", field="frobnicate", before="a", after="b"),
    AuditEntry(area="email", field="frobnicate", before="a", after="b"),
    AuditEntry(area="schedules", object_key="3", field="frobnicate", before="a", after="b"),
    AuditEntry(area="users", object_key="3", field="frobnicate", before="a", after="b"),
])  # fmt: skip
def test_what_another_version_logged_fails_no_page(entry):
    [line] = presentation.audit.change_lines([entry])
    assert line.what.endswith("frobnicate")
    assert line.words == "from “a” to “b”"


@pytest.mark.slow
def test_log_costs_a_page_one_statement(admin, operator, second_admin):
    save(admin, OPTIONS, company_name="Name")
    told(admin, OPTIONS)
    with CaptureQueriesContext(connection) as with_one:
        assert len(told(admin, OPTIONS)) == 1
    second = User.objects.exclude(pk=operator.pk).get()
    for number in range(24):
        options.save({"company_name": f"Name {number}"}, by=(operator, second)[number % 2])
    with CaptureQueriesContext(connection) as with_a_page:
        assert len(told(admin, OPTIONS)) == 25
    assert len(with_a_page) == len(with_one)
