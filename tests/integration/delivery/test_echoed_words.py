"""What a server repeats of what it was told is not its own words: choosing an address or a name stops no account."""

import pytest

from messaging.models import AccountPause, Message
from tests.factories import make_message, make_user
from tests.rows import statuses
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)

A_DAY = "You have sent too many messages, try again in 24 hours"
UNKNOWN = "Recipient address rejected: User unknown in local recipient table"
HOSTILE = [
    r'"try\ again\ in\ 24\ hours\ sending\ quota\ exceeded\ x"@example.com',
    '"relay access denied x"@example.com',
    '"too many messages x"@example.com',
    r'"a> relay access denied; too many messages <b"@example.com',
    r'"say \"relay access denied\" twice"@example.com',
    "4.7.28@example.com",
    '"(#4.7.28)"@example.com',
    "relay-denied@relay-denied.example",
    "spamhaus@example.com",
]


@pytest.mark.parametrize("address", HOSTILE)
@pytest.mark.parametrize(
    "shape",
    [
        f"550 5.1.1 <{{address}}>: {UNKNOWN}",
        "550 5.1.1 {unquoted}... User unknown",
        "550 {address} unknown user account",
        "550 User doesn't exist: {local}",
    ],
)
def test_words_in_an_address_stop_nobody(server, shape, address):
    bad = make_message(address)
    told = Message.objects.get(pk=bad.pk).recipients.get().address
    local, _, domain = told.rpartition("@")
    inner = local[1:-1].replace("\\", "") if local.startswith('"') else local
    server.at("RCPT", shape.format(address=told, local=inner, unquoted=f"{inner}@{domain}"), recipient=told)
    others = [make_message(f"customer{number}@example.com") for number in range(3)]
    run_lane()
    assert not AccountPause.objects.exists()
    assert statuses(bad, *others) == ["failed", "sent", "sent", "sent"]
    bad.refresh_from_db()
    assert bad.reason.key == "no-mailbox"


@pytest.mark.parametrize(
    "shape",
    [
        "554 5.7.1 message {quoted} rejected as spam",
        "554 5.7.1 message with subject {words} rejected as spam",
        "550 attachment {file} not allowed",
        "554 5.7.1 Message contains a listed page: https://x.example/too-fast/relay-denied?throttle",
    ],
)
@pytest.mark.parametrize("words", ["quota exceeded today, try again in 24 hours", "Relay access denied", "Throttling"])
def test_words_in_a_message_stop_nobody(server, shape, words):
    files = [("relay denied, too many messages, try-again-in-24-hours.exe", "application/octet-stream", b"MZ")]
    bad = make_message("anna@example.com", subject=words, files=files)
    answer = shape.format(words=words, quoted=f'"{words}"', file=files[0][0])
    server.at("END", [answer])
    others = [make_message(f"customer{number}@example.com") for number in range(3)]
    run_lane()
    assert not AccountPause.objects.exists()
    assert statuses(bad, *others) == ["failed", "sent", "sent", "sent"]


def test_words_in_a_reverse_path_stop_nobody(server):
    bad = make_message("anna@example.com", reverse_path='"too many messages relay denied"@example.com')
    server.at("MAIL", ['550 5.1.8 <"too many messages relay denied"@example.com>: Sender address rejected: no such'])
    other = make_message("ben@example.com")
    run_lane()
    assert not AccountPause.objects.exists()
    assert statuses(bad, other) == ["failed", "sent"]


@pytest.mark.parametrize(
    "address", ["relay@example.com", "user@example.com", "account@example.com", "mail@example.com"]
)
@pytest.mark.parametrize(
    "answer",
    [
        "554 5.7.1 <{}>: Relay access denied",
        "550 Your account is suspended",
        "550 5.4.5 Daily user sending limit exceeded for mail",
        "550 5.7.1 Daily mail relay limit exceeded, try again in 2 hours",
    ],
)
def test_server_that_uses_the_same_words_is_still_understood(server, answer, address):
    message = make_message(address)
    server.at("RCPT", answer.format(address))
    run_lane()
    assert AccountPause.objects.exists()
    assert statuses(message) == ["queued"]


def test_first_of_many_customers_with_such_a_name_keeps_no_urgent_mail_back(server):
    """A form of a web page, where a stranger types what he likes."""
    make_user("anna")
    stranger = r'"try\ again\ in\ 24\ hours\ sending\ quota\ exceeded\ x"@example.com'
    message = make_message(stranger)
    told = message.recipients.get().address
    server.at("RCPT", f"450 4.2.1 <{told}>: Recipient address rejected: not now", recipient=told)
    resets = [make_message(f"customer{number}@example.com", category="password-reset") for number in range(5)]
    run_lane()
    message.refresh_from_db()
    assert set(statuses(*resets)) == {"sent"}
    assert (message.status, message.tries) == ("queued", 1)


# Of relays that ask the recipient's server first: Postfix (reject_unverified_recipient) and Exim (verify = recipient).
@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (
            "450 4.1.1 <x@evil.example>: Recipient address rejected: unverified address: host "
            f"mx.evil.example[192.0.2.1] said: 450 4.7.1 {A_DAY} (in reply to RCPT TO command)",
            "queued",
        ),
        (f"550-Callout verification failed:\n550 550 {A_DAY}", "failed"),
        (
            "451-4.4.1 Could not complete recipient verify callout for <x@evil.example>\n451 mx.evil.example "
            "[192.0.2.1]: response to RCPT TO was: 421 Too many connections, retry in 24 hours",
            "queued",
        ),
        (
            "550 5.1.1 <x@evil.example>: Recipient address rejected: undeliverable address: host "
            "mx.evil.example[192.0.2.1] said: 550 5.7.1 authentication required (in reply to RCPT TO command)",
            "failed",
        ),
        (
            "450 4.1.1 <x@evil.example>: Recipient address rejected: unverified address: connect to "
            "daily-sending-quota-exceeded.evil.example[192.0.2.1]:25: Connection refused",
            "queued",
        ),
    ],
)
def test_what_the_server_of_a_stranger_said_stops_nobody(server, reply, status):
    server.at("RCPT", reply, recipient="x@evil.example")
    bad = make_message("x@evil.example")
    others = [make_message(f"customer{number}@example.com", urgent=number < 2) for number in range(4)]
    run_lane()
    assert not AccountPause.objects.exists()
    assert statuses(bad, *others) == [status, "sent", "sent", "sent", "sent"]
    assert bad.tries == 1
