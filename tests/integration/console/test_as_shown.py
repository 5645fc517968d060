"""Every order acts on what its page showed: where that has changed since, nothing is done, and it is looked at again.

All without JavaScript. test_rights_meanwhile.py has all orders: each is in COMPARED, or says in NOT_COMPARED why not.
"""

import datetime as dt
from dataclasses import dataclass, field

import pytest
from django.utils import timezone

from messaging import users
from messaging.access import roles
from messaging.company import options
from messaging.console.views import bulk, messages, sending
from messaging.models import EmailSettings, Message, RefusalStreak, Schedule
from messaging.queue import actions, batches, pausing
from messaging.scheduling import schedules
from messaging.setup import changes
from tests.factories import browser_of, draft_batch, fitting, hold_mail, make_message, make_user, put, set_up
from tests.fault_server import FaultServer
from tests.letter_form import saved
from tests.pages import form_of, words
from tests.steps import run_lane

from .test_rights_meanwhile import ORDERS, all_rows

pytestmark = [pytest.mark.django_db, pytest.mark.attack]

LATER = timezone.now() + dt.timedelta(days=1)


@dataclass
class Office:
    """Xena, an administrator, is at the browser; Ben, another one, changes what her page shows."""

    xena: object
    ben: object
    tom: object
    browser: object

    def edit(self, message):
        status = message.status
        saved(browser_of(self.ben), message, to="evil@example.net")
        put(message, status=status, not_before=message.not_before)
        message.recipients.update(status={"failed": "failed"}.get(status, "pending"))


@pytest.fixture
def office(email_setup):
    hold_mail()
    xena = make_user("xena", "xena@office.example", role=roles.ADMIN)
    ben = make_user("ben", "ben@office.example", role=roles.ADMIN, first_name="Ben", last_name="Okoro")
    return Office(xena, ben, make_user("tom", "tom@office.example"), browser_of(xena))


@dataclass
class Case:
    """A page with a form that leads to an address (or has the field `within`), what is typed into it, and what changes
    what it shows; `said` is in the answer. `asks` is posted to get the page.
    """

    page: str
    url: str
    change: object
    typed: dict = field(default_factory=dict)
    said: str = "Look at it"
    within: str = ""
    asks: dict = field(default_factory=dict)


# --- One message ------------------------------------------------------------------------------------------


def on_message(action, given=None, **typed):
    def case(office):
        message = put(make_message("a@example.com", due=False), **(given or {}))
        if message.status == "failed":
            message.recipients.update(status="failed")
        page = f"/messages/{message.pk}/"
        return Case(page, f"{page}{action}/", lambda: office.edit(message), typed)

    return case


def on_unknown(action):
    def lost(message):
        message.recipients.update(status="unknown")
        return put(message, status="unknown", not_before=None)

    def case(office):
        message = lost(make_message("a@example.com", due=False))

        def change():
            actions.send_again(message, by=office.ben)
            lost(message)

        page = f"/messages/{message.pk}/"
        return Case(page, f"{page}{action}/", change)

    return case


def on_draft(action):
    """Xena has it in her mail program; since then she has put it back, and Ben has it in his."""

    def case(office):
        for each in (office.xena, office.ben):
            EmailSettings.objects.create(account=each, send_type=1)
        message = make_message("a@example.com", due=False)
        actions.open_in_mail_program(message, by=office.xena)

        def change():
            actions.put_back(message, by=office.xena)
            actions.open_in_mail_program(message, by=office.ben)

        page = f"/messages/{message.pk}/"
        return Case(page, f"{page}{action}/", change)

    return case


def to_hand_over(office):
    EmailSettings.objects.create(account=office.xena, send_type=1)
    return on_message("hand-over")(office)


def ticked(action):
    def case(office):
        message = make_message("a@example.com", due=False)
        actions.hold(message, by=office.xena, why="Check the price")

        def change():
            actions.release(message, by=office.ben)
            actions.hold(message, by=office.ben, why="Legal: never send this")

        typed = {"action": action, "message": message.pk}
        return Case("/messages/?status=held", "/messages/bulk/", change, typed, "has changed since the list was loaded")

    return case


def all_that_match(action, status, **typed):
    """A lane has tried it since, or Ben has edited it."""

    def case(office):
        message = make_message("a@example.com", due=False)
        if status == "held":
            actions.hold(message, by=office.xena, why="Check the price")

        def change():
            if status == "held":
                office.edit(message)
            else:
                now = timezone.now()
                message.attempts.create(fence=1, started_at=now, finished_at=now, stage="rcpt", outcome="transient")

        chosen = {"action": action, "all_matching": "1"} | typed
        said = "has changed since the list was loaded"
        return Case(f"/messages/?status={status}", "/messages/bulk/", change, chosen, said)

    return case


# --- Batches ----------------------------------------------------------------------------------------------


def on_draft_batch(button, change, said):
    def case(office):
        message = make_message("a@example.com", due=False)
        batch = draft_batch(message, by=office.xena)
        page = batch.get_absolute_url()
        return Case(page, f"{page}{button}/", lambda: change(office, message, batch), said=said)

    return case


def edited(office, message, batch):
    office.edit(message)


def held_and_skipped(office):
    messages = [make_message(f"{name}@example.com", due=False) for name in "ab"]
    actions.hold(messages[1], by=office.ben, why="Legal: not before Monday")
    page = draft_batch(*messages, by=office.xena).get_absolute_url()
    said = "have changed since its review was shown to you, and would be sent now"
    return Case(page, f"{page}confirm/", lambda: actions.release(messages[1], by=office.ben), said=said)


def other_settings(office, message, batch):
    changes.save(None, {"port": 2525}, by=office.ben)


def confirmed(office, message, batch):
    batches.confirm(batch, by=office.ben)


# --- Schedules --------------------------------------------------------------------------------------------


def on_schedule(button, is_on=True, page="", **typed):
    def case(office):
        make_message("a@example.com", due=False)
        make_message("b@example.com", subject="Must not go", due=False)
        row = Schedule.objects.create(
            name="Evenings", times="18:00", days="1", time_zone="Europe/Berlin", since=timezone.now(), is_on=is_on,
            filter="q=Invoice",
        )  # fmt: skip
        url = f"/setup/schedules/{row.pk}/"
        said = "“Evenings” was changed after this page was loaded, and nothing was done. Look at it again."

        def change():
            schedules.save(row.pk, {"filter": "q=Must"}, by=office.ben)

        return Case(page or url, f"{url}{button}/", change, typed, said)

    return case


# --- Pauses -----------------------------------------------------------------------------------------------


def on_pause(button, **typed):
    def case(office):
        pausing.pause(None, by=office.xena, why="Lunch")
        url = f"/sending/company/{button}/"
        where = "#company-pause" if button == "pause" else ""
        return Case(
            "/sending/", url + where, lambda: pausing.pause(None, by=office.ben, why="Wrong prices: send nothing"),
            typed, "Wrong prices: send nothing. Look at it again.",
        )  # fmt: skip

    return case


def on_question(button):
    def case(office):
        with FaultServer() as server:
            set_up(server)
            server.at("RCPT", "550 Zugriff verweigert")
            messages = [make_message(f"a@domain{number}.example") for number in range(6)]
            run_lane()
        streak = RefusalStreak.objects.get()
        last = messages[-1]

        def fails_too():
            put(last, status="failed", not_before=None)
            last.recipients.update(status="failed", streak=streak)

        return Case("/sending/", f"/sending/company/{button}/", fails_too, {}, "Other messages have failed this way")

    return case


# --- What is set up ---------------------------------------------------------------------------------------


def on_form(url, within, change, **typed):
    def case(office):
        here = url.format(office=office)
        return Case(here, here, lambda: change(office), typed, "Another user changed", within)

    return case


def settings_of(whose):
    return lambda office: changes.save(whose(office), {"ehlo_name": "ben.example"}, by=office.ben)


def option(**values):
    return lambda office: options.save(values, by=office.ben)


def change_of_tom(office):
    users.change(office.tom, {"last_name": "Oak"}, by=office.ben)


def decision_about_tom(office):
    """The question is put by a form that is refused; then more comes under way."""

    def late():
        return put(make_message("a@example.com", due=False), account=office.tom, not_before=LATER)

    late()
    url = f"/setup/users/{office.tom.pk}/"
    filled = form_of(office.browser.get(url), within="version") | {"role": roles.VIEWER}
    return Case(url, url, late, {"leaving-choice": "cancel"}, within="leaving-asked", asks=filled)


def edit_of_a_message(office):
    message = make_message("a@example.com", due=False)
    url = f"/messages/{message.pk}/edit/"
    return Case(url, url, lambda: office.edit(message), {"subject": "Another"}, "Ben Okoro", "subject")


def schedule_form(office):
    case = on_schedule("run")(office)
    return Case(case.page, case.page, case.change, {"name": "Mornings"}, "Another user changed this", "name")


COMPARED = {
    "message-action release": on_message("release", fitting(status="held")),
    "message-action cancel": on_message("cancel", why="no"),
    "message-action retry": on_message("retry", {"status": "failed"}),
    "message-action try-now": on_message("try-now", {"not_before": LATER}),
    "message-action send-again": on_unknown("send-again"),
    "message-action mark-as-sent": on_unknown("mark-as-sent"),
    "message-action hand-over": to_hand_over,
    "message-action sent-from-mail-program": on_draft("sent-from-mail-program"),
    "message-action put-back": on_draft("put-back"),
    "messages-bulk release": ticked("release"),
    "messages-bulk cancel": ticked("cancel"),
    "messages-bulk release, all that match": all_that_match("release", "held"),
    "messages-bulk cancel, all that match": all_that_match("cancel", "queued"),
    "messages-bulk hold, all that match": all_that_match("hold", "queued", **{"hold-why": "Wait"}),
    "batch-confirm": on_draft_batch("confirm", edited, "Nothing is confirmed yet"),
    "batch-confirm, what is skipped": held_and_skipped,
    "batch-confirm, the settings": on_draft_batch("confirm", other_settings, "the settings of this batch have changed"),
    "batch-cancel": on_draft_batch("cancel", confirmed, "confirmed by Ben Okoro in the meantime, and not discarded"),
    "setup-schedule-run": on_schedule("run"),
    "setup-schedule-run, from the list": on_schedule("run", page="/setup/schedules/"),
    "setup-schedule-switch": on_schedule("switch", is_on=False),
    "setup-schedule-switch, from the list": on_schedule("switch", is_on=False, page="/setup/schedules/"),
    "setup-schedule-delete": on_schedule("delete"),
    "setup-schedule": schedule_form,
    "setup-email": on_form("/setup/email/", "ehlo_name", settings_of(lambda office: None), port="2525"),
    "setup-user": on_form("/setup/email/users/tom/", "ehlo_name", settings_of(lambda office: office.tom), port="2525"),
    "preferences-email": on_form(
        "/preferences/email/", "ehlo_name", settings_of(lambda office: office.xena), from_address="xena@office.example"
    ),
    "setup-email-users": on_form(
        "/setup/email/users/", "user_servers", option(user_senders="tom a@b.example"), user_servers="mail.example.com"
    ),
    "setup-options": on_form("/setup/options/", "company_name", option(company_name="Ben’s"), company_name="Another"),
    "setup-users-one": on_form("/setup/users/{office.tom.pk}/", "version", change_of_tom, first_name="Thomas"),
    "setup-users-one, what is under way": decision_about_tom,
    "message-edit": edit_of_a_message,
    "sending-action resume": on_pause("resume"),
    "sending-action it-was-us": on_question("it-was-us"),
    "sending-action go-on": on_question("go-on"),
    "sending-action pause": on_pause("pause", why="Lunch takes longer"),
}


NOT_COMPARED = {
    "message-action hold": "held it is, whatever it is by now; its time is compared: test_as_promised.py",
    "messages-bulk hold": "the same, for what is ticked",
    "message-new queue": "makes a message; it becomes what was promised: test_as_promised.py, test_compose.py",
    "message-new at": "the same",
    "message-new send": "the same",
    "message-new open": "the same",
    "batch-new": "a draft, which is reviewed next",
    "batch-retry": "a draft, which is reviewed next",
    "sending-action try-now": "one try; what keeps the account from sending ends only where it gets through",
    "restore-answer": "names the restore, and is given once",
    "setup-schedule-new": "makes one",
    "setup-users": "makes one",
    "setup-users-delays": "ends a delay, however long it is by now",
    "setup-users-password": "names the user by key; a new password, whatever the old one was",
    "setup-users-second-factor": "names the user by key; a second factor has nothing to show",
    "setup-users-sign-out": "ends the sessions there are by now: more than were shown are meant, too",
    "preferences-password": "one’s own, with the password",
    "preferences-sessions-end": "one’s own: more than were shown are meant, too",
    "preferences-security-set-up": "one’s own, with password and code",
    "preferences-security-codes": "one’s own, with password and code",
    "preferences-security-off": "one’s own, with password and code",
}


@pytest.mark.parametrize("order", COMPARED)
def test_order_from_a_page_that_shows_something_else_by_now_does_nothing(office, order):
    case = COMPARED[order](office)
    page = look(office, case)
    case.change()
    before = all_rows()
    again = office.browser.post(case.url, given(case, page), follow=True)
    assert case.said in words(again)
    assert all_rows() == before
    # Looked at again, it is what it is meant for.
    office.browser.post(case.url, given(case, look(office, case)), follow=True)
    assert all_rows() != before


def look(office, case):
    return office.browser.post(case.url, case.asks) if case.asks else office.browser.get(case.page)


def given(case, page):
    return form_of(page, within=case.within, action=None if case.within else case.url) | case.typed


@pytest.mark.parametrize("action", ["sent-from-mail-program", "put-back"])
def test_draft_that_another_user_has_by_now_stays_theirs(office, action):
    case = on_draft(action)(office)
    page = office.browser.get(case.page)
    case.change()
    office.browser.post(case.url, given(case, page))
    message = Message.objects.get()
    assert (message.status, message.handed_to) == ("held", office.ben)


@pytest.mark.parametrize("button", ["run", "switch", "delete"])
def test_schedule_is_neither_run_nor_switched_on_nor_deleted_where_the_form_does_not_say_which_was_shown(
    office, button
):
    case = on_schedule(button, is_on=False)(office)
    before = all_rows()
    assert case.said in words(office.browser.post(case.url, {"on": "1"}, follow=True))
    assert all_rows() == before


def test_schedule_is_switched_off_whatever_it_is_by_now(office):
    case = on_schedule("switch")(office)
    page = office.browser.get(case.page)
    case.change()
    assert "“Evenings” is off." in words(office.browser.post(case.url, given(case, page), follow=True))


def test_every_order_is_compared_or_says_why_not():
    several = {"message-action": messages.ACTIONS, "sending-action": sending.ACTIONS, "messages-bulk": bulk.ORDERS}
    takes = {order for order in ORDERS if order.split()[0] not in several}
    takes |= {f"{address} {name}" for address, names in several.items() for name in names}
    assert takes == {order.partition(",")[0] for order in COMPARED} | NOT_COMPARED.keys()
    assert not COMPARED.keys() & NOT_COMPARED.keys()
