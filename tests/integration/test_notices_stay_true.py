"""A notice is true of its messages at the moment it is told, whatever was done to them since they were noted."""

import datetime as dt
import threading

import pytest
from django.db import transaction
from django.utils import timezone

from messaging import housekeeping, notices
from messaging.access import roles
from messaging.company.options import local, save
from messaging.lifecycle import transitions
from messaging.models import AccountPause, EmailSettings, Message, Notice, NoticeItem, Phrase
from messaging.notices import text as notice_text
from messaging.queue import actions
from tests.factories import make_message, make_user, put
from tests.pages import words
from tests.steps import elsewhere, run_lane, somebody_waits_for_us

pytestmark = pytest.mark.django_db
REFUSED, MAYBE = "nobody@example.com", "maybe@example.com"


@pytest.fixture
def boss(db):
    return make_user("boss", "boss@brightwater.example", role=roles.ADMIN, first_name="Bea", last_name="Boss")


@pytest.fixture
def server(server):
    server.at("RCPT", "550 5.1.1 no such user", recipient=REFUSED)
    return server


def sweep(clock, **time):
    housekeeping.sweep(clock.goes_on(**time))


def told():
    """What was told so far, in the order of telling: subject, and why each."""
    with local() as company:
        return [
            notice_text.notice_words(notice, notice_text.items_of(notice), company).subject
            for notice in Notice.objects.order_by("pk")
        ]


def reasons():
    return [item.reason and item.reason.key for item in NoticeItem.objects.filter(notices__isnull=False)]


def failed(clock):
    message = make_message(REFUSED, subject="Invoice 1")
    run_lane(clock=clock)
    message.refresh_from_db()
    assert message.status == "failed"
    return message


def unknown(clock, *others):
    """No one knows whether maybe@ has it; the others have it, or were refused."""
    message = make_message(MAYBE, *others, subject="Invoice 1")
    message.recipients.update(status="unknown")
    message.recipients.filter(address=REFUSED).update(status="failed")
    return put(message, status="unknown", not_before=None, reason=Phrase("unwritten"))


FAILED, UNKNOWN = "1 message could not be sent", "1 message may or may not have arrived"


class Do:
    """What may be done to a message between noting and telling, by name."""

    def __init__(self, clock, server, by):
        self.clock, self.server, self.by = clock, server, by

    def nothing(self, message):
        pass

    def retry(self, message):
        actions.retry(message, by=self.by)

    def refuse(self, message):
        self.server.at("RCPT", "550 5.1.1 no such user", recipient=MAYBE)
        run_lane(self.by.pk, clock=self.clock)
        assert Message.objects.get(pk=message.pk).status == "failed"

    def take(self, message):
        self.server.mend()
        run_lane(self.by.pk, clock=self.clock)
        assert Message.objects.get(pk=message.pk).status == "sent"

    def lose(self, message):
        message.recipients.update(status="unknown")
        put(message, status="unknown", not_before=None)

    def write_again(self, message):
        actions.write_again(message, by=self.by)

    def mark_as_sent(self, message):
        actions.mark_as_sent(message, by=self.by)

    def send_again(self, message):
        actions.send_again(message, by=self.by)

    def hold(self, message):
        actions.hold(message, by=self.by, why="not yet")

    def cancel(self, message):
        actions.cancel(message, by=self.by, why="no longer")

    def hand_over(self, message):
        EmailSettings.objects.update_or_create(account=self.by, defaults={"send_type": 1})
        actions.open_in_mail_program(message, by=self.by)

    def put_back(self, message):
        actions.put_back(message, by=self.by)

    def send_from_there(self, message):
        actions.sent_from_mail_program(message, by=self.by)

    def sweep(self, message):
        sweep(self.clock, seconds=5)

    def delete(self, message):
        message.delete()

    def delete_author(self, message):
        self.by.delete()


CASES = [
    (failed, "nothing", [FAILED]),
    (failed, "retry", []),
    (failed, "retry take", []),
    (failed, "retry refuse", [FAILED]),
    (failed, "retry sweep refuse", [FAILED]),
    (failed, "retry lose", [UNKNOWN]),
    (failed, "retry hold", []),
    (failed, "retry cancel", []),
    (failed, "write_again", []),
    (failed, "hand_over", []),
    (failed, "hand_over send_from_there", []),
    (failed, "hand_over put_back", [FAILED]),
    (failed, "hand_over sweep put_back", [FAILED]),
    (failed, "delete", [FAILED]),
    (failed, "delete_author", [FAILED]),
    (unknown, "nothing", [UNKNOWN]),
    (unknown, "mark_as_sent", []),
    (unknown, "send_again", []),
    (unknown, "send_again take", []),
    (unknown, "send_again refuse", [FAILED]),
    (unknown, "send_again sweep refuse", [FAILED]),
    (unknown, "send_again lose", [UNKNOWN]),
    (unknown, "send_again cancel", []),
]


@pytest.mark.parametrize(("begins", "done", "expected"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_what_is_told_after_what_was_done(begins, done, expected, clock, boss, operator, server):
    message = begins(clock)
    sweep(clock, seconds=5)
    do = Do(clock, server, operator)
    for name in done.split():
        message = Message.objects.filter(pk=message.pk).first() or message
        getattr(do, name)(message)
    sweep(clock, seconds=5)
    sweep(clock, minutes=20)
    sweep(clock, minutes=20)
    assert told() == expected
    assert not NoticeItem.objects.filter(told_at=None).exists()


@pytest.mark.parametrize("done", ["retry refuse", "retry sweep refuse"])
def test_what_failed_anew_after_it_was_told_is_told_anew_once(done, clock, boss, operator, server):
    message = failed(clock)
    sweep(clock, seconds=5)
    sweep(clock, minutes=20)
    do = Do(clock, server, operator)
    for name in done.split():
        message.refresh_from_db()
        getattr(do, name)(message)
    for _ in range(3):
        sweep(clock, minutes=20)
    assert told() == [FAILED, FAILED]


def test_marked_as_sent_with_a_refused_recipient_is_told_as_failed(clock, boss, operator, server):
    message = unknown(clock, REFUSED)
    sweep(clock, seconds=5)
    actions.mark_as_sent(message, by=operator)
    sweep(clock, minutes=20)
    sweep(clock, minutes=20)
    assert told() == [FAILED]
    assert reasons() == ["recipient-refused"]


def test_what_is_of_another_kind_by_now_is_collected_with_others_of_that_kind(clock, boss, operator, server):
    """For as long as its rule says, counted from when it became so."""
    message = unknown(clock, REFUSED)
    sweep(clock, minutes=1)
    clock.goes_on(minutes=10)
    actions.mark_as_sent(message, by=operator)
    sweep(clock, seconds=5)
    sweep(clock, minutes=10)
    assert told() == []
    sweep(clock, minutes=10)
    assert told() == ["1 message could not be sent"]


def test_reason_is_that_of_now(clock, boss, operator, server):
    message = failed(clock)
    sweep(clock, seconds=5)
    put(message, reason=Phrase("refused-alike", reason=Phrase("no-mailbox")), reason_category="setup")
    sweep(clock, minutes=20)
    assert reasons() == ["refused-alike"]


def test_kind_that_is_switched_off_tells_nothing_of_what_became_of_that_kind(clock, boss, operator, server):
    save({}, by=None, rules={"failed": {"is_on": False}})
    message = unknown(clock, REFUSED)
    sweep(clock, seconds=5)
    actions.mark_as_sent(message, by=operator)
    sweep(clock, minutes=20)
    assert told() == []
    assert not NoticeItem.objects.filter(told_at=None).exists()


# --- Between the notice and its mail ---------------------------------------------------------------------


@pytest.fixture
def unmailed(clock, boss, server):
    """Two failures that were told while no account could send the mail."""
    messages = [failed(clock), failed(clock)]
    sweep(clock, seconds=5)
    pause = AccountPause.objects.create(
        kind="fault", since=clock(), until=clock() + dt.timedelta(days=1), notified_at=clock()
    )
    sweep(clock, minutes=20)
    assert Notice.objects.get().mail_due
    AccountPause.objects.filter(pk=pause.pk).delete()
    return messages


def mails():
    return list(Message.objects.filter(category="notice").values_list("subject", flat=True))


def test_mail_names_only_what_is_still_so(unmailed, clock, operator):
    actions.retry(unmailed[0], by=operator)
    sweep(clock, minutes=1)
    assert mails() == ["1 message could not be sent"]


def test_what_failed_anew_before_the_mail_is_left_to_the_notice_of_that(unmailed, clock, operator, server):
    actions.retry(unmailed[0], by=operator)
    run_lane(operator.pk, clock=clock)
    sweep(clock, minutes=1)
    assert mails() == ["1 message could not be sent"]
    sweep(clock, minutes=20)
    assert mails() == ["1 message could not be sent"] * 2


def test_nothing_is_mailed_of_what_was_dealt_with_and_the_page_says_so(unmailed, clock, operator, boss, client):
    for message in unmailed:
        actions.retry(message, by=operator)
    sweep(clock, minutes=1)
    assert mails() == []
    assert not Notice.objects.get().mail_due
    client.force_login(boss)
    assert "Not mailed: everything in it had already been dealt with" in words(client.get("/notices/"))


def test_pause_that_is_over_is_mailed_as_over(clock, boss, server):
    AccountPause.objects.create(kind="fault", since=clock(), reason=Phrase("sign-in-unreachable"))
    sweep(clock, minutes=1)
    sweep(clock, minutes=2)
    assert Notice.objects.get().mail_due
    AccountPause.objects.update(ended_at=clock.goes_on(hours=1))
    sweep(clock, minutes=1)
    mail = Message.objects.get(category="notice")
    assert mail.subject == "Sending as the company was paused"
    text = (
        mail.content.skeleton.tobytes() if hasattr(mail.content.skeleton, "tobytes") else bytes(mail.content.skeleton)
    )
    assert b"been sending again since" in text
    assert b"Look at Email Setup" not in text


def test_author_who_may_not_sign_in_any_more_gets_no_mail(unmailed, clock, operator, boss):
    Notice.objects.update(author=operator, mail_to=operator.email)
    put(unmailed[0], author=operator)
    operator.is_active = False
    operator.save()
    sweep(clock, minutes=1)
    assert mails() == []


# --- The page of what was told before --------------------------------------------------------------------


def test_page_says_what_is_not_so_any_more(clock, boss, operator, server, client):
    message = unknown(clock, REFUSED)
    sweep(clock, seconds=5)
    sweep(clock, minutes=20)
    client.force_login(boss)
    assert "choose Mark as sent or Send again" in words(client.get("/notices/"))
    actions.mark_as_sent(message, by=operator)
    page = words(client.get("/notices/"))
    assert "Now: Failed" in page
    assert "choose Mark as sent or Send again" not in page
    assert "Correct what is wrong, then choose Retry" in page


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_sweep_and_an_order_for_many_do_not_wait_in_a_circle(db):
    """What waits to be told was noted in another order than that of the messages."""
    now = timezone.now()
    first, second = (put(make_message("c@example.com"), status="sent", not_before=None, notified_at=now) for _ in "ab")
    for message in (second, first):
        NoticeItem.objects.create(kind="unknown", at=now, message=message)
    errors = []

    def sweep_once():
        try:
            notices.look_after(now)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere(sweep_once))
    with transaction.atomic():
        transitions.lock(Message.objects.filter(pk=first.pk)).get()
        thread.start()
        while thread.is_alive() and not somebody_waits_for_us():
            thread.join(0.01)
        transitions.lock(Message.objects.filter(pk=second.pk)).get()
    thread.join(20)
    assert errors == []
