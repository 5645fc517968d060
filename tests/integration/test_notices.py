"""Failure notices (S2 and S15): who is told about what, when, in the console and by mail."""

import datetime as dt
import re
from concurrent.futures import ThreadPoolExecutor
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, connections
from django.utils import timezone

from messaging import connection_check, housekeeping, notices, submit, users
from messaging.access import roles
from messaging.company.options import local, save
from messaging.content import mime
from messaging.intake import addresses
from messaging.models import (
    AccountPause,
    EmailSettings,
    Message,
    Notice,
    NoticeItem,
    NoticesSeen,
    Phrase,
)
from messaging.notices import text as notice_text
from messaging.queue import actions
from messaging.wording import moment
from tests.factories import fitting, make_message, make_user, put, said, set_up, submission
from tests.fault_server import FaultServer
from tests.rows import parsed
from tests.steps import days_pass, run_lane

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(db):
    return make_user("boss", "boss@brightwater.example", role=roles.ADMIN, first_name="Bea", last_name="Boss")


@pytest.fixture
def server(server):
    """It refuses no one@ and takes the rest."""
    server.at("RCPT", "550 5.1.1 no such user", recipient="nobody@example.com")
    set_up(server, from_address="office@brightwater.example")
    return server


def deliver(*accounts, clock):
    for account in accounts or (None,):
        run_lane(account and account.pk, clock=clock)


def sweep_after(clock, minutes=0):
    housekeeping.sweep(clock.goes_on(minutes=minutes))


def mails(server):
    """What was delivered as notice: (recipients, message)."""
    taken = [one for one in server.transactions if one.accepted and not one.reverse_path.strip("<>")]
    return [(one.recipients, parsed(one.content)) for one in taken]


def text_of(mail):
    return mail.get_content().replace("\r\n", "\n")


def fail_many(number, **values):
    """Messages that a server refused, all at once."""
    like = make_message("nobody@example.com", due=False)
    Message.objects.all().delete()
    fields = {field.attname: getattr(like, field.attname) for field in Message._meta.concrete_fields}
    fields |= fitting(status="failed") | {"id": None, "reason": Phrase("no-mailbox")} | values
    Message.objects.bulk_create([Message(**fields) for _ in range(number)], batch_size=500)


def told(notice):
    """Subject and text of a notice."""
    with local() as company:
        return notice_text.notice_words(notice, notice_text.items_of(notice), company)


def rules(by=None, **kinds):
    save({}, by=by, rules={name.replace("_", "-"): values for name, values in kinds.items()})


# --- Collected, and told together -------------------------------------------------------------------


def test_failures_are_told_in_one_mail_when_the_oldest_has_waited_as_long_as_the_rule_says(clock, boss, server):
    make_message("nobody@example.com", subject="Invoice 1")
    deliver(clock=clock)
    sweep_after(clock)
    make_message("nobody@example.com", subject="Invoice 2")
    deliver(clock=clock)
    sweep_after(clock, minutes=14)
    assert not Notice.objects.exists()
    sweep_after(clock, minutes=2)
    deliver(clock=clock)
    [(recipients, mail)] = mails(server)
    assert recipients == ["boss@brightwater.example"]
    assert mail["Subject"] == "2 messages could not be sent"
    assert "Invoice 1" in text_of(mail)
    assert "Invoice 2" in text_of(mail)
    sweep_after(clock, minutes=60)
    assert Notice.objects.count() == 1, "each is told once"


def test_notice_is_mail_that_nobody_answers(clock, boss, server):
    save({"company_name": "Brightwater Plumbing"}, by=boss)
    rules(failed={"window_minutes": 0})
    make_message("nobody@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    message = Message.objects.get(category="notice")
    assert message.urgent
    assert message.reverse_path == ""
    deliver(clock=clock)
    [(_, mail)] = mails(server)
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["From"] == "Brightwater Plumbing <office@brightwater.example>"
    message.refresh_from_db()
    assert message.status == "sent"


@pytest.mark.parametrize("where", ["from_address", "company_address"])
@pytest.mark.parametrize("name", ["Brightwater", "Brightwater, Köln"])
def test_notice_goes_out_from_an_address_that_is_not_ascii(clock, boss, server, where, name):
    address = "büro@brightwater.example"
    set_up(server, from_address=address if where == "from_address" else "")
    save({"company_name": name} | ({} if where == "from_address" else {where: address}), by=boss)
    rules(failed={"window_minutes": 0})
    make_message("nobody@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    deliver(clock=clock)
    assert [recipients for recipients, _ in mails(server)] == [[boss.email]]
    content = server.transactions[-1].content
    [sender] = [field.text for field in mime.head(content)[0] if field.name == "from"]
    assert addresses.mailboxes(sender) == [(name, address)] and f"<{address}>\r\n".encode() in content


@pytest.mark.slow
def test_five_hundred_failures_at_once_are_one_mail_to_each_who_is_told(clock, boss, operator, server):
    save({"console_url": "https://mail.brightwater.example/", "company_address": boss.email.upper()}, by=boss)
    rules(failed={"window_minutes": 0, "to_company": True})
    fail_many(500, author_id=operator.pk, reason_category="address")
    spam = Message.objects.filter(pk=Message.objects.last().pk)
    spam.update(reason=said("The mail server takes it for spam."), reason_category="policy")
    sweep_after(clock)
    sweep_after(clock, minutes=30)
    deliver(clock=clock)
    sent = mails(server)
    assert sorted(recipients for recipients, _ in sent) == [["anna@office.example"], ["boss@brightwater.example"]]
    text = text_of(next(mail for recipients, mail in sent if recipients == [boss.email]))
    assert "500 messages could not be sent" in text
    assert "499 × The mailbox does not exist." in text
    assert "https://mail.brightwater.example/messages/?status=failed&reason=address" in text
    assert "1 × The mail server takes it for spam." in text
    named = re.findall(r"https://mail\.brightwater\.example/messages/\d+/", text)
    assert len(named) == 20
    assert "and 480 more" in text


def test_each_author_is_told_about_their_own_alone(clock, boss, operator, server):
    tom = make_user("tom", "tom@office.example")
    rules(failed={"window_minutes": 0})
    for author in (operator, tom):
        make_message("nobody@example.com", subject=f"From {author.username}", author=author)
    Message.objects.update(account=None)
    deliver(clock=clock)
    sweep_after(clock)
    deliver(clock=clock)
    texts = {recipients[0]: text_of(mail) for recipients, mail in mails(server)}
    assert set(texts) == {boss.email, operator.email, tom.email}
    assert "From tom" not in texts[operator.email]
    assert "From anna" in texts[operator.email]
    assert "1 message of yours could not be sent" in texts[tom.email]
    assert "From tom" in texts[boss.email]
    assert "From anna" in texts[boss.email]


def test_author_who_looks_after_everything_is_told_once(clock, boss, server):
    rules(failed={"window_minutes": 0})
    make_message("nobody@example.com", author=boss)
    Message.objects.update(account=None)
    deliver(clock=clock)
    sweep_after(clock)
    deliver(clock=clock)
    assert [recipients for recipients, _ in mails(server)] == [[boss.email]]
    assert Notice.objects.count() == 1


def test_no_address_is_told_to_the_main_company_address_unless_switched_off(clock, boss, server):
    save({"company_address": "office@brightwater.example"}, by=boss)
    rules(no_address={"window_minutes": 0, "to_admins": False})
    make_message(subject="Statement", recipients=[], due=False)
    sweep_after(clock)
    deliver(clock=clock)
    [(recipients, mail)] = mails(server)
    assert recipients == ["office@brightwater.example"]
    assert mail["Subject"] == "1 message has no address"
    rules(no_address={"is_on": False})
    make_message(subject="Another", recipients=[], due=False)
    sweep_after(clock)
    assert Notice.objects.count() == 1
    rules(no_address={"is_on": True})
    sweep_after(clock, minutes=60)
    assert Notice.objects.count() == 1, "what failed while it was off is not told later"


def test_unknown_outcome_is_told_as_one(clock, boss, server):
    rules(unknown={"window_minutes": 0})
    message = make_message("a@example.com", subject="Report")
    Message.objects.filter(pk=message.pk).update(**fitting(status="unknown", not_before=None))
    sweep_after(clock)
    notice = Notice.objects.get()
    assert told(notice).subject == "1 message may or may not have arrived"
    assert "Mark as sent" in told(notice).text


def test_what_was_retried_before_it_was_told_is_not_told(clock, boss, operator, server):
    message = make_message("nobody@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    message.refresh_from_db()
    server.mend()
    actions.retry(message, by=operator)
    deliver(operator, clock=clock)
    sweep_after(clock, minutes=20)
    assert not Notice.objects.exists()
    assert not NoticeItem.objects.filter(told_at=None).exists()


def test_what_failed_again_after_a_retry_is_told_once(clock, boss, operator, server):
    message = make_message("nobody@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    message.refresh_from_db()
    actions.retry(message, by=operator)
    deliver(operator, clock=clock)
    sweep_after(clock)
    sweep_after(clock, minutes=20)
    assert told(Notice.objects.get()).subject == "1 message could not be sent"


def test_account_that_sends_again_within_the_minute_is_not_told(clock, boss, server):
    server.at("MAIL", "530 5.7.0 Authentication required")
    make_message("a@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    AccountPause.objects.update(ended_at=clock())
    sweep_after(clock, minutes=5)
    assert not Notice.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_test_message_is_told_by_the_page_that_sent_it(clock, boss, server):
    list(connection_check.send_test_message(None, "nobody@example.com", boss))
    assert Message.objects.get().status == "failed"
    sweep_after(clock, minutes=60)
    sweep_after(clock, minutes=60)
    assert not NoticeItem.objects.exists()


def test_one_reason_is_said_once_and_differing_ones_with_each_message(clock, boss, server):
    rules(failed={"window_minutes": 0})
    fail_many(3)
    sweep_after(clock)
    text = told(Notice.objects.get()).text
    assert text.count("The mailbox does not exist.") == 1
    fail_many(2)
    Message.objects.filter(pk=Message.objects.first().pk).update(reason=said("It is too large."))
    sweep_after(clock)
    text = told(Notice.objects.first()).text
    assert text.count("It is too large.") == 2


def test_author_alone_is_told_and_what_has_no_author_is_seen_in_the_console(clock, boss, operator, server):
    rules(failed={"window_minutes": 0, "to_admins": False})
    make_message("nobody@example.com", subject="By a program")
    make_message("nobody@example.com", subject="By Anna", author=operator)
    Message.objects.update(account=None)
    deliver(clock=clock)
    sweep_after(clock)
    deliver(clock=clock)
    assert [recipients for recipients, _ in mails(server)] == [[operator.email]]
    [notice] = Notice.objects.filter(author=None)
    assert [item.subject for item in notice.items.all()] == ["By a program"]


def loses_their_role(user, boss):
    users.change(user, {"role": ""}, by=boss)


def is_deactivated(user, boss):
    users.change(user, {"is_active": False}, by=boss)


@pytest.mark.parametrize("leaves", [loses_their_role, is_deactivated])
def test_who_may_look_at_nothing_is_told_nothing_and_it_does_not_go_unseen(clock, boss, operator, server, leaves):
    rules(failed={"window_minutes": 0, "to_admins": False})
    message = make_message("nobody@example.com", subject="Salaries of the board", author=operator, due=False)
    leaves(operator, boss)
    put(message, account=None, not_before=clock())
    deliver(clock=clock)
    sweep_after(clock, minutes=1)
    deliver(clock=clock)
    assert mails(server) == []
    notice = Notice.objects.get()
    assert notice.author is None
    assert [item.subject for item in notice.items.all()] == ["Salaries of the board"]
    assert list(notices.unseen(boss)) == [notice]


@pytest.mark.parametrize(
    ("leaves", "words"), [(loses_their_role, "look at messages"), (is_deactivated, "sign in")], ids=["role", "inactive"]
)
def test_who_may_look_at_nothing_by_the_time_of_the_mail_is_sent_none(
    clock, boss, operator, client, server, leaves, words
):
    """It waited for an account that can send."""
    rules(failed={"window_minutes": 0, "to_admins": False})
    make_message("nobody@example.com", subject="Salaries of the board", author=operator)
    Message.objects.update(account=None)
    deliver(clock=clock)
    EmailSettings.objects.update(host="")
    sweep_after(clock)
    assert Notice.objects.get().mail_due
    leaves(operator, boss)
    set_up(server)
    sweep_after(clock, minutes=1)
    deliver(clock=clock)
    assert mails(server) == []
    client.force_login(boss)
    assert f"Not mailed: Anna may no longer {words}." in client.get("/notices/").text


def test_mail_goes_to_those_who_are_to_be_told_when_it_is_made_and_to_the_addresses_they_have_then(
    clock, boss, operator, server
):
    """It waited for an account that can send."""
    rules(failed={"window_minutes": 0, "to_admins": True, "to_author": True})
    second, third = (make_user(name, f"{name}@brightwater.example", role=roles.ADMIN) for name in ("second", "third"))
    make_message("nobody@example.com", author=operator)
    Message.objects.update(account=None)
    deliver(clock=clock)
    EmailSettings.objects.update(host="")
    sweep_after(clock)
    is_deactivated(second, boss)
    users.change(third, {"role": roles.VIEWER}, by=boss)
    users.change(boss, {"email": "bea@brightwater.example"}, by=boss)
    users.change(operator, {"email": "anna@brightwater.example"}, by=boss)
    set_up(server)
    sweep_after(clock, minutes=1)
    deliver(clock=clock)
    assert sorted(to for to, _ in mails(server)) == [["anna@brightwater.example"], ["bea@brightwater.example"]]
    assert sorted(Notice.objects.values_list("mail_to", flat=True)) == [
        "anna@brightwater.example", "bea@brightwater.example"
    ]  # fmt: skip


def test_who_is_given_a_role_again_is_told_again(clock, boss, operator, server):
    rules(failed={"window_minutes": 0, "to_admins": False})
    loses_their_role(operator, boss)
    users.change(operator, {"role": roles.VIEWER}, by=boss)
    make_message("nobody@example.com", author=operator)
    Message.objects.update(account=None)
    deliver(clock=clock)
    sweep_after(clock)
    deliver(clock=clock)
    assert [recipients for recipients, _ in mails(server)] == [[operator.email]]


def test_program_that_never_had_a_role_is_told_at_its_address(clock, boss, server):
    """It is no one who reads here; its address is that of who looks after it."""
    crm = make_user("crm", "crm@brightwater.example", role="")
    rules(failed={"window_minutes": 0, "to_admins": False})
    make_message("nobody@example.com", author=crm)
    Message.objects.update(account=None)
    deliver(clock=clock)
    sweep_after(clock)
    deliver(clock=clock)
    assert [recipients for recipients, _ in mails(server)] == [[crm.email]]
    assert [notice.author for notice in Notice.objects.all()] == [crm]


def test_address_that_cannot_be_right_keeps_no_notice_from_the_others(clock, boss, server):
    make_user("typo", "not an address", role=roles.ADMIN)
    rules(failed={"window_minutes": 0})
    make_message("nobody@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    deliver(clock=clock)
    assert [recipients for recipients, _ in mails(server)] == [[boss.email]]


def test_old_notices_are_forgotten(clock, boss, server):
    rules(failed={"window_minutes": 0})
    make_message("nobody@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    housekeeping.tidy(days_pass(clock, 80))
    assert Notice.objects.exists()
    housekeeping.tidy(days_pass(clock, 20))
    assert not Notice.objects.exists()
    assert not NoticeItem.objects.exists()


def test_what_a_person_saw_on_their_screen_is_not_told_again(clock, boss, operator, server):
    save({"record_mail": True}, by=boss)
    [outcome] = submit.submit([submission("nobody@example.com", author=operator)], is_watched=True)
    assert outcome.state == "failed"
    sweep_after(clock, minutes=60)
    sweep_after(clock, minutes=60)
    assert not Notice.objects.exists()


def test_nobody_has_an_address_and_the_console_tells_it(clock, client, server):
    boss = make_user("boss", "", role=roles.ADMIN)
    rules(failed={"window_minutes": 0})
    make_message("nobody@example.com", subject="Invoice 5")
    deliver(clock=clock)
    sweep_after(clock)
    assert not Message.objects.filter(category="notice").exists()
    client.force_login(boss)
    page = client.get("/notices/").text
    assert "Invoice 5" in page
    assert "Not mailed" in page


# --- From a program with nothing recorded -----------------------------------------------------------


def test_failure_of_a_program_with_nothing_recorded_is_mailed_to_the_administrator(clock, boss, server):
    rules(failed={"window_minutes": 0})
    [outcome] = submit.submit([submission("nobody@example.com", subject="Job 12")])
    assert outcome.state == "failed"
    assert not Message.objects.exists()
    sweep_after(clock)
    deliver(clock=clock)
    [(recipients, mail)] = mails(server)
    assert recipients == [boss.email]
    assert "Job 12" in text_of(mail)
    assert Message.objects.get().category == "notice", "the notice itself is recorded always"


# --- Never about a failed notice, never through what is broken --------------------------------------


def test_notice_that_failed_makes_no_notice_and_the_console_says_so(clock, boss, client, server):
    rules(failed={"window_minutes": 0})
    server.at("RCPT", "550 5.1.1 no such user", recipient=boss.email)
    make_message("nobody@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    deliver(clock=clock)
    assert Message.objects.get(category="notice").status == "failed"
    sweep_after(clock, minutes=60)
    sweep_after(clock, minutes=60)
    assert Notice.objects.count() == 1
    client.force_login(boss)
    assert "could not be mailed" in client.get("/notices/").text


def own_settings(user, server):
    return EmailSettings.objects.create(
        account=user, send_type=2, host="127.0.0.1", port=server.port, from_address=user.email
    )


def test_paused_company_account_is_told_through_the_account_of_an_administrator(clock, boss, server):
    server.at("MAIL", "530 5.7.0 Authentication required")
    make_message("a@example.com")
    deliver(clock=clock)
    assert AccountPause.objects.get().kind == "fault"
    with FaultServer() as other:
        own_settings(boss, other)
        sweep_after(clock)
        sweep_after(clock, minutes=1)
        deliver(boss, clock=clock)
        [(recipients, mail)] = mails(other)
    assert recipients == [boss.email]
    assert mail["Subject"] == "Sending as the company is paused"
    assert mails(server) == []


def test_without_an_account_that_works_the_notice_waits_and_says_when_it_happened(clock, boss, client, server):
    server.at("MAIL", "530 5.7.0 Authentication required")
    make_message("a@example.com")
    deliver(clock=clock)
    happened = clock()
    sweep_after(clock)
    sweep_after(clock, minutes=1)
    assert not Message.objects.filter(category="notice").exists()
    client.force_login(boss)
    page = client.get("/notices/").text
    assert "Sending as the company is paused" in page
    assert "as soon as an account can send" in page
    server.mend()
    clock.goes_on(hours=3)
    deliver(clock=clock)
    assert not AccountPause.objects.exists()
    sweep_after(clock)
    deliver(clock=clock)
    [(_, mail)] = mails(server)
    assert f"noted {moment(happened)}" in text_of(mail)  # with its day, where that is another one by now


def test_after_a_day_without_an_account_the_console_says_that_it_could_not_be_mailed(clock, boss, client, server):
    server.at("MAIL", "530 5.7.0 Authentication required")
    make_message("a@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    sweep_after(clock, minutes=1)
    clock.goes_on(days=1, minutes=5)
    AccountPause.objects.update(ended_at=clock())
    sweep_after(clock)
    assert not Message.objects.filter(category="notice").exists()
    client.force_login(boss)
    assert "could not be mailed" in client.get("/notices/").text


def test_notice_that_meets_a_broken_account_moves_to_one_that_works(clock, boss, server):
    rules(failed={"window_minutes": 0})
    make_message("nobody@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    mail = Message.objects.get(category="notice")
    assert mail.account is None
    server.at("MAIL", "530 5.7.0 Authentication required")
    deliver(clock=clock)
    mail.refresh_from_db()
    assert mail.status == "queued"
    with FaultServer() as other:
        own_settings(boss, other)
        sweep_after(clock)
        deliver(boss, clock=clock)
        assert [recipients for recipients, _ in mails(other)] == [[boss.email]]
    mail.refresh_from_db()
    assert (mail.status, mail.account) == ("sent", boss)


def test_mail_tells_times_in_the_zone_and_language_of_the_company(clock, boss, server, client):
    save({"time_zone": "Asia/Kathmandu", "language": "en-us"}, by=boss)
    rules(failed={"window_minutes": 0})
    make_message("nobody@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    deliver(clock=clock)
    noted = NoticeItem.objects.get().at.astimezone(ZoneInfo("Asia/Kathmandu"))
    [(_, mail)] = mails(server)
    client.force_login(boss)
    for page in (text_of(mail), client.get("/notices/").text):
        assert re.search(rf"{noted:%-I}(:{noted:%M})? [ap]\.m\.|noon|midnight", page), page


# --- A server that does not take what comes from no one -----------------------------------------------

NOT_FROM_NO_ONE = "550 5.7.60 SMTP; Client does not have permissions to send as this sender"


def takes_nothing_from_no_one(server, reply):
    """It refuses the null reverse path alone, that of a notice."""
    server.at("MAIL", lambda: reply if server.commands[-1][1].upper().startswith("MAIL FROM:<>") else None)


def an_hour_passes(clock, woken, *accounts):
    """Swept each minute, and delivered as it says; each account has something to send at times."""
    sent = []
    for minute in range(60):
        if minute % 7 == 3:
            for account in accounts:
                sent.append(make_message(f"c{minute}@example.com"))
                put(sent[-1], account=account, not_before=clock())
        woken.clear()
        sweep_after(clock, minutes=1)
        for account in set(woken):
            run_lane(account, clock=clock)
    return sent


REFUSES_NO_ONE = [NOT_FROM_NO_ONE, "450 4.7.1 you send too fast, slow down", "550 5.0.0 nope", "451 4.7.0 not now"]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("reply", REFUSES_NO_ONE)
@pytest.mark.parametrize("has_own", [False, True])
def test_server_that_takes_no_notices_keeps_nothing_else_back(clock, boss, server, woken, has_own, reply):
    rules(failed={"window_minutes": 0})
    takes_nothing_from_no_one(server, reply)
    make_message("nobody@example.com")
    with FaultServer() as other:
        takes_nothing_from_no_one(other, reply)
        if has_own:
            own_settings(boss, other)
        others = an_hour_passes(clock, woken, *[None, boss][: 1 + has_own])
    assert not AccountPause.history.exists()
    assert {message.status for message in Message.objects.filter(pk__in=[each.pk for each in others])} == {"sent"}
    assert max(one.sent_at - one.created_at for one in Message.objects.filter(status="sent")) < dt.timedelta(minutes=2)
    assert Notice.objects.get().kind == "failed", "what becomes of a notice makes no other one"
    assert Message.objects.get(category="notice").attempts.count() <= 6


@pytest.mark.django_db(transaction=True)
def test_notice_that_is_refused_as_the_probe_leaves_the_try_to_the_next(clock, boss, server):
    rules(failed={"window_minutes": 0})
    make_message("nobody@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    server.at("MAIL", ["530 5.7.0 Authentication required"])
    waits = make_message("a@example.com", urgent=True)
    put(waits, not_before=clock() - dt.timedelta(seconds=1))
    deliver(clock=clock)
    assert AccountPause.objects.get().kind == "fault"
    put(waits, urgent=False)
    takes_nothing_from_no_one(server, NOT_FROM_NO_ONE)
    clock.now = AccountPause.objects.get().until
    deliver(clock=clock)
    assert Message.objects.get(category="notice").tries == 1
    assert Message.objects.get(pk=waits.pk).status == "sent"
    assert not AccountPause.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_notices_that_are_refused_in_words_that_no_one_knows_put_no_question(clock, server):
    save({"same_refusals": 2}, by=None)
    rules(failed={"window_minutes": 0})
    takes_nothing_from_no_one(server, "550 5.0.0 nope")
    for number in range(4):
        make_user(f"boss{number}", f"boss@office{number}.example", role=roles.ADMIN)
        make_message("nobody@example.com")
        deliver(clock=clock)
        sweep_after(clock, minutes=1)
        deliver(clock=clock)
    assert Message.objects.filter(category="notice", status="failed").count() == 4
    assert not AccountPause.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_notice_that_a_server_refuses_is_tried_with_each_account_and_then_again(clock, boss, server, woken):
    rules(failed={"window_minutes": 0})
    takes_nothing_from_no_one(server, NOT_FROM_NO_ONE)
    make_message("nobody@example.com")
    with FaultServer() as other:
        takes_nothing_from_no_one(other, NOT_FROM_NO_ONE)
        own_settings(boss, other)
        sweep_after(clock, minutes=1)
        deliver(clock=clock)
        for _ in range(3):
            sweep_after(clock, minutes=1)
        an_hour_passes(clock, woken)
        mail = Message.objects.get(category="notice")
        tried = list(mail.attempts.values_list("account", flat=True))
        assert tried[:2] == [None, boss.pk]
        assert mail.events.filter(kind="rerouted").count() == 1
        assert (mail.status, mail.account) == ("queued", boss)
        other.mend()
        clock.goes_on(hours=3)
        deliver(boss, clock=clock)
        assert [recipients for recipients, _ in mails(other)] == [[boss.email]]


# --- Idempotent, and cheap --------------------------------------------------------------------------


@pytest.mark.slow
def test_thousands_of_failures_are_one_notice(clock, boss, email_setup, django_assert_max_num_queries):
    rules(failed={"window_minutes": 0})
    fail_many(2500)
    with django_assert_max_num_queries(100):
        sweep_after(clock)
    notice = Notice.objects.get()
    assert notice.items.count() == 2500
    assert told(notice).subject == "2,500 messages could not be sent"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_the_same_moment_tell_everything_once(boss, email_setup):
    rules(failed={"window_minutes": 0})
    fail_many(1200)
    now = timezone.now()

    def sweep(number):
        notices.look_after(now)
        connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(sweep, range(4)))
    notices.look_after(now)
    assert NoticeItem.objects.count() == 1200
    assert sum(notice.items.count() for notice in Notice.objects.all()) == 1200
    assert Message.objects.filter(category="notice").count() == Notice.objects.count()


def test_idle_look_costs_one_statement_and_walks_no_table(django_assert_num_queries):
    with django_assert_num_queries(1) as asked:
        notices.look_after(timezone.now())
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {asked[0]['sql']}")
            plan = " ".join(str(row) for row in cursor.fetchall())
        for index in ("message_to_notify", "noticeitem_due", "notice_mail_due"):
            assert index in plan


# --- In the console ---------------------------------------------------------------------------------


def badge(client):
    found = re.search(
        r'class="menu-badge">\s*(\d+\+?)<span class="visually-hidden"> not yet seen', client.get("/messages/").text
    )
    return found and found[1]


@pytest.mark.slow
def test_menu_counts_the_notices_not_seen_until_their_page_is_opened(clock, boss, client, server):
    rules(failed={"window_minutes": 0})
    client.force_login(boss)
    assert badge(client) is None
    for number in (1, 2):
        message = make_message("nobody@example.com", subject=f"Invoice {number}")
        deliver(clock=clock)
        sweep_after(clock, minutes=1)
    assert badge(client) == "2"
    page = client.get("/notices/").text
    assert page.index("Invoice 2") < page.index("Invoice 1"), "the newest first"
    assert page.count("is-unread") == 2
    assert f'href="/messages/{message.pk}/"' in page
    assert badge(client) is None
    assert "is-unread" not in client.get("/notices/").text


def test_author_sees_notices_of_others_only_when_the_options_say_so(clock, boss, operator, client, server):
    rules(failed={"window_minutes": 0})
    tom = make_user("tom", "tom@office.example")
    for author in (operator, tom):
        make_message("nobody@example.com", subject=f"From {author.username}", author=author)
    Message.objects.update(account=None)
    deliver(clock=clock)
    sweep_after(clock, minutes=1)
    client.force_login(operator)
    assert badge(client) == "1"
    assert "From tom" in client.get("/notices/").text
    save({"operators_see_all": False}, by=boss)
    page = client.get("/notices/").text
    assert "From anna" in page
    assert "From tom" not in page


def test_whoever_came_later_is_not_shown_old_notices_as_new(clock, boss, client, server):
    rules(failed={"window_minutes": 0})
    make_message("nobody@example.com")
    deliver(clock=clock)
    sweep_after(clock)
    newcomer = make_user("new", "new@office.example", role=roles.ADMIN, date_joined=clock.goes_on(days=1))
    client.force_login(newcomer)
    assert badge(client) is None


def test_badge_is_part_of_the_one_statement_that_each_page_makes(boss, client, django_assert_num_queries):
    from messaging.console.context import obstacles

    housekeeping.sweep(timezone.now())
    NoticesSeen.objects.create(user=boss, up_to=0)
    boss.has_perm("messaging.view_message")
    with django_assert_num_queries(1):
        assert obstacles(boss).unseen_notices == 0


# --- A program calls its mail a notice: it is urgent, and none of this console's own -------------------


@pytest.mark.parametrize("category", ["notice", "test-message"])
@pytest.mark.parametrize("record", [True, False])
def test_failure_of_what_a_program_calls_a_notice_is_told(clock, server, category, record):
    save({"record_mail": record}, by=None)
    outcomes = submit.submit([submission("nobody@example.com", subject="hello", category=category)])
    assert [outcome.state for outcome in outcomes] == ["failed"]
    housekeeping.sweep(clock())
    assert NoticeItem.objects.get().subject == "hello"


def test_what_a_program_calls_a_notice_is_sent_with_no_other_account_than_its_own(clock, server, operator):
    save({"record_mail": True, "hold_mail": True}, by=None)
    message = make_message("c@example.com", author=operator, category="notice", urgent=True)
    Message.objects.update(account=operator)
    AccountPause.objects.create(account=operator, kind="fault", since=clock.now, until=clock.now)
    housekeeping.sweep(clock())
    assert Message.objects.get(pk=message.pk).account == operator
