"""A connection to an SMTP server and one RFC 5321 transaction on it, stage by stage.

dialogue.py speaks and listens; here is what is said in which order, and what exactly was heard where.
"""

import base64
import hmac
import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from messaging.reencode import to_7bit
from messaging.setup.certificates import tls_context
from messaging.setup.layers import AuthType, EmailSetup
from messaging.setup.network import Checked, checked_addresses, connect_to

from . import token_sign_in
from .dialogue import Client, Patience, Say, StageFailed, local_failure, reply_of, told_as
from .outcomes import LocalError, Reply, Stage
from .steps import Hear, Step, connected, introduced, resolved, secured, signed_in

CONTENT_SECONDS = 180
PIPELINE_LENGTH = 50
# With these the server was not asked, so the connection is as good as it was.
UNASKED = (None, LocalError.TOO_BIG, LocalError.NO_SMTPUTF8)


class BareLineEnd(ValueError):
    """The content has a bare CR or LF, which could smuggle a second message (RFC 5321 2.3.8)."""


class Abandoned(Exception):
    """The caller did not want the content sent after all; nothing was."""


@dataclass(frozen=True)
class Envelope:
    """Who sends to whom, and what the content needs of the server."""

    reverse_path: str
    recipients: Sequence[str]
    size: int
    is_8bit: bool = False
    needs_smtputf8: bool = False


@dataclass
class Result:
    """What was heard: per recipient at RCPT, and `final` at the stage where the transaction ended."""

    final: Reply
    recipients: dict[str, Reply] = field(default_factory=dict)

    def reply_for(self, address: str) -> Reply:
        """The reply that decides for one recipient."""
        at_rcpt = self.recipients.get(address)
        return at_rcpt if at_rcpt and not at_rcpt.ok else self.final


class Connection:
    """One connection with the settings of one account, for many transactions.

    Args:
        setup: the resolved settings.
        patience: time-outs.
        say: called with "C" or "S" and the line, secrets masked; for the test message's dialogue.
        hear: called with each step of opening that is done.

    `addresses` and `features` are what the name led to and what EHLO brought; `failure` is why opening failed.
    """

    def __init__(self, setup: EmailSetup, patience: Patience, say: Say | None = None, hear: Hear | None = None) -> None:
        self.setup = setup
        self.patience = patience
        self.say = say or (lambda direction, line: None)
        self.hear = hear
        self.addresses: list[Checked] = []
        self.features: dict[str, str] = {}
        self.failure: Reply | None = None
        self.transactions = 0
        self.tls = ""
        self._host = setup.host.strip("[]")  # an IPv6 address may come in brackets
        self._client: Client | None = None

    @property
    def is_open(self) -> bool:
        return self._client is not None

    @property
    def server(self) -> str:
        return self.setup.server

    def open(self) -> None:
        """Connect, greet, secure and sign in, as the settings say.

        Raises:
            StageFailed: with the stage at fault. STARTTLS and certificates are never optional once asked for.
        """
        problems = self.setup.problems()
        if problems:
            raise StageFailed(Reply(Stage.CONNECT, None, "", LocalError.SETUP, {"problems": problems}))
        self._client = client = Client(self.patience, self.say)
        try:
            self._connect(client)
            self._hello(client)
            if self.setup.auth_type == AuthType.TLS_EXPLICIT:
                self._starttls(client)
                self._hello(client)
            if self.setup.signs_in:
                self._note(signed_in, self.setup, self._sign_in(client))
        except BaseException as error:
            if isinstance(error, StageFailed):
                self.failure = error.reply
                self._tell(error)
            self.close()
            raise
        self.transactions = 0

    def close(self, *, politely: bool = False) -> None:
        """End the connection; with QUIT when the dialogue is in order. Nothing here can change an outcome."""
        client, self._client = self._client, None
        if client is None:
            return
        if politely:
            with suppress(OSError, smtplib.SMTPException):
                client.reply_seconds = 5.0
                client.docmd("QUIT")
        client.close()

    def transact(self, envelope: Envelope, content: Iterable[bytes], before_end: Callable[[Result], bool]) -> Result:
        """Hand one message over.

        Args:
            envelope: who to whom.
            content: the message with CRLF line ends, in pieces; dot-stuffed here.
            before_end: called once a recipient is accepted and before the end of the content is sent, so that the
                caller can commit that from now on the message may be accepted. False gives the transaction up.

        Returns:
            Result: also when refused. After a reply of 421 or a broken connection the connection is closed.

        Raises:
            Abandoned: `before_end` said no; the connection is closed, so that the server takes nothing.
            BareLineEnd: nothing of the content was completed, and the connection is closed.
        """
        result = Result(Reply(Stage.MAIL, None))
        client = self._client
        assert client is not None, "open() comes first"
        try:
            if envelope.is_8bit and not client.has_extn("8bitmime"):
                converted = to_7bit(b"".join(content))
                content, envelope = [converted], replace(envelope, size=len(converted), is_8bit=False)
            unfit = self._unfit(client, envelope)
            if unfit:
                result.final = unfit
                return result
            data = self._introduce(client, envelope, result)
            if any(reply.ok for reply in result.recipients.values()):
                reply = data or client.ask(Stage.DATA, "DATA")
                if reply.code == 354:
                    result.final = self._hand_over(client, content, lambda: before_end(result))
                else:
                    result.final = reply if not reply.ok else Reply(Stage.DATA, None, reply.text, LocalError.NOT_SMTP)
            elif result.recipients:
                result.final = result.recipients[envelope.recipients[-1]]
                self._end_empty(client, data)
            self.transactions += 1
        except StageFailed as failure:
            self._tell(failure)
            result.final = failure.reply
        except BaseException:
            self.close()
            raise
        self._tidy(result)
        return result

    def _tell(self, failure: StageFailed) -> None:
        """An error of this machine belongs into the dialogue; what the server said is there already."""
        if failure.reply.error is not None:
            self.say("*", failure.reply.said)

    # --- Opening ---------------------------------------------------------------------------------

    def _connect(self, client: Client) -> None:
        self.say("*", f"connecting to {self.server}")
        try:
            self.addresses = checked_addresses(self._host, self.setup.port)
            self._note(resolved, self._host, self.addresses)
            sock = connect_to(self.addresses, self.patience.seconds(Stage.CONNECT))
            client.sock = sock
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._note(connected, sock)
        except (OSError, UnicodeError) as error:
            raise StageFailed(local_failure(Stage.CONNECT, error)) from error
        if self.setup.auth_type == AuthType.TLS_IMPLICIT:
            self._secure(client)
        client.expect(Stage.GREETING)

    def _hello(self, client: Client) -> None:
        name = self.setup.ehlo_name
        with told_as(Stage.EHLO):
            client.reply_seconds = self.patience.seconds(Stage.EHLO)
            code, text = client.ehlo(name)
            if 500 <= code < 600:
                code, text = client.helo(name)
        if code != 250:
            raise StageFailed(reply_of(Stage.EHLO, code, text))
        self.features = dict(client.esmtp_features)
        self._note(introduced, self.features, isinstance(client.sock, ssl.SSLSocket))

    def _starttls(self, client: Client) -> None:
        if not client.has_extn("starttls"):
            raise StageFailed(Reply(Stage.STARTTLS, None, "", LocalError.NO_STARTTLS))
        client.expect(Stage.STARTTLS, "STARTTLS")
        client.forget_unread()
        self._secure(client)
        client.esmtp_features = {}
        client.does_esmtp = False
        client.ehlo_resp = client.helo_resp = None

    def _secure(self, client: Client) -> None:
        """The TLS handshake, with the certificate verified for the host that Email Setup names."""
        with told_as(Stage.STARTTLS):
            assert client.sock is not None
            client.sock.settimeout(self.patience.seconds(Stage.STARTTLS))
            context = tls_context(self.setup.ca_bundle)
            client.sock = sock = context.wrap_socket(client.sock, server_hostname=self._host.rstrip("."))
        cipher = sock.cipher()
        self.tls = f"{sock.version()} {cipher[0] if cipher else ''}".strip()
        self.say("*", f"secured with {self.tls}, certificate verified for {self._host}")
        self._note(secured, sock)

    def _note(self, step: Callable[..., Step], *about: object) -> None:
        """Tell a step, which is put into words only for somebody who hears it."""
        if self.hear is not None:
            self.hear(step(*about))

    def _sign_in(self, client: Client) -> str:
        """AUTH (RFC 4954) with the best mechanism both sides know, returned; passwords are UTF-8 (RFC 4616)."""
        if self.setup.uses_oauth:
            return token_sign_in.sign_in(client, self.setup)
        user, password = self.setup.username, self.setup.password
        offered = client.esmtp_features.get("auth", "").upper().split()
        if "PLAIN" in offered:
            mechanism, steps = "PLAIN", ["AUTH PLAIN " + _base64(f"\0{user}\0{password}")]
        elif "LOGIN" in offered:
            mechanism, steps = "LOGIN", ["AUTH LOGIN", _base64(user), _base64(password)]
        elif "CRAM-MD5" in offered:
            mechanism, steps = "CRAM-MD5", ["AUTH CRAM-MD5", ""]
        else:
            raise StageFailed(Reply(Stage.AUTH, None, "", LocalError.NO_AUTH, {"offered": offered}))
        self.say("C", f"AUTH {mechanism} ***")
        client.hidden = True
        client.concealed = [_base64(f"\0{user}\0{password}"), _base64(password), password]
        reply = Reply(Stage.AUTH, 334)
        try:
            for step in steps:
                with told_as(Stage.AUTH):
                    line = step or _cram_md5(user, password, reply.text)
                reply = client.ask(Stage.AUTH, line)
                if reply.code == 235:
                    return mechanism
                if reply.code != 334:
                    break
        finally:
            client.hidden, client.concealed = False, []
        raise StageFailed(reply)

    # --- A transaction ---------------------------------------------------------------------------

    def _unfit(self, client: Client, envelope: Envelope) -> Reply | None:
        """What the server has said it cannot take, without asking it."""
        limit = client.esmtp_features.get("size", "").strip()
        if re.fullmatch("[0-9]{1,18}", limit) and 0 < int(limit) < envelope.size:
            return Reply(Stage.MAIL, None, "", LocalError.TOO_BIG, {"size": envelope.size, "limit": int(limit)})
        if envelope.needs_smtputf8 and not client.has_extn("smtputf8"):
            return Reply(Stage.MAIL, None, "", LocalError.NO_SMTPUTF8)
        return None

    def _introduce(self, client: Client, envelope: Envelope, result: Result) -> Reply | None:
        """MAIL, RCPT and DATA, in one go where the server offers PIPELINING (RFC 2920).

        Returns:
            The reply to DATA; None where it has not been asked, because the server does not pipeline or refused MAIL.
        """
        mail = f"MAIL FROM:<{envelope.reverse_path}>" + self._mail_parameters(client, envelope)
        waiting = [(Stage.MAIL, mail, "")]
        waiting += [(Stage.RCPT, f"RCPT TO:<{address}>", address) for address in envelope.recipients]
        client.command_encoding = "utf-8" if envelope.needs_smtputf8 else "ascii"
        step = 1
        if client.has_extn("pipelining"):
            step = PIPELINE_LENGTH
            waiting.append((Stage.DATA, "DATA", ""))
        data = None
        for start in range(0, len(waiting), step):
            group = waiting[start : start + step]
            with told_as(group[0][0]):
                client.put([line for _, line, _ in group])
            for stage, _, address in group:
                try:
                    reply = client.hear(stage)
                except StageFailed:
                    if stage != Stage.MAIL and not result.final.ok:
                        # Refused at MAIL and hung up: the refusal counts, not that the rest went unanswered.
                        self.close()
                        break
                    raise
                if stage == Stage.MAIL:
                    result.final = reply
                elif stage == Stage.RCPT:
                    result.recipients[address] = reply
                else:
                    data = reply
            if not result.final.ok:
                result.recipients.clear()
                self._end_empty(client, data)
                return None
            closing = [reply for reply in result.recipients.values() if reply.code == 421]
            if closing:
                raise StageFailed(closing[0])
        return data

    def _end_empty(self, client: Client, data: Reply | None) -> None:
        """A server that wants content although it accepted nobody gets a lone dot (RFC 2920 3.1)."""
        if data is None or data.code != 354 or not self.is_open:
            return
        try:
            client.send_content(b".\r\n")
            client.hear(Stage.DATA)
        except (OSError, StageFailed):
            self.close()  # the refusal was heard; how the server ends this changes nothing

    @staticmethod
    def _mail_parameters(client: Client, envelope: Envelope) -> str:
        parameters = ""
        if client.has_extn("size"):
            parameters += f" SIZE={envelope.size}"
        if envelope.is_8bit:
            parameters += " BODY=8BITMIME"
        if envelope.needs_smtputf8:
            parameters += " SMTPUTF8"
        return parameters

    def _hand_over(self, client: Client, content: Iterable[bytes], may_end: Callable[[], bool]) -> Reply:
        """The content, the end of data and the reply that decides. Raises Abandoned."""
        assert client.sock is not None
        stage = Stage.DATA
        octets = 0
        try:
            pending = b""
            for piece in dot_stuffed(content):
                if pending:
                    client.sock.settimeout(CONTENT_SECONDS * self.patience.scale)
                    client.send_content(pending)
                    octets += len(pending)
                pending = piece
            if not may_end():
                raise Abandoned
            stage = Stage.END
            client.sock.settimeout(self.patience.seconds(Stage.END))
            client.send_content(pending + b".\r\n")
            self.say("C", f"(content, {octets + len(pending)} octets, and the final dot)")
        except OSError as error:
            raise StageFailed(local_failure(stage, error)) from error
        return client.hear(Stage.END)

    def _tidy(self, result: Result) -> None:
        """Leave the connection ready for the next transaction, or closed."""
        heard = [result.final, *result.recipients.values()]
        if any(reply.error not in UNASKED or reply.code == 421 for reply in heard):
            self.close()
        elif result.final.stage in (Stage.MAIL, Stage.DATA) or not result.final.ok:
            self.reset()

    def reset(self) -> None:
        """RSET: forget the transaction under way; closes the connection when the server does not agree."""
        if self._client is None:
            return
        try:
            if self._client.ask(Stage.MAIL, "RSET").ok:
                return
        except StageFailed:
            pass
        self.close()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _cram_md5(user: str, password: str, challenge: str) -> str:
    """RFC 2195."""
    digest = hmac.new(password.encode(), base64.b64decode(challenge), "md5").hexdigest()
    return _base64(f"{user} {digest}")


def dot_stuffed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Double the dot at each line start (RFC 5321 4.5.2) and end the last line.

    Raises:
        BareLineEnd: there is a bare CR or LF.
    """
    tail = b"\r\n"
    for piece in pieces:
        data = tail + piece
        line_ends = data.count(b"\r\n")
        is_split = data.endswith(b"\r")  # its LF is the next piece's first octet
        if data.count(b"\n") != line_ends or data.count(b"\r") - is_split != line_ends:
            raise BareLineEnd("bare CR or LF in the content")
        yield data.replace(b"\r\n.", b"\r\n..")[len(tail) :]
        tail = b"\r\n" if data.endswith(b"\r\n") else b"\r" if is_split else b""
    if tail == b"\r":
        raise BareLineEnd("bare CR in the content")
    if not tail:
        yield b"\r\n"
