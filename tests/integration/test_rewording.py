"""With every sentence reworded Outtray does what it did, and its rows are what they were: none holds a sentence."""

import datetime as dt
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.mail import EmailMessage, get_connection
from django.utils import timezone

from messaging import housekeeping
from messaging.company import windows
from messaging.delivery.outcomes import meanings
from messaging.intake import gate
from messaging.models import AccountPause, EmailSettings, FormSubmission, Message, MessageEvent, Phrase, Schedule
from messaging.queue import actions, batches
from messaging.scheduling import schedules
from messaging.setup import changes, opt_files, problems, servers
from messaging.setup.oauth import grants
from messaging.wording import sentences
from tests.factories import hold_mail, make_message, put, set_up, signing_in, write_opt_files
from tests.fault_server import CLOSE, FaultServer
from tests.integration.console.test_compose import send
from tests.integration.test_editing import edit, written
from tests.pages import act, words
from tests.rows import dump, statuses
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)
MARK = "⟨reworded⟩"
TABLES = [*sentences.TABLES, sentences.WORDS, *(part.WORDS for part in (grants, opt_files, problems, servers, windows))]


@pytest.fixture(autouse=True)
def reworded(monkeypatch):
    """Every sentence says something else; at the end no row has any of it."""
    for table in TABLES:
        for key in table:
            monkeypatch.setitem(table, key, lambda *_, **__: MARK)
    for meaning in meanings.MEANINGS.values():
        for name in ("explanation", "advice"):
            monkeypatch.setitem(meaning.__dict__, name, MARK)
    for refusal in (gate.Refused, actions.NotPossible):
        monkeypatch.setattr(refusal, "__str__", lambda _: MARK)
    yield
    assert [row for row in dump() if MARK in row] == []


def told(message):
    """Everything that rows say of a message by key."""
    message.refresh_from_db()
    keys = [
        message.reason and message.reason.key,
        *(attempt.reason and attempt.reason.key for attempt in message.attempts.all()),
    ]
    return message.status, message.reason_category, *keys


# --- Delivery ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "answer", "outcome"), [
    ("RCPT", "550 5.1.1 no such user", ("failed", "address", "no-mailbox", "no-mailbox")),
    ("RCPT", "451 4.7.1 Greylisted, see you later", ("queued", "busy", "greylisted", "greylisted")),
    ("END", "552 5.3.4 too big", ("failed", "content", "too-big", "too-big")),
    ("END", (b"250 2.0.0 o", CLOSE), ("unknown", "network", "unknown", "unknown")),
    ("MAIL", CLOSE, ("queued", "network", "broke-off", "broke-off")),
])  # fmt: skip
def test_what_a_server_answers(server, admin, stage, answer, outcome):
    server.at(stage, answer)
    message = make_message("c@example.com")
    run_lane()
    assert told(message) == outcome
    assert MARK in words(admin.get(f"/messages/{message.pk}/"))


def test_wrong_password_pauses_the_account_and_saving_another_resumes_it(admin, operator):
    with FaultServer(auth=["PLAIN"]) as server:
        server.at("AUTH", ["535 5.7.8 no"])
        set_up(server, **signing_in())
        message = make_message("c@example.com")
        run_lane()
        pause = AccountPause.objects.get()
        assert (told(message)[0], pause.kind, pause.reason.key) == ("queued", "fault", "wrong-password")
        changes.save(None, {"username": "ben"}, by=operator)
        run_lane()
    assert told(message)[0] == "sent"


def test_limit_and_window_wait_and_say_of_what_kind(server, clock):
    clock.now = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)  # a Saturday
    EmailSettings.objects.update(per_hour=1)
    first, second = make_message("a@example.com"), make_message("b@example.com")
    run_lane(clock=clock)
    assert statuses(first, second) == ["sent", "queued"]
    [limit] = AccountPause.objects.all()
    assert (limit.kind, limit.reason) == ("limit", Phrase("limit-reached", number=1, unit="hour"))
    AccountPause.objects.all().delete()
    EmailSettings.objects.update(per_hour=0, sending_window="Mon-Fri 08:00-18:00", time_zone="UTC")
    clock.goes_on(hours=2)
    run_lane(clock=clock)
    assert [pause.kind for pause in AccountPause.objects.all()] == ["window"]


def test_message_without_setup_waits_and_is_sent_when_there_is_one(operator, mail_server):
    EmailSettings.objects.create(send_type=3, host="127.0.0.1", port=mail_server.port)
    message = make_message("c@example.com")
    run_lane()
    assert AccountPause.objects.get().reason.params["problems"] == [
        Phrase("sign-in incomplete", names=["username", "password"])
    ]
    changes.save(None, {"send_type": 2}, by=operator)
    run_lane()
    assert told(message)[0] == "sent"


def test_files_that_cannot_be_read_keep_mail(opt_folder, server):
    EmailSettings.objects.all().delete()
    write_opt_files(opt_folder, send_type="2", port="not a port")
    housekeeping.sweep(timezone.now())
    message = make_message("c@example.com")
    run_lane()
    assert (told(message)[0], server.heard("MAIL")) == ("queued", [])


# --- Orders ----------------------------------------------------------------------------------------------------


def test_hold_that_ends_frees_what_was_held_and_no_draft_whose_person_is_gone(operator, ben):
    soon = timezone.now() + dt.timedelta(hours=1)
    EmailSettings.objects.create(send_type=1)
    held, drafted = make_message("a@example.com", due=False), make_message("b@example.com", due=False)
    for message in (held, drafted):
        actions.hold(message, by=operator, why="Handed over to Ben’s mail program", until=soon)
    actions.open_in_mail_program(drafted, by=ben)
    drafted.handed_to.delete()
    housekeeping.sweep(soon + dt.timedelta(hours=1))
    assert statuses(held, drafted) == ["queued", "held"]


def test_put_back_is_what_it_was(operator):
    EmailSettings.objects.create(send_type=1)
    failed = put(
        make_message("a@example.com", due=False),
        status="failed",
        reason=Phrase("no-mailbox"),
        reason_category="address",
    )
    failed.recipients.update(status="failed")
    held = make_message("b@example.com", due=False)
    actions.hold(held, by=operator, why="Ask Ben")
    for message, before in ((failed, ("failed", "", "no-mailbox")), (held, ("held", "hold", "said"))):
        actions.open_in_mail_program(message, by=operator)
        actions.put_back(message, by=operator)
        message.refresh_from_db()
        assert (message.status, message.hold_kind, message.reason.key) == before


def test_batch_skips_by_state(operator, ben, email_setup):
    sent, held, cancelled, free = (make_message(f"{name}@example.com", due=False) for name in "abcd")
    chosen = Message.objects.all()
    put(sent, status="sent", sent_at=timezone.now())
    actions.hold(held, by=operator, why="Ask Ben")
    actions.cancel(cancelled, by=operator, why="Too late")
    taken = batches.choose(chosen.filter(pk=free.pk), by=ben, account=None)
    batches.confirm(taken, by=ben)
    batch = batches.choose(chosen, by=operator, account=None)
    batches.confirm(batch, by=operator)
    skipped = {item.message_id: item.reason.key for item in batch.items.exclude(reason=None)}
    assert skipped == {
        sent.pk: "already-sent",
        held.pk: "is-held",
        cancelled.pk: "is-cancelled",
        free.pk: "in-other-batch",
    }


def test_schedule_says_why_its_batch_was_not_made(operator, email_setup):
    row = Schedule.objects.create(
        name="Evening", kind="every", minutes=60, time_zone="UTC", created_by=operator, account=operator,
        since=timezone.now() - dt.timedelta(hours=3),
    )  # fmt: skip
    operator.is_active = False
    operator.save()
    make_message("c@example.com", due=False)
    [run] = schedules.run_due(timezone.now())
    assert (run.schedule_id, run.outcome) == (row.pk, "refused")
    assert "account-inactive" in str(run.remarks)


# --- The pages ---------------------------------------------------------------------------------------------------


def test_message_that_is_too_large_is_told_beside_the_attachments(office, email_setup, settings):
    message = written()
    settings.MAX_MESSAGE_BYTES = 1000
    for response in (
        send(office, text="x" * 2000),
        edit(office, message, text="x" * 2000),
        edit(office, message, files=[SimpleUploadedFile("two.pdf", b"x" * 500)]),
    ):
        assert response.status_code == 422
        assert MARK in response.context["files"].error and not response.context["form"].non_field_errors()


def test_form_that_was_sent_is_told_by_its_state(office, server):
    hold_mail(record=False, hold=False)
    key = {"key": "00000000000000000000000000000001"}
    sent = send(office, **key)
    assert re.fullmatch("/messages/new/.+/", sent.url) and send(office, **key).url == sent.url
    assert (FormSubmission.objects.get().state, len(server.heard("MAIL"))) == ("sent", 1)
    server.at("RCPT", "550 5.1.1 no such user")
    key = {"key": "00000000000000000000000000000002"}
    assert send(office, **key).status_code == 422
    again = send(office, **key)
    assert (again.status_code, FormSubmission.objects.get(pk=key["key"]).state) == (409, "not-sent")


def test_headline_of_what_is_handed_over_has_its_time(office, operator):
    EmailSettings.objects.create(send_type=1)
    message = make_message("a@example.com", due=False, author=operator)
    page = act(office, message, "hand-over")
    assert MessageEvent.objects.filter(message=message, kind="handed-over").exists()
    assert "mail program at" in words(page)


def test_check_of_the_connection_names_the_sign_in(admin):
    with FaultServer(auth=["LOGIN"]) as server:
        set_up(server, **signing_in())
        page = b"".join(admin.post("/setup/email/check/").streaming_content).decode()
    assert "LOGIN" in words(page)


def test_address_refused_before_is_known_from_the_reply(office, server):
    server.at("RCPT", "550 5.1.1 whatever it says")
    make_message("gone@example.com")
    run_lane()
    message = make_message("gone@example.com", due=False)
    assert "“gone@example.com” was refused before" in words(office.get(f"/messages/{message.pk}/"))


# --- The programs that send ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "options", "error"), [
    ({}, {}, "SMTPNotSupportedError"),
    ({}, {"auth": ["GSSAPI"]}, "SMTPException"),
    ({"AUTH": "535 5.7.8 no"}, {"auth": ["PLAIN"]}, "SMTPAuthenticationError"),
    ({"MAIL": CLOSE}, {"auth": ["PLAIN"]}, "SMTPServerDisconnected"),
])  # fmt: skip
def test_backend_raises_what_django_does(queue_backend, script, options, error):
    hold_mail(record=False, hold=False)
    with FaultServer(**options) as server:
        for stage, answer in script.items():
            server.at(stage, answer)
        set_up(server, **signing_in())
        with pytest.raises(Exception) as raised:
            get_connection().send_messages([EmailMessage("a", "b", "o@example.com", ["c@example.com"])])
    assert type(raised.value).__name__ == error


@pytest.mark.parametrize(("answer", "code"), [("550 5.1.1 no", 67), ("451 4.3.0 later", 75), (CLOSE, 75)])
def test_sendmail_ends_with_the_code_of_the_reply(sendmail, server, answer, code):
    server.at("RCPT", answer)
    ended = sendmail("-i", "-f", "o@example.com", "c@example.com", stdin=b"Subject: x\n\ny\n")
    assert ended.code == code, ended
