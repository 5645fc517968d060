"""A refusal is judged alike whatever address it repeats, and in whatever form; so it is of a name in the content."""

import string
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.delivery.outcomes import echoed_words
from messaging.delivery.outcomes.verdict import Kind, Reply, Scope, Stage, judge
from messaging.intake.addresses import envelope_address

from .replies import HEARD
from .wordings import WORDINGS

S = Stage
# Words that mean something to the table, as a stranger may choose them.
HOSTILE = [
    "try again in 24 hours",
    "sending quota exceeded",
    "too many messages",
    "relay access denied",
    "authentication required",
    "your account is suspended",
    "must issue a STARTTLS command first",
    "blocked using zen.spamhaus.org",
    "greylisted",
    "mailbox full",
    "4.7.28",
    "(#4.7.28)",
    "daily limit exceeded",
    "throttled",
    *[text for _, _, text, *_ in WORDINGS if text.isascii() and len(text) < 50],
    *[heard.text for heard in HEARD if heard.text.isascii() and len(heard.text) < 50 and "\n" not in heard.text],
]
# Of Postfix, Exim, sendmail, Exchange, Gmail, Dovecot and qmail: with the whole address.
SHAPES = [
    (S.RCPT, 550, "5.1.1 <{}>: Recipient address rejected: User unknown in local recipient table"),
    (S.RCPT, 450, "4.1.1 <{}>: Recipient address rejected: unverified address"),
    (S.RCPT, 451, "4.3.0 <{}>: Temporary lookup failure"),
    (S.RCPT, 452, "4.2.2 <{}>: Mailbox full"),
    (S.RCPT, 552, "5.2.2 <{}>: Recipient address rejected: over quota"),
    (S.RCPT, 554, "5.7.1 <{}>: Relay access denied"),
    (S.RCPT, 554, "5.7.1 <{}>: Recipient address rejected: Access denied"),
    (S.RCPT, 550, "Unrouteable address {}"),
    (S.RCPT, 550, "relay not permitted for {}"),
    (S.RCPT, 451, "{}: Temporary local problem - please try later"),
    (S.RCPT, 550, "5.1.1 {}... User unknown"),
    (S.RCPT, 550, "{}... No such user"),
    (S.RCPT, 550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {} not found by SMTP address lookup"),
    (S.RCPT, 550, "5.1.1 The email account {} that you tried to reach does not exist."),
    (S.RCPT, 550, "5.1.1 <{}> User doesn't exist: {}"),
    (S.RCPT, 552, "sorry, mailbox {} is over quota temporarily (#5.1.1)"),
    (S.END, 550, "permanent failure for one or more recipients ({}:blocked)"),
    (S.END, 552, "5.2.2 <{}> Quota exceeded (mailbox for user is full)"),
    (S.DATA, 554, "5.5.1 <{}>: no valid recipients"),
]
# Without the domain, in an unknown form, or cut off: that stops no account, whatever it makes of the message.
PARTS = [
    (S.RCPT, 550, "5.1.1 User doesn't exist: {}"),
    (S.RCPT, 550, "no mailbox here by that name: {}"),
    (S.RCPT, 450, '4.2.0 "{}" is busy'),
    (S.RCPT, 550, "<{}> is not known here"),
    (S.END, 554, "5.7.1 delivery to {} refused"),
]

words = st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3).map(" ".join)
odd = st.text(string.ascii_letters + string.digits + " <>()[]:;,.\\\"'@#-_", min_size=1, max_size=12)
inners = st.one_of(words, st.builds("{}{}{}".format, odd, words, odd), odd)


def quoted(inner):
    return '"' + inner.replace("\\", "\\\\").replace('"', '\\"') + '"'


def dot_atom(inner):
    atoms = "".join(char if char.isalnum() or char in "-_" else "." for char in inner).split(".")
    return ".".join(filter(None, atoms))


domains = st.sampled_from(
    ["example.com", "relay-denied.example", "xn--bcher-kva.example", "[192.0.2.1]", "spamhaus.example"]
)


@st.composite
def addresses(draw):
    """A valid address with hostile words, as the gate keeps it; and forms in which servers name it."""
    inner = draw(inners)
    local = draw(st.sampled_from([quoted(inner), dot_atom(inner) or "x"]))[:64]
    if local.startswith('"') and not (local.endswith('"') and len(local) > 2):
        local = quoted(inner[:20])
    domain = draw(domains)
    address = f"{local}@{domain}"
    bare = local[1:-1] if local.startswith('"') else local
    plain = bare.replace('\\"', '"').replace("\\\\", "\\")
    escaped = "".join(char if char.isalnum() or char in ".-_" else "\\" + char for char in plain)
    forms = [address, f"{plain}@{domain}", f"{escaped}@{domain}", f'"{plain}"@{domain}', address.upper()]
    forms += [f"{local.replace(' ', '  ')}@{domain}", f"{local}@{domain.title()}"]
    return address, local, plain, draw(st.sampled_from(forms))


def with_parts(inner):
    return f"{quoted(inner)}@example.com", quoted(inner), inner, ""


def told(stage, code, text, address):
    verdict = judge(Reply(stage, code, text, known_to_server=(address, "office@sender.example")))
    return verdict.outcome, verdict.scope, verdict.meaning.key, verdict.pace, verdict.wait, verdict.by_words


@given(st.sampled_from(SHAPES), addresses())
def test_refusal_is_judged_alike_whatever_the_address_is(shape, address):
    stage, code, text = shape
    real, _, _, form = address
    expected = told(stage, code, text.replace("{}", "anna@example.net"), "anna@example.net")
    assert told(stage, code, text.replace("{}", form), real) == expected


@given(st.sampled_from(SHAPES), addresses())
@example((S.RCPT, 550, "Unrouteable address {}"), ("sending.quota.exceeded@[192.0.2.1]",))
@example((S.RCPT, 450, "4.1.1 <{}>: unverified address"), ('"try again in 24 hours<"@example.com',))
def test_address_that_was_never_told_is_known_by_its_form(shape, address):
    """Where a server expands an alias, or an attempt of long ago is looked at again."""
    stage, code, text = shape
    real = address[0]
    expected = told(stage, code, text.replace("{}", "anna@example.net"), "")
    assert told(stage, code, text.replace("{}", real), "") == expected


@given(st.sampled_from(PARTS), addresses(), st.sampled_from(["local", "plain", "cut"]))
@example(PARTS[3], with_parts("@>sending quota exceeded"), "local")
@example(PARTS[2], with_parts("0000Rate limit reached. Please try again later0"), "cut")
@example(PARTS[0], with_parts("4.7.28"), "plain")
def test_part_of_an_address_stops_no_account(shape, address, part):
    stage, code, text = shape
    real, local, plain, _ = address
    said = {"local": local, "plain": plain, "cut": local[: max(24, len(local) * 2 // 3)]}[part]
    verdict = judge(Reply(stage, code, text.replace("{}", said), known_to_server=(real, "office@sender.example")))
    assert verdict.scope == Scope.MESSAGE, verdict.meaning.key


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ('4.7.1 "try again in 24 hours": greylisted, try again in 5 minutes', 300),
        ("4.2.0 <try again in 24 hours>: mailbox busy", 0),
        ("4.7.1 Greylisted, try again in 300 seconds", 300),
        ('4.7.1 too many messages for "x", try again in 300 seconds', 300),
    ],
)
def test_wait_is_what_the_server_says_itself(text, seconds):
    assert judge(Reply(S.RCPT, 450, text)).wait.total_seconds() == seconds


@pytest.mark.parametrize("word", ["throttled", "spamhaus", "dnsbl", "compromised"])
@pytest.mark.parametrize("text", ["550 {}: no", "450 4.2.1 {}: mailbox busy", "550 5.7.1 {} refused", "554 no {} here"])
def test_word_that_alone_would_stop_an_account_does_not_where_it_is_a_name(word, text):
    code, _, said = text.format(word).partition(" ")
    for stage in (S.RCPT, S.END):
        assert judge(Reply(stage, int(code), said)).scope != Scope.MESSAGE or stage == S.END
        assert judge(Reply(stage, int(code), said, known_to_server=(f"{word}@example.com",))).scope == Scope.MESSAGE


CONTENT_SHAPES = [
    'message "{}" rejected as spam',
    "subject {} rejected as spam",
    "rejected as spam: '{}'",
    "rejected as spam: <{}>",
    "attachment {} not allowed",
]


@given(words.filter(lambda each: " " in each), st.sampled_from(CONTENT_SHAPES))
@example("<x@example.com>: IP address is block listed sending quota exceeded", CONTENT_SHAPES[0])
def test_name_in_the_content_stops_no_account(name, shape):
    verdict = judge(Reply(S.END, 554, "5.7.1 " + shape.format(name), known_to_server=("anna@example.com", name)))
    assert verdict.scope == Scope.MESSAGE, verdict.meaning.key


# How servers that ask the recipient's server first repeat what that one said: Postfix (reject_unverified_recipient),
# Exim (verify = recipient/callout), Exchange, Barracuda, and what filters before them make of it. The name of that
# server is its owner's choice, too.
REPEATED_ELSEWHERE = [
    (S.RCPT, 450, "4.1.1 <x@a.example>: Recipient address rejected: unverified address: host mx.a.example[192.0.2.1]"
     " said: 450 4.7.1 {} (in reply to RCPT TO command)"),
    (S.RCPT, 550, "5.1.1 <x@a.example>: Recipient address rejected: undeliverable address: host mx.a.example"
     "[2001:db8::1] said: {} (in reply to end of DATA command)"),
    (S.RCPT, 450, "4.1.1 <x@a.example>: Recipient address rejected: unverified address: host mx.a.example[192.0.2.1]"
     " refused to talk to me: 421 {}"),
    (S.RCPT, 550, "Callout verification failed:\n550 {}"),
    (S.RCPT, 550, "Verification failed for <x@a.example>\nCalled:   192.0.2.1\nSent:     RCPT TO:<x@a.example>\n"
     "Response: 550 {}\nRecipient verify failed"),
    (S.RCPT, 451, "4.4.1 Could not complete recipient verify callout for <x@a.example>\n"
     "mx.a.example [192.0.2.1]: response to RCPT TO was: 421 {}"),
    (S.RCPT, 451, 'response to "RCPT TO:<x@a.example>" from mx.a.example [192.0.2.1] was: 450 {}'),
    (S.RCPT, 550, "SMTP error from remote mail server after RCPT TO:<x@a.example>: 550-5.7.1 {}"),
    (S.RCPT, 451, "4.4.395 Target host responded with error. -> 421 4.7.66 {}"),
    (S.END, 550, "permanent failure for one or more recipients (x@a.example:550 5.7.1 {})"),
    (S.END, 554, "5.7.1 Message rejected by upstream: 550 {}"),
    (S.DATA, 554, "5.7.1 The remote server responded: {}"),
]  # fmt: skip
NAMED_ELSEWHERE = [
    (S.RCPT, 450, "4.1.1 <x@a.example>: Recipient address rejected: unverified address: connect to {}.a.example"
     "[192.0.2.1]:25: Connection refused"),
    (S.RCPT, 450, "4.1.1 <x@a.example>: Recipient address rejected: unverified address: lost connection with {}.a."
     "example[192.0.2.1] while sending RCPT TO"),
    (S.RCPT, 450, "4.1.1 <x@a.example>: Recipient address rejected: unverified address: Host or domain name not found. "
     "Name service error for name={}.a.example type=A: Host not found, try again"),
    (S.RCPT, 451, "could not connect to {}.a.example [192.0.2.1]: Connection timed out"),
]  # fmt: skip


@given(st.sampled_from(REPEATED_ELSEWHERE), st.one_of(words, st.builds("{}{}{}".format, odd, words, odd)))
@example(REPEATED_ELSEWHERE[0], "You have sent too many messages, try again in 24 hours")
@example(REPEATED_ELSEWHERE[0], "host smtp.b.example said: your account is suspended")
@example(REPEATED_ELSEWHERE[3], "550 You have exceeded your daily sending quota, try again in 24 hours")
@example(REPEATED_ELSEWHERE[5], "Too many connections, retry in 24 hours")
@example(REPEATED_ELSEWHERE[1], "550 5.7.1 authentication required")
@example(REPEATED_ELSEWHERE[9], "(#4.7.28)")
@example(REPEATED_ELSEWHERE[7], "[a: Rate limit reached. Please try again later")
@example(REPEATED_ELSEWHERE[1], "550 5.7.1 Service unavailable, Client host [203.0.113.7] blocked using Spamhaus")
@example(REPEATED_ELSEWHERE[2], "too many connections from your host, try again in 1 day")
def test_what_another_server_said_stops_no_account(shape, said):
    stage, code, text = shape
    verdict = judge(
        Reply(stage, code, text.replace("{}", said), known_to_server=("x@a.example", "office@sender.example"))
    )
    assert verdict.scope == Scope.MESSAGE, verdict.meaning.key
    assert not verdict.wait, "how long another server wants the relay to wait"


@pytest.mark.parametrize("shape", REPEATED_ELSEWHERE, ids=lambda shape: shape[2][:40])
def test_room_that_another_server_has_not_is_no_reason_to_try_the_recipient_again_at_once(shape):
    stage, code, text = shape
    verdict = judge(
        Reply(stage, code, text.replace("{}", "452 4.5.3 too many recipients"), known_to_server=("x@a.example",))
    )
    assert verdict.kind != Kind.REST_AT_ONCE


@given(st.sampled_from(NAMED_ELSEWHERE), words.map(dot_atom), st.booleans())
@example(NAMED_ELSEWHERE[0], "daily-sending-quota-exceeded", False)
@example(NAMED_ELSEWHERE[2], "relay-access-denied", False)
@example(NAMED_ELSEWHERE[2], "office.sender.example.Rate.limit.exceeded.try.again.later", False)
def test_name_of_another_server_stops_no_account(shape, name, dashes):
    stage, code, text = shape
    name = (name.replace(".", "-") if dashes else name)[:200]
    verdict = judge(
        Reply(stage, code, text.replace("{}", name), known_to_server=("x@a.example", "office@sender.example"))
    )
    assert verdict.scope == Scope.MESSAGE, verdict.meaning.key


@pytest.mark.parametrize(
    ("stage", "code", "text", "meaning"),
    [
        (S.RCPT, 550, "5.7.1 Daily sending limit: 500 messages per day exceeded", "quota"),
        (S.RCPT, 450, "4.7.1 Error: too many messages from 192.0.2.1", "come-back"),
        (S.RCPT, 554, "554 5.7.1 <x@a.example>: Relay access denied", "no-relay"),
        (S.MAIL, 530, "5.7.57 Client not authenticated to send mail. Error: 535 5.7.139 Authentication unsuccessful, "
         "basic authentication is disabled.", "m365-sign-in-off"),
        (S.RCPT, 550, "5.1.1 <x@a.example>: Recipient address rejected: undeliverable address: host mx.a.example"
         "[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command)", "no-mailbox"),
        (S.RCPT, 450, "4.7.1 Client host rejected: cannot find your hostname, [203.0.113.5]", "no-reverse-name"),
        (S.RCPT, 550, "5.7.606 [203.0.113.5] in words that no one knows", "machine-blocked"),
    ],
)  # fmt: skip
def test_own_words_of_the_server_count_as_before(stage, code, text, meaning):
    assert (
        judge(Reply(stage, code, text, known_to_server=("x@a.example", "office@sender.example"))).meaning.key == meaning
    )


@pytest.mark.parametrize("heard", HEARD, ids=lambda heard: f"{heard.system} {heard.stage} {heard.code}")
@pytest.mark.parametrize(
    "names",
    [
        ("x@example.com", "office@sender.example"),
        ("no-reply@mail.example", "a@b.example", "Your invoice", "invoice.pdf"),
    ],
)
def test_published_reply_is_sorted_as_before_where_names_are_known(heard, names):
    verdict = judge(Reply(heard.stage, heard.code, heard.text, known_to_server=names))
    assert (verdict.meaning.key, f"{verdict.outcome} {verdict.scope}") == (heard.meaning.key, heard.outcome)


@pytest.mark.parametrize(
    "piece",
    [
        *['"', '\\"', "'", "<", "<a ", "a@", "@", "a", "\\", "\\\\", '"@', "a b", "-", "<x@", "+"],
        *["said ", "response", ".", "a.", "a.a ", "( )", "( ).", "name=", ": ", ":4", "->45", "a.a["],
    ],
)
def test_reply_is_read_in_time_that_grows_with_its_length(piece):
    """A thousand times longer may take a few thousand times as long, not a million."""
    names = (f'"{piece * 30}x"@example.com'.replace('""', '"'), piece * 900, "y@" + piece * 200)

    def seconds(size):
        text = piece * (size // len(piece))
        began = time.process_time()
        reply = Reply(S.END, 550, text, known_to_server=names)
        assert isinstance(reply.nameless.words, str)
        return time.process_time() - began

    seconds(2000)
    assert seconds(200_000) < 10


@given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=3))
def test_anything_can_be_taken_out_of_anything(text, names):
    bare = echoed_words.without_addresses(text, names)
    own = echoed_words.without_other_servers(echoed_words.without_quotations(bare, names, of_content=True))
    echoed_words.without_plain_words(own, names)


def test_addresses_of_these_tests_are_some_that_the_gate_takes():
    for inner in HOSTILE[:14]:
        assert envelope_address(f"{quoted(inner)}@example.com") in (
            f"{quoted(inner)}@example.com",
            f"{inner}@example.com",
        )
        assert envelope_address(f"{dot_atom(inner)}@example.com") == f"{dot_atom(inner)}@example.com"
