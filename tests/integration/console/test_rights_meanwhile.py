"""Rights are asked again where an order is carried out: a request that is under way when they end does nothing.

A user who expects to be put out may keep a request under way, with the rights of before.
"""

import datetime as dt
import io
import threading
from dataclasses import dataclass

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from messaging import users
from messaging.access import roles, second_factor, sessions
from messaging.access.sign_in_throttling import account_of
from messaging.company import options
from messaging.models import (
    AccountPause,
    AuditEntry,
    EmailSettings,
    FormSubmission,
    Message,
    Recipient,
    RefusalStreak,
    Restore,
    Schedule,
    SignInTries,
)
from messaging.queue import batches, offboarding, refusal_answers
from tests import services
from tests.authenticator import code_of, key_on
from tests.factories import browser_of, confirmed_batch, draft_batch, hold_mail, make_message, make_user, put
from tests.meanwhile import meanwhile
from tests.pages import as_of, filled, in_form, words
from tests.rows import dump
from tests.sizes import matrix, sampled
from tests.steps import elsewhere, in_threads, somebody_waits_for_us

from .test_roles import EXPECTED

pytestmark = [pytest.mark.django_db, pytest.mark.attack]

PASSWORD = "correct horse battery"
LATER = timezone.now() + dt.timedelta(days=1)
# What a request leaves that does nothing: the sign-in it led to, what was typed, the numbers that were given out.
NO_ORDER = (
    "messaging_usersession", "messaging_keptform", "messaging_signintries", "messaging_lineage", "sqlite_sequence"
)  # fmt: skip


@dataclass
class Office:
    """Xena, an administrator, is at the browser; Boss is another one."""

    xena: object
    boss: object
    tom: object
    browser: object


@pytest.fixture
def office(email_setup):
    hold_mail()
    xena = make_user("xena", "xena@office.example", PASSWORD, role=roles.ADMIN)
    tom = make_user("tom", "tom@office.example", PASSWORD)
    return Office(xena, make_user("boss", role=roles.ADMIN), tom, browser_of(xena))


# --- Orders: what is sent where, that would do something -----------------------------------------------------


def on_message(action, given=None, **values):
    def order(office):
        message = put(make_message("a@example.com", due=False), **(given or {}))
        if given and given.get("status") in ("failed", "unknown"):
            message.recipients.update(status=given["status"])
        return f"/messages/{message.pk}/{action}/", values

    return order


def as_draft(action):
    def order(office):
        EmailSettings.objects.create(account=office.xena, send_type=1)
        holder = {} if action == "hand-over" else {"status": "held", "handed_to": office.xena}
        message = put(make_message("a@example.com", due=False), **holder)
        return f"/messages/{message.pk}/{action}/", {}

    return order


def in_bulk(office):
    message = make_message("a@example.com", due=False)
    given = {"action": "cancel", "message": message.pk, "why": "no", "as_of": as_of(office.browser)}
    return "/messages/bulk/", given


def letter(do, **values):
    def order(office):
        EmailSettings.objects.filter(account=None).update(from_address="office@brightwater.example")
        if do == "send":
            hold_mail(hold=False)
        if do == "open":
            EmailSettings.objects.create(account=office.xena, send_type=1)
        form = {"to": "b@example.com", "subject": "S", "text": "T", "do": do} | values
        return "/messages/new/", filled(office.browser, "/messages/new/", within="subject", **form)

    return order


def an_edit(office):
    message = make_message("a@example.com", due=False)
    url = f"/messages/{message.pk}/edit/"
    return url, filled(office.browser, url, within="subject", subject="Another")


def new_batch(office):
    return "/batches/new/", {"message": make_message("a@example.com", due=False).pk}


def on_batch(action):
    def order(office):
        if action == "confirm":
            batch = draft_batch(make_message("a@example.com", due=False), by=office.xena)
        else:
            batch = confirmed_batch(office.xena, "a@example.com")
        if action == "retry":
            put(batch.items.get().message, status="failed")
        return f"/batches/{batch.pk}/{action}/", {"status": "confirmed"}

    return order


def on_sending(action, kind="", **values):
    def order(office):
        more = {}
        if kind:
            pause = AccountPause.objects.create(account=None, kind=kind, since=timezone.now(), until=LATER)
            more["pause"] = AccountPause.objects.get(pk=pause.pk).mark
        return f"/sending/company/{action}/", values | more

    return order


def an_answer(action):
    def order(office):
        pause = AccountPause.objects.create(account=None, kind="doubt", since=timezone.now())
        streak = RefusalStreak.objects.create(
            account=None, last_at=timezone.now(), asked_at=timezone.now(), pause=pause, stage="rcpt"
        )
        message = put(make_message("a@example.com"), status="failed")
        Recipient.objects.filter(message=message).update(status="failed", streak=streak)
        return f"/sending/company/{action}/", {"question": streak.pk, "failed": refusal_answers.mark_of(streak)}

    return order


def after_a_restore(office):
    restore = Restore.objects.create(noticed_at=timezone.now())
    return f"/restored/{restore.pk}/", {"answer": "moved"}


def in_form_of(url, *, within, **changes):
    return lambda office: (url, filled(office.browser, url, within=within, **changes))


def on_user(what, **values):
    return lambda office: (f"/setup/users/{office.tom.pk}/{what}", values)


def settings_of_tom(office):
    url = "/setup/email/users/tom/"
    return url, filled(office.browser, url, within="ehlo_name", from_address="tom2@office.example")


def change_of_tom(office):
    url = f"/setup/users/{office.tom.pk}/"
    return url, filled(office.browser, url, within="version", last_name="Oak")


def own_role_back(office):
    """What no one is refused who has it: the form of the next version, sent before the role is taken away."""
    url = f"/setup/users/{office.xena.pk}/"
    form = filled(office.browser, url, within="version")
    return url, form | {"version": int(form["version"][0]) + 1, "role": roles.ADMIN, "last_name": "Again"}


def second_factor_of_tom(office):
    second_factor.switch_on(office.tom, key := second_factor.new_key(), code_of(key), replaces=False)
    return f"/setup/users/{office.tom.pk}/second-factor/", {}


def session_of_tom(office):
    browser_of(office.tom)
    return f"/setup/users/{office.tom.pk}/sign-out/", {}


def delay_of_tom(office):
    SignInTries.objects.create(account=account_of("tom"), place="192.0.2.1", door="password", tries=9,
                               since=timezone.now(), last_at=timezone.now())  # fmt: skip
    return "/setup/users/delays/", {"user": office.tom.pk}


def a_schedule(what, **values):
    def order(office):
        make_message("a@example.com", due=False)
        row = Schedule.objects.create(
            name="Evenings", times="18:00", days="1", time_zone="Europe/Berlin", since=timezone.now()
        )
        url = f"/setup/schedules/{row.pk}/{what}"
        return url, values | {"version": row.version} if what else filled(
            office.browser, url, within="name", name="Mornings"
        )

    return order


def own_password(office):
    return "/preferences/password/", {
        "old_password": PASSWORD, "new_password1": "another horse battery", "new_password2": "another horse battery"
    }  # fmt: skip


def own_sessions(office):
    browser_of(office.xena)
    return "/preferences/sessions/end/", {}


def own_second_factor(what):
    def order(office):
        if what == "set-up":
            url = "/preferences/security/set-up/"
            return url, {"first": code_of(key_on(office.browser.get(url))), "password": PASSWORD}
        second_factor.switch_on(office.xena, key := second_factor.new_key(), code_of(key, -1), replaces=False)
        office.browser = browser_of(office.xena)
        return f"/preferences/security/{what}/", {f"{what}-password": PASSWORD, f"{what}-code": code_of(key)}

    return order


FAILED, UNKNOWN, HELD = {"status": "failed"}, {"status": "unknown"}, {"status": "held"}
ORDERS = {
    "message-action hold": on_message("hold", why="wait"),
    "message-action release": on_message("release", HELD),
    "message-action cancel": on_message("cancel", why="no"),
    "message-action retry": on_message("retry", FAILED),
    "message-action send-again": on_message("send-again", UNKNOWN),
    "message-action mark-as-sent": on_message("mark-as-sent", UNKNOWN),
    "message-action try-now": on_message("try-now", {"not_before": LATER}),
    "message-action hand-over": as_draft("hand-over"),
    "message-action sent-from-mail-program": as_draft("sent-from-mail-program"),
    "message-action put-back": as_draft("put-back"),
    "messages-bulk": in_bulk,
    "message-new queue": letter("queue"),
    "message-new at": letter("at", at=in_form(LATER)),
    "message-new send": letter("send"),
    "message-new open": letter("open"),
    "message-edit": an_edit,
    "batch-new": new_batch,
    "batch-confirm": on_batch("confirm"),
    "batch-cancel": on_batch("cancel"),
    "batch-retry": on_batch("retry"),
    "sending-action pause": on_sending("pause", why="stop"),
    "sending-action resume": on_sending("resume", "person"),
    "sending-action try-now": on_sending("try-now", "fault"),
    "sending-action it-was-us": an_answer("it-was-us"),
    "sending-action go-on": an_answer("go-on"),
    "restore-answer": after_a_restore,
    "setup-email": in_form_of("/setup/email/", within="ehlo_name", ehlo_name="other.example"),
    "setup-user": settings_of_tom,
    "preferences-email": in_form_of("/preferences/email/", within="ehlo_name", from_address="xena@office.example"),
    "setup-email-users": in_form_of("/setup/email/users/", within="version", user_servers="mail.example.com"),
    "setup-options": in_form_of("/setup/options/", within="version", company_name="Another"),
    "setup-schedule-new": in_form_of("/setup/schedules/new/", within="name", name="Mornings", times="07:00"),
    "setup-schedule": a_schedule(""),
    "setup-schedule-switch": a_schedule("switch/", on="0"),
    "setup-schedule-run": a_schedule("run/"),
    "setup-schedule-delete": a_schedule("delete/"),
    "setup-users": in_form_of("/setup/users/", within="username", username="newcomer", role=roles.ADMIN),
    "setup-users-delays": delay_of_tom,
    "setup-users-one": change_of_tom,
    "setup-users-password": on_user("password/"),
    "setup-users-second-factor": second_factor_of_tom,
    "setup-users-sign-out": session_of_tom,
    "preferences-password": own_password,
    "preferences-sessions-end": own_sessions,
    "preferences-security-set-up": own_second_factor("set-up"),
    "preferences-security-codes": own_second_factor("codes"),
    "preferences-security-off": own_second_factor("off"),
}


def role_taken(office):
    users.change(office.xena, {"role": ""}, by=office.boss, decision=offboarding.Decision(offboarding.Choice.LET_GO))


def deactivated(office):
    users.change(
        office.xena, {"is_active": False}, by=office.boss, decision=offboarding.Decision(offboarding.Choice.LET_GO)
    )


def signed_out(office):
    sessions.end_all(office.xena)


def demoted_by_a_program(office):
    """Past the console: the session goes on."""
    roles.give(office.xena, "")


SIGN_IN, REFUSED = 302, 403
ENDS = {role_taken: SIGN_IN, deactivated: SIGN_IN, signed_out: SIGN_IN, demoted_by_a_program: REFUSED}


def all_rows():
    rows = [row for row in dump() if not row.startswith(NO_ORDER)]
    # A code is used up when it is typed.
    return sorted(row.partition("{")[0] if row.startswith("mfa_") else row for row in rows)


def give(office, settings, order, end=None):
    """An order, and what happens while it is under way; the answer, and the rows before it is carried out and after."""
    url, values = ORDERS[order](office)
    office.browser.get("/messages/")  # whatever the session notes of a page, it has noted
    before = []

    def happens():
        if end is not None:
            end(office)
        before.extend(all_rows())

    with meanwhile(settings, happens):
        browser = Client()
        browser.cookies = office.browser.cookies
        answer = browser.post(url, values)
    return answer, before, all_rows()


@pytest.mark.parametrize("order", ORDERS)
def test_order_is_one_that_does_something(office, settings, order):
    _, before, after = give(office, settings, order)
    assert before != after


@pytest.mark.parametrize(("order", "end"), matrix(list(ORDERS), list(ENDS)))
def test_order_that_is_under_way_when_its_rights_end_does_nothing(office, settings, order, end):
    answer, before, after = give(office, settings, order, end)
    assert before == after
    if end is deactivated and order.startswith("preferences-security"):  # no password is right any more
        assert answer.status_code == 422
        return
    assert answer.status_code == ENDS[end]
    if ENDS[end] == SIGN_IN:
        assert answer["Location"].startswith("/accounts/login/?next=")
    else:
        assert "Nothing was done" in words(answer)


ON_OTHERS = [name for name in ORDERS if name.startswith(("message-action", "messages-bulk", "message-edit", "batch"))]


@pytest.mark.parametrize("order", sampled(ON_OTHERS))
def test_order_of_an_operator_who_sees_only_their_own_by_now_does_nothing(office, settings, order):
    roles.give(office.xena, roles.OPERATOR)
    assert options.options().operators_see_all
    end = lambda office: options.save({"operators_see_all": False}, by=office.boss)  # noqa: E731
    answer, before, after = give(office, settings, order, end)
    assert before == after
    assert answer.status_code == REFUSED
    assert "Nothing was done" in words(answer)


NO_ORDERS = {
    "home", "healthz", "readyz", "health", "session", "setup-schedule-preview",  # they tell something
    "login", "login-code", "logout",  # for everyone
    "setup-email-check", "setup-user-check", "preferences-email-check",  # nothing is sent
    "setup-email-test", "setup-user-test", "preferences-email-test",  # see below
    # What they bring is saved by the function that saves the form of the same settings.
    "setup-email-sign-in", "setup-user-sign-in", "preferences-email-sign-in",
}  # fmt: skip


def test_every_address_that_takes_orders_is_tried():
    takes = {name for name, (_, answers) in EXPECTED.items() if not set(answers[1:]) <= {403, 405}}
    assert takes == {order.split()[0] for order in ORDERS} | NO_ORDERS


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ENDS)
def test_test_message_is_not_sent(office, settings, mail_server, end):
    with meanwhile(settings, lambda: end(office)):
        browser = Client()
        browser.cookies = office.browser.cookies
        page = browser.post("/setup/email/test/", {"recipient": "b@example.com"})
        assert "Nothing was done" in words(page)
    assert not Message.objects.exists()
    assert not mail_server.received


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ENDS)
def test_message_that_a_thread_sends_at_once_is_not_sent(office, settings, mail_server, end):
    url, form = ORDERS["message-new send"](office)
    with meanwhile(settings, lambda: end(office)):
        browser = Client()
        browser.cookies = office.browser.cookies
        assert browser.post(url, form).status_code == ENDS[end]
    assert not Message.objects.exists()
    assert not FormSubmission.objects.exists()
    assert not mail_server.received


# --- What was typed, and what was made --------------------------------------------------------------------------


def test_role_is_not_given_back_by_who_had_it(office, settings):
    """The version that the form names is the one that taking the role away makes."""
    url, form = own_role_back(office)
    assert office.browser.post(url, form).status_code == 422
    with meanwhile(settings, lambda: role_taken(office)):
        browser = Client()
        browser.cookies = office.browser.cookies
        assert browser.post(url, form)["Location"].startswith("/accounts/login/")
    assert roles.given(type(office.xena).objects.get(pk=office.xena.pk)) == ""
    assert [entry.by for entry in AuditEntry.objects.filter(area="users", field="role")] == [office.boss]


def test_form_is_sent_again_after_the_sign_in(office, settings):
    """The key of the letter was not used up, and what was typed is there again."""
    url, form = ORDERS["message-new queue"](office)
    form = {name: value for name, value in form.items() if name != "csrfmiddlewaretoken"}
    with meanwhile(settings, lambda: signed_out(office)):
        browser = Client()
        browser.cookies = office.browser.cookies
        led = browser.post(url, form)
    assert "kept" in led["Location"]
    office.browser = browser_of(office.xena)
    assert office.browser.post(url, form, follow=True).redirect_chain
    assert [message.subject for message in Message.objects.all()] == ["S"]


class Slow(io.BytesIO):
    """The body of a request; something happens before it has arrived."""

    def __init__(self, octets, happens):
        super().__init__(octets)
        self.happens = happens

    def read(self, *size):
        happens, self.happens = self.happens, lambda: None
        happens()
        return super().read(*size)


@pytest.mark.parametrize("end", ENDS)
def test_who_asks_is_read_after_the_body_has_arrived(office, end):
    body = Slow(b"why=stop", lambda: end(office))
    answer = office.browser.post(
        "/sending/company/pause/", b"why=stop", content_type="application/x-www-form-urlencoded",
        **{"wsgi.input": body},
    )  # fmt: skip
    assert answer.status_code == ENDS[end]
    assert not AccountPause.objects.exists()


# --- At the same moment ---------------------------------------------------------------------------------------


@pytest.mark.postgresql
@pytest.mark.services
@pytest.mark.skipif(connection.vendor != "postgresql", reason=services.NO_SERVICES)
@pytest.mark.django_db(transaction=True)
def test_taking_the_rights_waits_for_an_order_that_has_begun(office, monkeypatch):
    """The order is committed first, and so is under way when it is asked what is."""
    message = make_message("a@example.com", due=False)
    waited = []
    takes = threading.Thread(target=elsewhere(lambda: role_taken(office)))
    write = batches.carry_out

    def carry_out(*args, **given):
        takes.start()
        while takes.is_alive() and not waited:
            waited.extend([True] if somebody_waits_for_us() else [])
        return write(*args, **given)

    batch = draft_batch(message, by=office.xena)
    monkeypatch.setattr("messaging.queue.batches.carry_out", carry_out)
    assert office.browser.post(f"/batches/{batch.pk}/confirm/").status_code == 302
    takes.join()
    assert waited
    batch.refresh_from_db()
    assert batch.status == "confirmed"


@pytest.mark.postgresql
@pytest.mark.services
@pytest.mark.skipif(connection.vendor != "postgresql", reason=services.NO_SERVICES)
@pytest.mark.django_db(transaction=True)
def test_administrators_change_each_other_and_the_options_and_nobody_waits_in_a_circle(office):
    people = [office.boss, office.xena]
    browsers = {each: browser_of(each) for each in people}
    places = iter([0, 1] * 10)

    def work():
        me, other = people if next(places) else people[::-1]
        browser = browsers[me]
        for number in range(5):
            url = f"/setup/users/{other.pk}/"
            browser.post(url, filled(browser, url, within="version", last_name=f"N{number}"))
            browser.post(
                "/setup/options/", filled(browser, "/setup/options/", within="version", company_name=f"N{number}")
            )

    assert in_threads(2, work) == []
