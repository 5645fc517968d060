"""After a connection that failed: a few more tries at the same server, to say which setting would work.

Only addresses that were resolved and checked for the connection are used, each try is short, and nothing is sent but
greetings and TLS handshakes: no name of ours beyond EHLO, no sign-in, no mail.
"""

import socket
import ssl
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from django.utils import timezone

from messaging.delivery.outcomes.meanings import WANTS_SIGN_IN
from messaging.delivery.outcomes.reply import CERTIFICATE_ERRORS
from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage, judge
from messaging.delivery.smtp.dialogue import Client, Patience, StageFailed, failing_at
from messaging.delivery.smtp.steps import Facts, certificate_facts, day, mechanisms
from messaging.delivery.smtp.transaction import Connection
from messaging.setup import certificates
from messaging.setup.certificates import Shown
from messaging.setup.host_names import as_address, is_wildcard, usable
from messaging.setup.layers import AuthType, EmailSetup
from messaging.setup.network import Checked, address_literal, connect_to
from messaging.setup.servers import USUAL_PORTS

TRY_SECONDS = 3.0
TRIED_ADDRESSES = 2
NO_DIALOGUE = (
    LocalError.CONNECTION_REFUSED,
    LocalError.CONNECTION_LOST,
    LocalError.TIMEOUT,
    LocalError.NOT_SMTP,
    LocalError.NO_TLS,
    LocalError.TLS,
)
GOES_WITH = {25: "default", 465: AuthType.TLS_IMPLICIT, 587: AuthType.TLS_EXPLICIT}


@dataclass(frozen=True)
class Finding:
    """What the matter is, what to do about it ("" for nothing better than the outcome table says), and facts."""

    words: str
    advice: str = ""
    facts: Facts = ()


def diagnose(connection: Connection, reply: Reply, *, may_try_ports: bool) -> Finding | None:
    """Find out more about a connection that failed with `reply`; None when there is nothing to add.

    Takes at most half a minute. `may_try_ports` allows to see which of the usual ports of the server answers.
    """
    setup, addresses = connection.setup, connection.addresses[:TRIED_ADDRESSES]
    if reply.error in CERTIFICATE_ERRORS:
        return _about_certificate(setup, addresses, reply)
    if reply.error in (LocalError.NO_AUTH, LocalError.NO_TOKEN_SIGN_IN):
        return _about_sign_in(setup, connection.features)
    if reply.stage in (Stage.MAIL, Stage.RCPT, Stage.DATA):
        return _about_missing_sign_in(setup, connection.features, reply)
    if not addresses or reply.error not in NO_DIALOGUE:
        return None
    if reply.stage == Stage.CONNECT:
        return _about_ports(setup, addresses, may_try_ports)
    if reply.stage == Stage.GREETING and setup.auth_type != AuthType.TLS_IMPLICIT:
        return _about_early_tls(setup, addresses)
    if reply.stage == Stage.STARTTLS and setup.auth_type == AuthType.TLS_IMPLICIT:
        return _about_clear_greeting(setup, addresses)
    return None


# --- Ports and TLS modes -----------------------------------------------------------------------------


def _about_ports(setup: EmailSetup, addresses: Sequence[Checked], may_try: bool) -> Finding:
    firewall = "A firewall may be in the way, on this machine, in the network or at the provider."
    if not may_try:
        return Finding(firewall, "Ask an administrator to check the connection in Email Setup.")
    ports = [port for port in USUAL_PORTS if port != setup.port]
    answering = [port for port in ports if _answers(addresses, port)]
    if not answering:
        tried = _listed([str(port) for port in ports])
        return Finding(
            f"The server answers on none of the other usual ports either ({tried}). {firewall}",
            "Check the server name in Email Setup, that the mail server runs, and what the firewall lets through.",
        )
    best = answering[-1]
    fits = f" with auth type {GOES_WITH[best]}" if best in GOES_WITH else ""
    verb = "answers" if len(answering) == 1 else "answer"
    return Finding(
        f"Port {setup.port} does not answer there, but {_listed([str(port) for port in answering])} {verb}.",
        f"Choose port {best}{fits} in Email Setup.",
    )


def _answers(addresses: Sequence[Checked], port: int) -> bool:
    other = [(family, (address[0], port, *address[2:])) for family, address in addresses]
    try:
        connect_to(other, TRY_SECONDS).close()
    except OSError:
        return False
    return True


def _about_early_tls(setup: EmailSetup, addresses: Sequence[Checked]) -> Finding | None:
    """A server that does not greet may wait for TLS."""
    try:
        with closing(_shaken(setup, addresses)) as sock:
            assert sock.version()
    except OSError:
        return None
    return Finding(
        f"The server speaks TLS from the first byte on port {setup.port}.",
        "Choose tls-implicit, or port 587 with tls-explicit, in Email Setup.",
    )


def _about_clear_greeting(setup: EmailSetup, addresses: Sequence[Checked]) -> Finding | None:
    """A server with which TLS from the first byte fails may greet in clear."""
    client = None
    try:
        client = _greeted(setup, addresses)
    except (OSError, StageFailed):
        return None
    finally:
        if client is not None:
            client.close()
    if client.has_extn("starttls"):
        return Finding(
            f"The server greets in the clear on port {setup.port} and offers STARTTLS there.",
            "Choose tls-explicit, or port 465 with tls-implicit, in Email Setup.",
        )
    return Finding(
        f"The server greets in the clear on port {setup.port} and offers no encryption there (no STARTTLS).",
        "Try port 465 with tls-implicit or port 587 with tls-explicit. The auth type default works here, but sends "
        "everything in the clear.",
    )


# --- Certificates ------------------------------------------------------------------------------------


def _about_certificate(setup: EmailSetup, addresses: Sequence[Checked], reply: Reply) -> Finding | None:
    try:
        with closing(_shaken(setup, addresses, after_starttls=setup.auth_type == AuthType.TLS_EXPLICIT)) as sock:
            shown = certificates.read(sock.getpeercert(binary_form=True) or b"")
    except (OSError, StageFailed, ValueError):
        return None
    host = setup.host.strip("[]")
    fits = shown.is_for(host)
    if fits and reply.error == LocalError.CERTIFICATE_OTHER_NAME:
        return None  # it shows another certificate by now
    matters = [
        *_about_dates(shown),
        *([] if fits else [_about_name(shown, host)]),
        *([_about_authority(shown)] if reply.error == LocalError.CERTIFICATE_STRANGER else []),
        *([_about_strength(shown)] if reply.error == LocalError.CERTIFICATE_WEAK else []),
    ]
    if not matters and reply.error in (LocalError.CERTIFICATE_EXPIRED, LocalError.CERTIFICATE_EARLY):
        matters = [(f"The certificate itself is in order, but one of those above it is not: {reply.text}.", "")]
    elif not matters:
        matters = [(f"This machine does not accept it: {reply.text}.", "")]
    words, advice = (" ".join(filter(None, texts)) for texts in zip(*matters, strict=True))
    return Finding(words, advice, certificate_facts(shown))


def _about_dates(shown: Shown) -> list[tuple[str, str]]:
    now = timezone.now()
    if shown.ends < now:
        return [(f"It expired on {day(shown.ends)}.", "Ask the mail server’s administrator to renew the certificate.")]
    if shown.begins > now:
        return [(f"It is not valid before {day(shown.begins)}.", "Check this machine’s clock.")]
    return []


def _about_name(shown: Shown, host: str) -> tuple[str, str]:
    names = shown.names.readable
    another = f"Ask the mail server’s administrator for a certificate that names {host}."
    if not names:
        return f"It names no host, so it does not name {host}.", another
    if as_address(host) is not None and host in shown.names.counting:
        return (
            f"It lists {host} as a host name, not as an address, and only an address counts here.",
            f"{another[:-1]} as an address (an alternative name of the kind IP).",
        )
    words = f"It is for {_listed(names[:5])}{' and others' if len(names) > 5 else ''}, and not for {host}."
    idle = [name for name in names if "*" in name and not is_wildcard(name)]
    if idle:
        words += f" {idle[0]} matches no other name: the star must be the whole of the first part, of at least three."
    enter = usable(names)
    if enter:
        return words, f"If it is the same server, enter {enter[0]} as server in Email Setup."
    wildcard = next(filter(is_wildcard, names), "")
    return words, f"Enter a name as server in Email Setup that fits {wildcard}." if wildcard else another


def _about_strength(shown: Shown) -> tuple[str, str]:
    return (
        f"Its key or the way it is signed is too weak to be safe ({shown.key}; {shown.signature}), or that of one of "
        "those above it.",
        "Ask the mail server’s administrator for a new certificate, with a key of at least 2,048 bits (RSA) or 256 "
        "bits (EC), signed with SHA-256.",
    )


def _about_authority(shown: Shown) -> tuple[str, str]:
    if shown.is_self_signed:
        return (
            "It vouches for itself (self-signed).",
            "If you trust it, enter this certificate as “Certificate authorities” in Email Setup; the mail "
            "server’s administrator can give it to you, and the fingerprint below tells whether it is the same.",
        )
    return (
        f"It comes from “{shown.issuer}”, an authority that this machine does not know.",
        "Upload the certificate of that authority as “Certificate authorities” in Email Setup; the mail server’s "
        "administrator has it.",
    )


# --- Sign-in -----------------------------------------------------------------------------------------


def _about_sign_in(setup: EmailSetup, features: dict[str, str]) -> Finding | None:
    offered = mechanisms(features)
    if "starttls" in features and setup.auth_type == AuthType.DEFAULT:
        return Finding(
            "The server offers STARTTLS, and a sign-in only after it.", "Choose tls-explicit in Email Setup."
        )
    if not setup.uses_oauth and {"XOAUTH2", "OAUTHBEARER"} & set(offered):
        return Finding(
            f"The server accepts no password: it offers only sign-in with a token ({_listed(offered)}).",
            "Choose another “Way to sign in” in Email Setup.",
        )
    if offered:
        return Finding(f"The server offers only {_listed(offered)}, which this setup cannot use.")
    return Finding(
        f"The server offers no sign-in at all on port {setup.port}.",
        "Sign-in is usual on port 587 with tls-explicit. If the server takes mail from this machine without a sign-in, "
        "choose send type 2 in Email Setup.",
    )


def _about_missing_sign_in(setup: EmailSetup, features: dict[str, str], reply: Reply) -> Finding | None:
    if setup.signs_in or judge(reply).meaning is not WANTS_SIGN_IN:
        return None
    offered = mechanisms(features)
    way = f"offers it ({_listed(offered)})" if offered else "offers none on this connection"
    return Finding(
        f"The server takes mail only after a sign-in and {way}; send type {setup.send_type} uses none.",
        "Choose send type 3 and enter user name and password in Email Setup."
        + ("" if offered else " Many servers offer it only after STARTTLS: choose tls-explicit and port 587 with it."),
    )


# --- Tries -------------------------------------------------------------------------------------------


def _greeted(setup: EmailSetup, addresses: Sequence[Checked]) -> Client:
    """Connect and greet in clear. Raises OSError, StageFailed."""
    patience = Patience(scale=TRY_SECONDS / 300)
    client = Client(patience, lambda direction, line: None)
    client.sock = connect_to(addresses, TRY_SECONDS)
    try:
        client.expect(Stage.GREETING)
        with failing_at(Stage.EHLO):
            client.reply_seconds = patience.seconds(Stage.EHLO)
            client.ehlo(setup.ehlo_name or address_literal(client.sock))
    except BaseException:
        client.close()
        raise
    return client


def _shaken(setup: EmailSetup, addresses: Sequence[Checked], *, after_starttls: bool = False) -> ssl.SSLSocket:
    """A TLS handshake that takes any certificate; nothing may be sent over it. Raises OSError, StageFailed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # to see what is weak, too
    sock: socket.socket | None = None
    try:
        if after_starttls:
            client = _greeted(setup, addresses)
            sock = client.sock
            client.expect(Stage.STARTTLS, "STARTTLS")
        else:
            sock = connect_to(addresses, TRY_SECONDS)
        assert sock is not None
        sock.settimeout(TRY_SECONDS)
        return context.wrap_socket(sock, server_hostname=setup.host.strip("[]").rstrip("."))
    except BaseException:
        if sock is not None:
            sock.close()
        raise


def _listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
