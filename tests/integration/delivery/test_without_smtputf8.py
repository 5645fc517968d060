"""A server without SMTPUTF8: who can be served is, and who cannot is told what to do (RFC 6531, RFC 6857)."""

import email
import email.policy
import re

import pytest
from django.core.mail import EmailMessage
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from messaging.content import mime
from messaging.content.downgrade import to_ascii_header
from messaging.intake import addresses
from messaging.models import Message, MessageEvent
from messaging.wording import advice, in_words
from tests.factories import OFFICE, hold_mail, make_message, put
from tests.integration.faults.invariants import check_invariants
from tests.rows import statuses, wire
from tests.steps import AN_HOUR, run_lane

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(server):
    server.smtputf8 = False
    return server


def mail(**fields):
    names = {"From": OFFICE, "Subject": "News"} | {name.replace("_", "-"): value for name, value in fields.items()}
    header = "".join(f"{name}: {value}\r\n" for name, value in names.items())
    return f"{header}\r\nGood morning\r\n".encode()


def received(server):
    (message,) = server.accepted
    header = message.content.partition(b"\r\n\r\n")[0]
    assert header.isascii()
    return message, email.message_from_bytes(message.content, policy=email.policy.default)


def outcomes(message):
    return dict(message.recipients.values_list("address", "status"))


@pytest.mark.parametrize("field", ["To", "Cc"])
@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("eightbit", [True, False])
def test_those_with_ascii_addresses_get_it(server, field, pipelining, eightbit):
    server.pipelining, server.eightbit = pipelining, eightbit
    raw = mail(**{field: "Ann Ö. <ann@example.com>, Jörg <jörg@example.com>, bob@example.com"})
    raw += "Grüße\r\n".encode()
    message = make_message("ann@example.com", "jörg@example.com", "bob@example.com", raw=raw)
    run_lane()
    others = dict.fromkeys(["ann@example.com", "bob@example.com"], "accepted")
    assert outcomes(message) == others | {"jörg@example.com": "failed"}
    assert statuses(message) == ["failed"]
    sent, parsed = received(server)
    assert sent.recipients == ["ann@example.com", "bob@example.com"]
    assert "SMTPUTF8" not in sent.parameters
    assert [(each.display_name, each.addr_spec) for each in parsed[field].addresses] == [
        ("Ann Ö.", "ann@example.com"),
        ("", "bob@example.com"),
    ]
    assert "Jörg <jörg@example.com>" in [group.display_name for group in parsed[field].groups]
    assert "accented or non-Latin letters" in in_words(message.reason)
    attempt = message.attempts.get()
    assert "Ask for an address in plain letters" in advice(attempt.reason)
    check_invariants(server, queued=[message], beside=[])


def test_retry_goes_to_nobody_twice(server):
    message = make_message("ann@example.com", "jörg@example.com", raw=mail(To="ann@example.com, jörg@example.com"))
    run_lane()
    server.smtputf8 = True
    put(message, status="queued", not_before=timezone.now())
    message.recipients.filter(status="failed").update(status="pending")
    run_lane(after=AN_HOUR)
    assert [each.recipients for each in server.accepted] == [["ann@example.com"], ["jörg@example.com"]]
    assert "jörg@example.com".encode() in server.accepted[1].content


def test_blind_copy_changes_nothing_of_the_header(server):
    make_message("ann@example.com", "jörg@example.com", raw=mail(To="ann@example.com"))
    run_lane()
    sent, parsed = received(server)
    assert (sent.recipients, parsed["To"]) == (["ann@example.com"], "ann@example.com")


@pytest.mark.parametrize("fields", [{"From": "büro@example.com"}, {"Reply_To": "büro@example.com"}])
def test_where_the_sender_needs_it_nobody_is_blamed(server, fields):
    message = make_message("ann@example.com", "jörg@example.com", raw=mail(To="ann@example.com", **fields))
    run_lane()
    assert statuses(message) == ["failed"]
    assert "has one as Reply-To" in in_words(message.reason)
    assert message.reason_category == "setup", "no address is warned of from now on"
    assert not server.heard("RCPT")
    assert message.recipients.get(address="ann@example.com").said.key == "header needs smtputf8"


def test_all_addresses_beyond_ascii(server):
    message = make_message("jörg@example.com", raw=mail(To="jörg@example.com"))
    run_lane()
    assert statuses(message) == ["failed"]
    assert "accented or non-Latin letters" in in_words(message.reason)
    assert not server.heard("MAIL")


def test_sent_at_once(server, queue_backend):
    hold_mail(hold=False)
    mail = EmailMessage("News", "Dear all", OFFICE, ["ann@example.com", "jörg@example.com"])
    assert mail.send() == 1, "as Django has it, where someone has it"
    assert outcomes(Message.objects.get()) == {"ann@example.com": "accepted", "jörg@example.com": "failed"}


def test_put_off_meanwhile(server):
    server.at("RCPT", ["450 4.2.1 later"], recipient="ann@example.com")
    message = make_message("ann@example.com", "jörg@example.com", raw=mail(To="ann@example.com, jörg@example.com"))
    run_lane()
    assert outcomes(message) == {"ann@example.com": "pending", "jörg@example.com": "failed"}
    run_lane(after=AN_HOUR)
    assert outcomes(message) == {"ann@example.com": "accepted", "jörg@example.com": "failed"}
    check_invariants(server, queued=[message], beside=[])


def test_signature_that_is_no_longer_true_is_taken_out_and_told(server):
    signature = "v=1; c=relaxed/simple; h=from:to; d=example.com; b=x"
    raw = mail(To="ann@example.com, jörg@example.com", DKIM_Signature=signature)
    message = make_message("ann@example.com", "jörg@example.com", raw=raw)
    assert b"DKIM-Signature" in wire(message)
    run_lane()
    assert outcomes(message) == {"ann@example.com": "accepted", "jörg@example.com": "failed"}
    assert b"DKIM-Signature" not in server.accepted[0].content
    told = message.events.get(kind=MessageEvent.Kind.UNSIGNED)
    assert told.params["domains"] == ["example.com"]


@pytest.mark.parametrize(("to", "told"), [
    ("ann@example.com, jörg@example.com (Büro)", "jörg@example.com (Büro)"),
    ("(on duty, today) jörg@example.com, ann@example.com", "jörg@example.com (on duty, today)"),
    ("Team: jörg@example.com, ann@example.com;", "jörg@example.com"),
])  # fmt: skip
def test_comments_and_groups_are_told_with_the_others(server, to, told):
    message = make_message("ann@example.com", "jörg@example.com", raw=mail(To=to))
    run_lane()
    assert outcomes(message) == {"ann@example.com": "accepted", "jörg@example.com": "failed"}
    header = received(server)[1]["To"]
    assert told in [group.display_name for group in header.groups]
    assert [each.addr_spec for each in header.addresses] == ["ann@example.com"]


PIECE = st.sampled_from(["ann@example.com", "jörg@example.com", "Ann <ann@example.com>", "Jörg <jörg@example.com>",
                         '"Doe, J" <jö@example.com>', '"a \\" b" <ö@example.com>', "Team: ö@example.com;",
                         "(a, ö) ö@example.com", "ö@example.com (ö)", "T: ö@example.com, ann@example.com;",
                         '"ö x"@example.com', "x", "<", "", "Ö"])  # fmt: skip


@given(st.lists(PIECE, max_size=5).map(", ".join) | st.text('ö<>@,;:"\\ a.', max_size=30))
def test_header_is_ascii_and_names_the_others_as_before(value):
    written = addresses.header_value(value)
    downgraded = to_ascii_header(f"To: {written}\r\n\r\nbody ö".encode())
    if downgraded is None:
        return
    header, _, body = downgraded.partition(b"\r\n\r\n")
    assert header.isascii()
    assert body == "body ö".encode()
    before = [each.address for each in addresses.mailboxes(written.replace("\r\n", "")) if each.address.isascii()]
    text = header.decode().removeprefix("To: ").replace("\r\n", "")
    assert [each.address for each in addresses.mailboxes(text) if each.address.isascii()] == before


WORD_ENDS = ["=0D=0A", "=0A", "=00", "=0B", "=C2=85", "=E2=80=A8"]


@pytest.mark.parametrize("end", WORD_ENDS)
@pytest.mark.parametrize("value", ["{} <jörg@example.com>", '"{}" <jörg@example.com>', "jörg@example.com ({})",
                                   "{}: jörg@example.com;"])  # fmt: skip
def test_a_line_break_in_an_encoded_word_makes_no_other_field(value, end):
    field = "To: " + value.format(f"=?utf-8?q?Bo{end}X-Evil_1?=")
    downgraded = to_ascii_header(f"{field}\r\nX-Last: 1\r\n\r\nbody".encode())
    assert [each.name for each in mime.head(downgraded)[0]] == ["to", "x-last"]
    assert not re.search(rb"[\0\x0b\x0c]", downgraded)
