"""What a server says of our set-up, pace or standing stops the account; it tells no good customer dead."""

import pytest

from messaging.console.preflight import refused_before
from messaging.delivery.outcomes import meanings as m
from messaging.models import AccountPause, Message, Recipient
from tests.factories import make_message, set_up, signing_in
from tests.fault_server import FaultServer
from tests.rows import statuses
from tests.steps import AN_HOUR, run_lane

pytestmark = pytest.mark.django_db(transaction=True)

CUSTOMERS = [f"{name}@{name}.example" for name in ("anna", "ben", "cleo", "dora", "emil")]
SIGN_IN_FIRST = (
    "550-Please turn on SMTP Authentication in your mail client.\r\n"
    "550-(host) [192.0.2.1]:50000 is not permitted to relay through this server\r\n"
    "550 without authentication."
)
OF_OURS = [
    ("RCPT", SIGN_IN_FIRST, m.WANTS_SIGN_IN),
    ("RCPT", "550 You must authenticate to use this server.", m.WANTS_SIGN_IN),
    ("RCPT", "550 We do not relay non-local mail", m.NO_RELAY),
    ("RCPT", "550 Domain sender.example has exceeded the max defers and failures per hour (5/5 (100%)) allowed. "
     "Message discarded.", m.QUOTA),
    ("END", "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message due to a "
     "permanent exception. Actual verdict is RefuseQuota", m.ACCOUNT_BARRED),
    ("END", "550 5.7.1 TLS required", m.WANTS_TLS),
    ("RCPT", "553 Relaying disallowed as office@sender.example", m.FROM_NOT_ALLOWED),
    ("END", "553 Relaying disallowed as office@sender.example", m.FROM_NOT_ALLOWED),
    ("END", "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP", m.MACHINE_BLOCKED),
    ("MAIL", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", m.FROM_NOT_ALLOWED),
    ("END", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", m.FROM_NOT_ALLOWED),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "answer", "meaning"), OF_OURS)
def test_reply_about_us_costs_no_message_its_try_and_no_address_its_name(server, stage, answer, meaning):
    messages = [make_message(customer) for customer in CUSTOMERS]
    server.at(stage, answer)
    run_lane()
    pause = AccountPause.objects.get()
    assert (pause.reason.key, pause.kind) == (meaning.key, "busy" if meaning is m.QUOTA else "fault")
    assert [(row.status, row.tries) for row in Message.objects.all()] == [("queued", 0)] * 5
    assert len(server.heard("MAIL")) == 1, "after the first nothing is tried"
    assert not refused_before(CUSTOMERS)
    server.mend()
    for _ in range(2):
        run_lane(after=AN_HOUR)
    assert set(statuses(*messages)) == {"sent"}


@pytest.mark.parametrize(("answer", "meaning"), [
    ("535 5.7.139 Authentication unsuccessful, account is locked. Contact your administrator.", m.ACCOUNT_LOCKED),
    ("550 5.7.30 Basic authentication is not supported for Client Submission.", m.PASSWORDS_OFF),
    ("535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.", m.WRONG_PASSWORD),
])  # fmt: skip
def test_refused_sign_in_says_what_helps(db, answer, meaning):
    with FaultServer(auth=["PLAIN"]) as server:
        server.at("AUTH", answer)
        set_up(server, **signing_in())
        make_message("anna@anna.example")
        run_lane()
    assert AccountPause.objects.get().reason.key == meaning.key


@pytest.mark.parametrize("answer", ["550 Mailbox quota exceeded", "552 5.2.2 over quota", "452 4.2.2 mailbox full"])
def test_full_mailbox_is_tried_again_whatever_the_code(server, answer):
    message = make_message("anna@anna.example")
    server.at("RCPT", answer)
    run_lane()
    message.refresh_from_db()
    assert (message.status, message.tries, message.reason.key) == ("queued", 1, "mailbox-full")
    assert not AccountPause.objects.exists()
    server.mend()
    run_lane(after=2 * AN_HOUR)
    assert statuses(message) == ["sent"]


def test_bare_552_after_accepted_recipients_asks_for_another_transaction(server):
    message = make_message(*CUSTOMERS)
    for customer in CUSTOMERS[3:]:
        server.at("RCPT", ["552"], recipient=customer)
    run_lane()
    assert statuses(message) == ["sent"]
    assert [len(each.recipients) for each in server.accepted] == [3, 2], "at once, in a transaction of its own"
    assert max(server.ledger.values()) == 1, "no one gets it twice"


def test_bare_552_for_the_first_recipient_is_of_the_mailbox(server):
    message = make_message("anna@anna.example")
    server.at("RCPT", "552")
    run_lane()
    message.refresh_from_db()
    assert message.reason.key == "mailbox-full"


def test_from_address_of_one_message_that_is_not_ours_keeps_the_others_from_nothing(server):
    """Others go out each time after it was refused: it is this message that the server minds."""
    wrong = make_message("anna@anna.example")
    others = [make_message(customer) for customer in CUSTOMERS[1:4]]
    server.at("RCPT", "553 Relaying disallowed as boss@other.example", recipient="anna@anna.example")
    for hour in range(1, 9):
        run_lane(after=hour * AN_HOUR)
    assert set(statuses(*others)) == {"sent"}
    make_message("late@late.example")
    for hour in range(9, 20):
        run_lane(after=hour * AN_HOUR)
    wrong.refresh_from_db()
    assert not Recipient.objects.filter(message=wrong, status="accepted").exists()
    assert Message.objects.filter(status="sent").count() == 4


def test_one_dead_mailbox_stops_nobody(server):
    dead, alive = make_message("anna@anna.example"), make_message("ben@ben.example")
    server.at("RCPT", "550 5.1.1 User does not exist", recipient="anna@anna.example")
    run_lane()
    assert statuses(dead, alive) == ["failed", "sent"]
    assert not AccountPause.objects.exists()
    assert refused_before(["anna@anna.example"])


def test_what_was_said_of_the_content_blackens_nobody_beside_whom_another_is_dead(server):
    server.at("RCPT", "550 5.1.1 No such user", recipient="dead@dead.example")
    server.at("END", "554 Transaction failed")
    make_message("dead@dead.example", "good@good.example")
    run_lane()
    assert set(refused_before(["dead@dead.example", "good@good.example"])) == {"dead@dead.example"}


@pytest.mark.parametrize("answer", ["554 5.7.1 Relay access denied", "550 5.4.5 Daily user sending limit exceeded."])
def test_too_many_recipients_after_refusals_that_are_about_us_serves_nobody(server, answer):
    server.at("RCPT", [answer, answer, *["452 4.5.3 Too many recipients"] * 3] * 3)
    message = make_message(*CUSTOMERS)
    run_lane()
    assert AccountPause.objects.exists()
    message.refresh_from_db()
    assert (message.status, message.tries) == ("queued", 0)
    assert set(message.recipients.values_list("status", flat=True)) == {"pending"}
    assert len(server.heard("MAIL")) == 3, "no more than it takes to know that it is about us"
