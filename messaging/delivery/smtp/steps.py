"""The way into a mail server step by step, for someone who watches: what was done, and the facts met there."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage, judge
from messaging.setup import certificates
from messaging.setup.layers import EmailSetup
from messaging.setup.network import Checked

Facts = tuple[tuple[str, str], ...]

SOON = timedelta(days=21)


@dataclass(frozen=True)
class Step:
    """One step: its name, what came of it, and facts as (what, value).

    `state` is "ok", "note" (worth a look) or "failed"; `at_ms` is when, in milliseconds since the start.
    """

    name: str
    words: str
    facts: Facts = ()
    state: str = "ok"
    at_ms: int = 0


class Gone(Exception):
    """No one watches any more."""


OnStep = Callable[[Step], None]  # raises Gone

STEP_NAMES = {
    Stage.PREPARE: "Message",
    Stage.CONNECT: "Connection",
    Stage.GREETING: "Greeting",
    Stage.EHLO: "Capabilities",
    Stage.STARTTLS: "TLS",
    Stage.AUTH: "Sign-in",
    Stage.MAIL: "Sender",
    Stage.RCPT: "Recipient",
    Stage.DATA: "Content",
    Stage.END: "Content",
}


def resolved(host: str, addresses: Sequence[Checked]) -> Step:
    """The name was found."""
    found = list(dict.fromkeys(str(address[0]) for _, address in addresses))
    words = f"{host} was found." if found != [host] else f"{host} is an address; there is no name to look up."
    return Step("Name", words, (("Addresses", ", ".join(found)),))


def connected(address: Checked) -> Step:
    """The server took the connection."""
    host, port = address[1][:2]
    return Step("Connection", f"Connected to {host}, port {port}.")


def passed_over(address: Checked, reply: Reply) -> Step:
    """One address of several did not come to serve us."""
    name = STEP_NAMES[reply.stage]
    is_silent = reply.stage == Stage.CONNECT and reply.error == LocalError.TIMEOUT
    why = "It did not answer in time." if is_silent else judge(reply).meaning.explanation
    facts = () if is_silent or not reply.said else (own_words(reply),)
    return Step(name, f"{address[1][0]}, port {address[1][1]}: {why}", facts, "note")


def own_words(reply: Reply) -> tuple[str, str]:
    """What was heard, as a fact of its own."""
    if reply.code:
        return "The server’s own words", f"{reply.code} {reply.text}"
    return "This machine’s words", reply.said


def secured(sock: ssl.SSLSocket) -> Step:
    """TLS is there, and the certificate was verified."""
    cipher = sock.cipher()
    words, state = "Secured, and the certificate was verified.", "ok"
    facts: Facts = (("Version", str(sock.version())), ("Cipher", cipher[0] if cipher else ""))
    try:
        shown = certificates.read(sock.getpeercert(binary_form=True) or b"")
    except ValueError:  # OpenSSL is content with it, and that counts
        pass
    else:
        facts += certificate_facts(shown)
        if shown.ends - timezone.now() < SOON:
            words, state = f"Secured; the certificate ends on {day(shown.ends)} and has to be renewed by then.", "note"
    return Step("TLS", words, facts, state)


def certificate_facts(shown: certificates.Shown) -> Facts:
    """What is in a certificate, for the page."""
    left = (shown.ends - timezone.now()).days
    days = "expired" if left < 0 else f"{left} {'day' if left == 1 else 'days'} left"
    return (
        ("Certificate for", shown.subject),
        ("Names", ", ".join(shown.names.readable) or "none"),
        ("Issued by", "itself" if shown.is_self_signed else shown.issuer),
        ("Valid", f"{day(shown.begins)} to {day(shown.ends)} ({days})"),
        ("Key", shown.key),
        ("Signed with", shown.signature),
        ("Fingerprint (SHA-256)", shown.fingerprint),
    )


def day(moment: datetime) -> str:
    """A day as it is told: 3 Mar 2027."""
    return f"{moment:%-d %b %Y}"


def introduced(features: Mapping[str, str], is_secure: bool) -> Step:
    """The server said what it can do (EHLO, RFC 5321 4.1.1.1)."""
    if not features:
        return Step("Capabilities", "The server supports only HELO and offers no extensions.", state="note")
    limit = features.get("size", "").strip()
    has_limit = limit.isdecimal() and len(limit) < 20 and int(limit) > 0
    facts = [
        ("Largest message", filesizeformat(int(limit)) if has_limit else "no limit given"),
        ("8-bit content (8BITMIME)", _offered("8bitmime" in features)),
        ("Commands in one go (PIPELINING)", _offered("pipelining" in features)),
        ("Addresses beyond ASCII (SMTPUTF8)", _offered("smtputf8" in features)),
        ("Ways to sign in (AUTH)", ", ".join(mechanisms(features)) or "none"),
    ]
    if not is_secure:
        facts.insert(0, ("Encryption (STARTTLS)", _offered("starttls" in features)))
    when = "after TLS" if is_secure else "in the clear"
    return Step("Capabilities", f"The server said what it can do, {when}.", tuple(facts))


def _offered(is_there: bool) -> str:
    return "offered" if is_there else "not offered"


def mechanisms(features: Mapping[str, str]) -> list[str]:
    """The mechanisms of AUTH that a server offers, each once."""
    return list(dict.fromkeys(features.get("auth", "").upper().split()))


def signed_in(setup: EmailSetup, mechanism: str) -> Step:
    """The server took the sign-in."""
    return Step("Sign-in", f"Signed in as {setup.username}.", (("Mechanism", mechanism),))
