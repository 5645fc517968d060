"""Company options (S2, S3 and S15): the page, and that what it says is in effect at once everywhere."""

import datetime as dt
import re

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging import housekeeping
from messaging.access import roles
from messaging.company import options
from messaging.compose import editing, versions
from messaging.console.presentation.message import next_try
from messaging.delivery.lane import Lane
from messaging.models import AuditEntry, CompanyOptions, Message, NoticeKind, NoticeRule
from messaging.queue import actions, batches
from messaging.setup import changes
from messaging.wording import in_words
from tests.factories import draft_batch, make_message, make_user, set_up
from tests.fault_server import FaultServer
from tests.pages import words
from tests.sizes import matrix, sampled
from tests.steps import run_lane, still_there

pytestmark = pytest.mark.django_db

URL = "/setup/options/"
BOTH = {"record_mail": "on", "hold_mail": "on"}


def fields(client):
    """What a browser would post from the page as it is."""
    form = client.get(URL).context["form"]
    return as_posted({bound.html_name: bound.value() for bound in form})


def as_posted(values):
    return {
        name: "on" if value is True else value
        for name, value in values.items()
        if value is not None and value is not False
    }


def save(client, _from=None, **changes):
    """Post the page as it is (or was), with fields changed; None unticks."""
    posted = (_from or fields(client)) | changes
    return client.post(URL, {name: value for name, value in posted.items() if value is not None})


def log():
    return [(change.field, change.before, change.after) for change in options.log()]


# --- Who, and the two options ------------------------------------------------------------------------


@pytest.mark.parametrize("role", [roles.VIEWER, roles.OPERATOR])
def test_only_admins_see_and_change_them(client, operator, role):
    client.force_login(make_user("vera", role=role))
    for response in (client.get(URL), client.post(URL, BOTH)):
        assert response.status_code == 403
        assert "Only an administrator" in words(response)
    assert "Company options" not in words(client.get("/messages/"))
    assert not CompanyOptions.objects.exists()


def test_menu_leads_there(admin):
    page = admin.get("/messages/").content.decode()
    assert re.search(rf'Defaults</span>.*href="{URL}".*Company options\s*</a>', page, re.DOTALL)


def test_both_are_off_until_somebody_switches_them_on_and_the_page_says_what_that_means(admin):
    assert not (options.options().record_mail or options.options().hold_mail)
    assert "Both off In effect now Every email is sent at once, and nothing is kept." in words(admin.get(URL))
    save(admin, record_mail="on")
    assert "Record only In effect now Every email is sent at once and recorded" in words(admin.get(URL))
    save(admin, hold_mail="on")
    assert "Record and hold In effect now Email is recorded and waits in the queue for Batch" in words(admin.get(URL))
    assert (options.options().record_mail, options.options().hold_mail) == (True, True)


@pytest.mark.slow
def test_holding_needs_recording_and_says_so(admin):
    assert "Needs “Record outbound email”" in words(admin.get(URL))
    response = save(admin, hold_mail="on")
    assert response.status_code == 422
    assert list(response.context["form"].errors) == ["hold_mail"]
    assert "What is not recorded cannot be held. Tick “Record outbound email” as well" in words(response)
    save(admin, **BOTH)
    assert save(admin, record_mail=None).status_code == 422
    assert (options.options().record_mail, options.options().hold_mail) == (True, True)


def test_saving_nothing_new_writes_nothing(admin):
    save(admin, **BOTH)
    before = options.options().version, AuditEntry.objects.count()
    assert "Nothing was changed." in words(save(admin) and admin.get(URL))
    assert (options.options().version, AuditEntry.objects.count()) == before


# --- Mail in flight ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_queued_stays_queued_when_holding_is_switched_off_and_says_so(admin):
    save(admin, **BOTH)
    messages = [make_message(f"c{number}@example.com", due=False) for number in range(3)]
    said = "3 messages wait in the queue; they stay there until a batch or a person sends them."
    assert said not in words(admin.get("/messages/"))
    save(admin, hold_mail=None)
    page = admin.get(URL)
    assert said in words(page)
    assert 'href="/messages/">See them</a>' in page.content.decode()
    assert said in words(admin.get("/messages/"))
    assert {message.status for message in Message.objects.filter(pk__in=[m.pk for m in messages])} == {"queued"}
    save(admin, hold_mail="on")
    assert said in words(admin.get(URL))  # saving them
    assert said not in words(admin.get(URL))
    assert said not in words(admin.get("/messages/"))


def test_list_says_nothing_of_what_goes_by_itself(admin):
    make_message("c@example.com")
    assert "wait in the queue" not in words(admin.get("/messages/"))
    make_message("d@example.com", due=False)
    assert "1 message waits in the queue; it stays there" in words(admin.get("/messages/"))
    assert "Messages wait in the queue; they stay there" in words(admin.get("/messages/?q=appointment"))


# --- Every field -------------------------------------------------------------------------------------

LONG = "x" * 10_000


REFUSED = [
    ("failed_window_minutes", "", "from 0 to 1440"), ("failed_window_minutes", "-1", "from 0 to 1440"),
    ("failed_window_minutes", "1441", "from 0 to 1440"), ("failed_window_minutes", "soon", "from 0 to 1440"),
    ("no-address_window_minutes", "9" * 400, "from 0 to 1440"),
    ("company_name", "x" * 121, "at most 120"), ("company_name", "A\r\nB", "Line breaks"),
    ("company_name", "A\0B", "Null characters"), ("company_name", "moc.\u202eexe", "control characters"),
    ("company_address", "office", "not a valid"), ("company_address", "a@b@example.com", "not a valid"),
    ("company_address", "a b@example.com", "not"), ("company_address", "a@example.com, b@example.com", "no"),
    ("company_address", "a@example.com\r\nBcc: b@example.com", "line break"),
    ("company_address", "Office <a@example.com>", "not a valid"), ("company_address", "a@example..com", "not"),
    ("company_address", "a@" + LONG, "at most 320"),
    ("company_address", "list:a@example.com;", "not a valid"), ("company_address", "a\0@example.com", "Null"),
    ("console_url", "outtray.example.com", "as the browser shows it"),
    ("console_url", "javascript:alert(1)", "as the browser shows it"),
    ("console_url", "ftp://outtray.example.com", "as the browser shows it"),
    ("console_url", "https://", "as the browser shows it"), ("console_url", "https://x:70000", "as the browser"),
    ("console_url", "https://me:secret@outtray.example.com", "as the browser shows it"),
    ("console_url", "https://outtray.example.com/?next=x", "as the browser shows it"),
    ("console_url", "https://outtray.example.com/#x", "as the browser shows it"),
    ("console_url", "https://out tray.example.com", "spaces"), ("console_url", 'https://x.example/"><b>', "quotes"),
    ("console_url", "https://outtray.example.com/a\r\nb", "line breaks"),
    ("console_url", "https://-x-/", "not a valid server name"), ("console_url", "https://[::1", "as the browser"),
    ("console_url", "https://" + "x" * 300, "at most 200"),
    ("time_zone", "Berlin", "Did you mean Europe/Berlin?"), ("time_zone", "../../etc/passwd", "not a time zone"),
    ("time_zone", "<script>", "not a time zone"), ("time_zone", "x" * 61, "at most 60"),
    ("language", "tlh", "valid choice"), ("language", "", "required"), ("language", "<script>", "valid choice"),
    ("bypass", ["invoice"], "Choose from the list"),
    ("other_categories", "x" * 41, "is not a category"), ("other_categories", "al\0arm", "Null characters"),
    ("other_categories", "al\tarm", "is not a category"), ("other_categories", "a\u202eb", "is not a category"),
    ("other_categories", LONG, "at most"), ("other_categories", "\n".join(map(str, range(101))), "At most 100"),
]  # fmt: skip


def assert_refused(admin, posted, field, value, said):
    response = save(admin, posted, **{"company_name": "Brightwater", field: value})
    form = response.context["form"]
    assert response.status_code == 422
    assert list(form.errors) == [field]
    assert said in " ".join(form.errors[field])
    assert "Nothing was saved yet." in words(response)
    assert "<script>" not in re.sub(r"<script (type|src)", "", response.content.decode())
    assert not CompanyOptions.objects.exists()


@pytest.mark.slow
@pytest.mark.parametrize("field", sampled(dict.fromkeys(field for field, _, _ in REFUSED)))
def test_senseless_values_are_refused_with_what_is_allowed(admin, field, subtests):
    posted = fields(admin)
    for value, said in [(value, said) for name, value, said in REFUSED if name == field]:
        with subtests.test(value=value[:60]):
            assert_refused(admin, posted, field, value, said)


@pytest.mark.parametrize(
    ("field", "value"),
    matrix(
        ["max_tries", "retry_hours", "expire_days", "idle_minutes", "session_hours"],
        ["0", "-1", "1.5", "abc", "70000", "9" * 400, "<script>", "1\r\n2"],
    ),
)
def test_what_is_no_number_is_refused(admin, field, value):
    assert_refused(admin, fields(admin), field, value, "Enter a number")


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("max_tries", "50", 50), ("max_tries", "", None), ("retry_hours", "720", 720), ("expire_days", " 30 ", 30),
        ("company_name", " Müller & Söhne 🌻 ", "Müller & Söhne 🌻"), ("company_name", "<b>", "<b>"),
        ("company_address", "Office@BÜRO.example", "Office@xn--bro-hoa.example"), ("company_address", "", ""),
        ("company_address", "office@localhost", "office@localhost"),
        ("console_url", "https://outtray.example.com/", "https://outtray.example.com"),
        ("console_url", "HTTP://Localhost:8000", "http://localhost:8000"),
        ("console_url", "https://[2001:db8::1]:8443/mail/", "https://[2001:db8::1]:8443/mail"),
        ("console_url", "https://bücher.example", "https://xn--bcher-kva.example"),
        ("time_zone", "Europe/Berlin", "Europe/Berlin"), ("language", "en-us", "en-us"),
        ("operators_see_all", None, False),
        ("idle_minutes", "5", 5), ("idle_minutes", "20160", 20160), ("session_hours", " 336 ", 336),
    ],
)  # fmt: skip
def test_values_are_kept(admin, field, value, kept):
    assert save(admin, max_tries="7", company_address="a@example.com").status_code == 302
    assert save(admin, **{field: value}).status_code == 302
    assert getattr(options.options(), field) == kept


def test_categories_that_are_not_held(admin):
    assert set(fields(admin)["bypass"]) == {"password-reset", "notice", "test-message"}
    save(admin, bypass=["notice"], other_categories=" Alarm \n\nalarm\r\nNotice\nnight shift\n")
    assert options.options().urgent_categories == "notice\nalarm\nnight shift"
    assert options.urgent_categories(options.options()) == {"notice", "alarm", "night shift"}
    assert fields(admin)["other_categories"] == "alarm\nnight shift"
    save(admin, bypass=None, other_categories="")
    assert options.urgent_categories(options.options()) == set()


def test_what_was_typed_is_kept_when_something_else_is_wrong(admin):
    response = save(admin, company_name="Brightwater", expire_days="never", failed_to_company="on", bypass=["notice"])
    page = response.content.decode()
    assert 'value="Brightwater"' in page
    assert 'value="never"' in page
    assert response.context["form"]["failed_to_company"].value() is True
    assert response.context["form"]["bypass"].value() == ["notice"]


# --- Notices -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_kind_of_notice_has_its_rule(admin):
    for number, kind in enumerate(NoticeKind.values):
        save(admin, **{f"{kind}_is_on": "on" if number else None, f"{kind}_to_author": "on", f"{kind}_to_admins": None,
                       f"{kind}_to_company": None, f"{kind}_window_minutes": str(number)})  # fmt: skip
    rules = options.notice_rules()
    for number, kind in enumerate(NoticeKind.values):
        rule = rules[kind]
        assert (rule.is_on, rule.to_author, rule.to_admins, rule.to_company, rule.window_minutes) == (
            bool(number), True, False, False, number)  # fmt: skip
    assert "Permanent failures: notices switched off" in words(admin.get(URL))


def warnings(response):
    return {row.kind: row.warning for row in response.context["rules"] if row.warning}


@pytest.mark.slow
def test_a_notice_that_reaches_nobody_is_warned_of(admin, operator):
    assert list(warnings(admin.get(URL))) == ["no-address"]  # to the company, whose address is missing
    save(admin, company_address="office@example.com", paused_to_admins=None, unknown_to_author=None)
    page = admin.get(URL)
    assert list(warnings(page)) == ["paused"]
    assert "No one would be told." in words(page)
    save(admin, paused_is_on=None)
    assert warnings(admin.get(URL)) == {}
    operator.email = ""
    operator.save()
    assert list(warnings(admin.get(URL))) == ["unknown"]
    assert "No administrator has an email address" in words(admin.get(URL))
    assert (
        "The main company address is missing" in warnings(save(admin, company_address="", language="x"))["no-address"]
    )


# --- The lock and the log ----------------------------------------------------------------------------


def test_second_admin_sees_what_changed_keeps_what_they_typed_and_can_save_again(admin, second_admin):
    opened = fields(admin)
    save(second_admin, company_name="Brightwater", max_tries="5", other_categories="alarm", operators_see_all=None,
         failed_window_minutes="30", time_zone="Europe/London")  # fmt: skip
    response = save(admin, opened, company_name="Bright Water", expire_days="30")
    assert response.status_code == 422
    page = words(response)
    assert "Another user changed these options while you had them open" in page
    for said in ("Company name: set to “Brightwater”, by Ben", "Tries at most: set to “5”, by Ben",
                  "Operators and viewers see all messages: switched off, by Ben",
                  "Permanent failures: collected for minutes: from “15” to “30”, by Ben"):  # fmt: skip
        assert said in page, said
    assert (options.options().company_name, options.options().expire_days) == ("Brightwater", None)
    form = response.context["form"]
    shown = {bound.html_name: bound.value() for bound in form}
    # What was typed stays, what was not touched is theirs.
    assert (shown["company_name"], shown["expire_days"]) == ("Bright Water", "30")
    assert (shown["max_tries"], shown["failed_window_minutes"]) == ("5", "30")
    assert (shown["other_categories"], shown["operators_see_all"]) == ("alarm", False)
    assert shown["time_zone"] == "Europe/London"
    assert admin.post(URL, as_posted(shown)).status_code == 302
    row = options.options()
    assert (row.company_name, row.expire_days, row.max_tries) == ("Bright Water", 30, 5)
    assert (row.operators_see_all, row.time_zone) == (False, "Europe/London")
    assert options.notice_rules()["failed"].window_minutes == 30


def test_server_mail_settings_do_not_count_as_a_change_of_these(admin, second_admin):
    """Both have a time zone."""
    save(admin, time_zone="Europe/Berlin")
    changes.save(None, {"time_zone": "Asia/Tokyo"}, by=None)
    assert log() == [("time_zone", "", "Europe/Berlin")]
    assert [change.after for change in changes.log(None)] == ["Asia/Tokyo"]
    assert "Asia/Tokyo" not in words(admin.get(URL)).partition("Changes so far")[2]


@pytest.mark.parametrize("version", ["", "abc", "-1", "9" * 30, "7", "1\0"])
def test_forged_version_overwrites_nothing(admin, second_admin, version):
    save(second_admin, company_name="Brightwater")
    response = save(admin, company_name="Mine", version=version)
    assert response.status_code == 422
    assert options.options().company_name == "Brightwater"


def test_saved_between_check_and_write(admin, second_admin, monkeypatch):
    opened, real = fields(admin), options.save

    def late(*args, **kwargs):
        monkeypatch.setattr(options, "save", real)
        save(second_admin, company_name="Brightwater")
        return real(*args, **kwargs)

    monkeypatch.setattr(options, "save", late)
    response = save(admin, opened, company_name="Mine")
    assert response.status_code == 422
    assert "Company name: set to “Brightwater”, by Ben" in words(response)
    assert options.options().company_name == "Brightwater"


def test_every_change_is_in_the_log_in_words(admin, operator):
    save(admin, **BOTH, expire_days="30", time_zone="Europe/Berlin", language="en-us", bypass=["notice"])
    save(admin, expire_days="", hold_mail=None, company_name="<b>Brightwater</b>")
    page = admin.get(URL)
    shown = {(line.what, line.words, line.entry.by) for line in page.context["changes"]}
    assert shown >= {
        ("Record outbound email", "switched on", operator),
        ("Hold recorded email for Batch Message Processing", "switched off", operator),
        ("Days in the queue", "set to “30”", operator),
        ("Days in the queue", "emptied, it was “30”", operator),
        ("Time zone", "set to “Europe/Berlin”", operator),
        ("Language", "from “English (United Kingdom)” to “English (United States)”", operator),
        ("Categories that are not held", "from “password-reset, notice, test-message” to “notice”", operator),
    }
    assert "&lt;b&gt;Brightwater" in page.content.decode()
    options.save({"company_name": "Demo"}, by=None, via="make run")
    assert "a command (make run)" in words(admin.get(URL))


# --- In effect at once -------------------------------------------------------------------------------


def test_company_is_named_beside_the_menu_and_in_titles(admin):
    save(admin, company_name="Müller & Söhne")
    page = admin.get("/messages/").content.decode()
    assert "<title>Message queue · Müller &amp; Söhne · Outtray</title>" in page
    assert ">Müller &amp; Söhne</p>" in page
    admin.logout()
    assert ">Müller &amp; Söhne</p>" in admin.get("/accounts/login/").content.decode()


def test_times_are_told_in_the_companys_time_zone_and_language(admin, clock):
    clock.now = dt.datetime(2026, 7, 1, 15, 5, 9, tzinfo=dt.UTC)
    message = make_message("c@example.com", due=False)

    def told():
        page = admin.get(f"/messages/{message.pk}/").content.decode()
        return re.findall(r"<time[^>]*>([^<]+)", page)

    assert "1 Jul 2026, 15:05:09" in told()
    save(admin, time_zone="Europe/Berlin")
    assert "1 Jul 2026, 17:05:09" in told()
    assert 'title="Wednesday 1 July 2026, 17:05:09 CEST">17:05' in admin.get("/messages/").content.decode()
    save(admin, language="en-us")
    assert "July 1, 2026, 5:05:09 p.m." in told()
    page = admin.get("/messages/").content.decode()
    assert '<html lang="en-US">' in page
    assert 'title="Wednesday, July 1, 2026, 5:05:09 p.m. CEST">5:05 p.m.' in page
    assert timezone.get_current_timezone_name() == "UTC"  # of whatever comes after the request


def test_days_of_the_filter_are_the_companys(admin, clock):
    clock.now = dt.datetime(2026, 7, 1, 22, 30, tzinfo=dt.UTC)  # 2 July in Berlin
    make_message("c@example.com", due=False)
    assert admin.get("/messages/?date_from=2026-07-02").context["page"].total == 0
    save(admin, time_zone="Europe/Berlin")
    assert admin.get("/messages/?date_from=2026-07-02").context["page"].total == 1


def test_time_zone_that_this_machine_does_not_know_fails_no_page(admin):
    CompanyOptions.objects.create(pk=1, time_zone="Atlantis/Centre", language="tlh")
    assert admin.get("/messages/").status_code == 200
    assert admin.get(URL).status_code == 200
    assert admin.get("/messages/new/").status_code == 200


def test_words_made_outside_a_request_are_local_too(db):
    options.save({"time_zone": "Asia/Tokyo", "language": "en-us"}, by=None)
    with options.local() as company:
        assert company.time_zone == "Asia/Tokyo"
        assert timezone.get_current_timezone_name() == "Asia/Tokyo"
    assert timezone.get_current_timezone_name() == "UTC"


def test_pages_read_them_once_and_monitors_not_at_all(admin, django_assert_num_queries, django_assert_max_num_queries):
    save(admin, company_name="Brightwater")
    with CaptureQueriesContext(connection) as statements:
        admin.get("/messages/")
    assert sum("messaging_companyoptions" in each["sql"] for each in statements) == 1
    admin.logout()
    with django_assert_num_queries(0):
        assert admin.get("/healthz").status_code == 200


# --- Expiry ------------------------------------------------------------------------------------------

EXPIRED = "Not sent within 30 days of being queued, the limit in Company options. Send it again if it is still needed."


def test_mail_that_waited_too_long_has_failed_says_why_and_can_be_sent_again(
    admin, operator, clock, mail_server, email_setup
):
    save(admin, expire_days="30")
    message = make_message("c@example.com", due=False)
    clock.goes_on(days=29)
    young = make_message("d@example.com", due=False)
    housekeeping.sweep(clock())
    assert not Message.objects.filter(status="failed").exists()
    clock.goes_on(days=1, seconds=1)
    housekeeping.sweep(clock())
    message.refresh_from_db()
    assert (message.status, in_words(message.reason)) == ("failed", EXPIRED)
    assert in_words(message.notice_items.get().reason) == EXPIRED
    assert in_words(message.events.last().what) == EXPIRED
    young.refresh_from_db()
    assert young.status == "queued"
    still_there()
    page = words(admin.get(f"/messages/{message.pk}/"))
    assert EXPIRED in page
    assert "Not sent" in page
    admin.post(f"/messages/{message.pk}/retry/")
    housekeeping.sweep(clock())
    message.refresh_from_db()
    assert message.status == "queued"
    assert run_lane(operator.pk, clock=clock) == 1
    message.refresh_from_db()
    assert message.status == "sent"
    assert len(mail_server.received) == 1


def test_what_is_held_due_put_off_or_in_a_batch_does_not_expire(admin, operator, clock, email_setup):
    save(admin, expire_days="1")
    held, put_off, chosen, due = (make_message(f"c{number}@example.com", due=False) for number in range(4))
    actions.hold(held, by=operator, why="disputed")
    Message.objects.filter(pk=put_off.pk).update(not_before=clock() + dt.timedelta(days=9))
    batch = batches.choose(Message.objects.filter(pk=chosen.pk), by=operator, account=operator)
    batches.confirm(batch, by=operator)
    clock.goes_on(days=2)
    Message.objects.filter(pk=due.pk).update(not_before=clock())
    housekeeping.sweep(clock())
    assert not Message.objects.filter(status="failed").exists()
    clock.goes_on(days=2)
    housekeeping.sweep(clock())  # due for more than a day, and still not sent
    assert [message.pk for message in Message.objects.filter(status="failed")] == [due.pk]


def test_expiry_goes_by_chunks_and_costs_nothing_while_it_is_off(clock, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(housekeeping, "CHUNK", 2)
    for number in range(3):
        make_message(f"c{number}@example.com", due=False)
    clock.goes_on(days=400)
    housekeeping.sweep(clock())
    with django_assert_max_num_queries(8):
        housekeeping.sweep(clock())
    assert not Message.objects.filter(status="failed").exists()
    options.save({"expire_days": 1}, by=None)
    housekeeping.sweep(clock())
    assert Message.objects.filter(status="failed").count() == 2
    housekeeping.sweep(clock())
    assert {row.status for row in Message.objects.all()} == {"failed"}
    assert in_words(Message.objects.first().reason).startswith("Not sent within a day of being queued")


# --- Limits ------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_tries_are_limited_and_the_console_says_of_how_many(admin, clock):
    save(admin, max_tries="3")
    with FaultServer() as server:
        server.at("RCPT", "451 4.3.0 try later")
        set_up(server)
        message = make_message("c@example.com")
        for tries, said in ((1, "(2 of 3)"), (2, "(3 of 3)")):
            run_lane(clock=clock)
            message.refresh_from_db()
            assert (message.status, message.tries) == ("queued", tries)
            assert said in next_try(message)
            assert said in words(admin.get("/messages/"))
            clock.now = message.not_before
        run_lane(clock=clock)
    message.refresh_from_db()
    assert (message.status, message.tries) == ("failed", 3)
    assert in_words(message.reason).endswith("Given up after 3 tries.")


@pytest.mark.django_db(transaction=True)
def test_time_of_trying_is_limited(admin, clock):
    save(admin, retry_hours="1", max_tries="50")
    with FaultServer() as server:
        server.at("RCPT", "451 4.3.0 try later")
        set_up(server)
        message = make_message("c@example.com")
        began = clock()
        for _ in range(50):
            run_lane(clock=clock)
            message.refresh_from_db()
            if message.status == "failed":
                break
            assert message.give_up_at == began + dt.timedelta(hours=1)
            clock.now = message.not_before
    assert message.status == "failed"
    assert 2 < message.tries < 8
    assert clock() <= began + dt.timedelta(hours=1)


def by_retry(message, operator):
    actions.retry(message, by=operator)


def by_another_batch(message, operator):
    first = draft_batch(message, by=operator, account=None)
    batches.confirm(draft_batch(message, by=operator, account=None, retry_of=first), by=operator)


def by_correcting_it(message, operator):
    current = versions.current(message)
    wanted = editing.Edit(current.to, current.cc, current.bcc, "Corrected", None, frozenset(), [])
    editing.apply(message, wanted, by=operator, seen=0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sent_once_more", [by_retry, by_another_batch, by_correcting_it])
def test_what_is_sent_once_more_has_all_its_tries_and_its_whole_time_again(admin, operator, clock, sent_once_more):
    save(admin, max_tries="2", retry_hours="1")
    with FaultServer() as server:
        server.at("RCPT", "451 4.3.0 try later")
        set_up(server)
        message = make_message("c@example.com")
        for _ in range(2):
            run_lane(clock=clock)
            message.refresh_from_db()
            clock.now = message.not_before or clock()
        assert (message.status, message.tries) == ("failed", 2)
        clock.goes_on(days=2)
        still_there()
        save(admin, max_tries="3", retry_hours="5")
        sent_once_more(message, operator)
        message.refresh_from_db()
        assert (message.tries, message.max_tries, message.give_up_at, message.is_immediate) == (0, None, None, False)
        for tries in (1, 2, 3):
            assert message.status == "queued"
            clock.now = max(clock(), message.not_before)
            run_lane(message.account_id, clock=clock)
            message.refresh_from_db()
            assert message.tries == tries
        assert message.status == "failed"


@pytest.mark.django_db(transaction=True)
def test_lane_that_runs_already_keeps_to_what_was_saved_meanwhile(admin, settings):
    """No restart: it reads the limits with each claim."""
    settings.CLAIM_SIZE = 1
    messages = []

    def change_after_the_first():
        options.save({"max_tries": 1}, by=None)
        connections.close_all()
        return "451 4.3.0 try later"

    with FaultServer(pipelining=False) as server:
        server.at("RCPT", [change_after_the_first, "451 4.3.0 try later"])
        set_up(server)
        messages = [make_message("a@example.com"), make_message("b@example.com")]
        lane = Lane(None)
        lane.claim_size = 1
        lane.run()
    first, second = (Message.objects.get(pk=message.pk) for message in messages)
    assert (first.status, first.tries) == ("queued", 1)
    assert second.status == "failed"
    assert in_words(second.reason).endswith("Given up after 1 try.")


def test_rules_have_all_the_kinds():
    assert set(options.notice_rules()) == set(NoticeKind.values)
    assert not NoticeRule.objects.exists()
