"""One command, one reply: the client side of an SMTP dialogue.

On top of smtplib: it keeps the socket and the EHLO features. Ours are the replies (one deadline per reply, whatever the
server drips) and what an error means.
"""

import base64
import errno
import math
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from messaging.content import mime
from messaging.delivery.outcomes.reply import OPENING_STAGES
from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage
from messaging.setup.network import RefusedAddress
from messaging.system_errors import words_of

# Seconds to wait at each stage (RFC 5321 4.5.3.2); connecting is ours. Scaled by settings.SMTP_TIMEOUT_SCALE.
STAGE_SECONDS = {
    Stage.CONNECT: 150,
    Stage.GREETING: 300,
    Stage.EHLO: 300,
    Stage.STARTTLS: 300,
    Stage.AUTH: 300,
    Stage.MAIL: 300,
    Stage.RCPT: 300,
    Stage.DATA: 120,
}
MAX_REPLY_LINE = 8192
MAX_REPLY_LINES = 200
MOST_WORDS = 2000  # characters of a reply, or of what EHLO says of one feature
ENDLESS_LINE, ENDLESS_REPLY = -2, -3  # in the place of a reply code
ENDLESS = {ENDLESS_LINE: "line", ENDLESS_REPLY: "reply"}
SHORTEST_CONCEALED = 4  # a shorter one is in many a word, and where it is masked would tell it
LONGEST_WORD = 16  # letters of a word that replies may use

_STARTS_REPLY = re.compile(rb"[2-5]\d\d(?:[ -]|$)")

OnLine = Callable[[str, str], None]

# By OpenSSL's verify_code (x509_vfy.h); the others are told as LocalError.CERTIFICATE.
_CERTIFICATE_ERRORS = {
    9: LocalError.CERTIFICATE_EARLY,
    10: LocalError.CERTIFICATE_EXPIRED,
    62: LocalError.CERTIFICATE_OTHER_NAME,
    64: LocalError.CERTIFICATE_OTHER_NAME,
    **dict.fromkeys((2, 7, 18, 19, 20, 21), LocalError.CERTIFICATE_STRANGER),
    **dict.fromkeys((66, 67, 68), LocalError.CERTIFICATE_WEAK),
}
# By OpenSSL's reason (sslerr.h); the others are told as LocalError.TLS.
_TLS_ERRORS = {
    # What comes in the place of TLS.
    **dict.fromkeys(
        ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"),
        LocalError.NO_TLS,
    ),
    # A version of it before 1.2.
    **dict.fromkeys(
        ("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION"),
        LocalError.OLD_TLS,
    ),
    # Methods that are too weak, or none in common. Alert 40 of TLS 1.2 says no more than that.
    "DH_KEY_TOO_SMALL": LocalError.WEAK_KEY_EXCHANGE,
    **dict.fromkeys(
        ("WRONG_SIGNATURE_TYPE", "UNSUPPORTED_SIGNATURE_TYPE", "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED"),
        LocalError.WEAK_SIGNATURE,
    ),
    **dict.fromkeys(
        (
            "SSLV3_ALERT_HANDSHAKE_FAILURE",
            "TLSV1_ALERT_INSUFFICIENT_SECURITY",
            "NO_SHARED_CIPHER",
            "NO_CIPHERS_AVAILABLE",
            "UNKNOWN_CIPHER_RETURNED",
            "WRONG_CIPHER_RETURNED",
            "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
        ),
        LocalError.NO_COMMON_TLS,
    ),
    **dict.fromkeys(("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"), LocalError.CERTIFICATE_WEAK),
    # What the server says of us, and of itself.
    **dict.fromkeys(
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_NO_CERTIFICATE"),
        LocalError.WANTS_CERTIFICATE,
    ),
    "TLSV1_UNRECOGNIZED_NAME": LocalError.NAME_NOT_SERVED,
    **dict.fromkeys(
        ("TLSV1_ALERT_INTERNAL_ERROR", "TLSV1_ALERT_DECODE_ERROR", "TLSV1_ALERT_DECRYPT_ERROR"),
        LocalError.TLS_FAULT_THERE,
    ),
}


class ServerClosed(ConnectionAbortedError):
    """The server ended the connection where a reply was due."""


class OutOfStep(smtplib.SMTPException):
    """The server has said what no one asked for: it would be taken for the answer to what is said next."""


class StageFailed(Exception):
    """The dialogue cannot continue; `reply` says where and why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.stage}: {reply.code or reply.error} {reply.said}")
        self.reply = reply


@dataclass(frozen=True)
class Patience:
    """How long to wait: `scale` times STAGE_SECONDS, and seconds for the reply that decides.

    `until` is when all before that reply has to be done, by time.monotonic.
    """

    scale: float = 1.0
    final_reply: float = 600.0
    until: float = math.inf

    def within(self, seconds: float) -> "Patience":
        """The same, with so many seconds from now for all that comes before the reply that decides."""
        return replace(self, until=time.monotonic() + seconds)

    def seconds(self, stage: Stage) -> float:
        return self.final_reply if stage == Stage.END else self.left(STAGE_SECONDS[stage] * self.scale)

    def left(self, seconds: float) -> float:
        """So many seconds, or what is left of them; never 0, which would be no time-out for a socket."""
        return max(min(seconds, self.until - time.monotonic()), 0.001)

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until


class Client(smtplib.SMTP):
    """smtplib's client with replies read under one deadline and every line told to `say`."""

    def __init__(self, patience: Patience, on_line: OnLine) -> None:
        super().__init__(local_hostname="localhost", timeout=patience.seconds(Stage.CONNECT))
        self.patience = patience
        self.on_line = on_line
        self.hidden = False
        self._concealed: set[bytes] = set()
        self.reply_seconds = 0.0
        self.unread = b""

    def putcmd(self, cmd: str, args: str = "") -> None:
        self._be_in_step()
        line = f"{cmd.upper()} {args}" if args else cmd  # smtplib says "ehlo name", we say whole lines
        self.on_line("C", "***" if self.hidden else line)
        super().putcmd(line)

    def ehlo(self, name: str = "") -> tuple[int, bytes]:
        """EHLO, and its features as words that deceive no one (RFC 5321 4.1.1.1)."""
        answer = super().ehlo(name)
        found = self.esmtp_features.items()
        self.esmtp_features = {feature: mime.undeceptive(value)[:MOST_WORDS] for feature, value in found}
        return answer

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply. Code -1 is something that is not SMTP (smtplib's convention), one of ENDLESS too much of it.

        A server that repeats a secret that was concealed does so for no one to see.

        Raises:
            OSError: closed (ServerClosed), reset or timed out (socket.timeout).
        """
        deadline = time.monotonic() + self.reply_seconds
        texts: list[bytes] = []
        kind = b""
        while len(texts) < MAX_REPLY_LINES:
            line = self._read_line(deadline)
            if line is None:
                self.on_line("S", f"(a line of more than {MAX_REPLY_LINE} octets)")
                return ENDLESS_LINE, b""
            line = self._without_secrets(line)
            self.on_line("S", decoded(line))
            if not _STARTS_REPLY.match(line) or not line.startswith(kind):
                return -1, line
            kind = line[:1]  # RFC 5321 4.2.1: of one reply, all lines have the same code
            texts.append(line[4:].strip())
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(texts)
        return ENDLESS_REPLY, b""

    def conceal(self, secret: str) -> None:
        """Mask a secret in all that the server says from now on: at RCPT, too, and where it says what is no reply."""
        if len(secret) < SHORTEST_CONCEALED:
            return
        self._concealed |= {secret.encode(), base64.b64encode(secret.encode())}
        with suppress(UnicodeEncodeError):
            self._concealed.add(secret.encode("windows-1252"))  # as `decoded` may read it

    def reveal_words(self) -> None:
        """After signing in: what may be an ordinary word stays, as a reply is judged by its words."""
        self._concealed = {each for each in self._concealed if not each.isalpha() or len(each) > LONGEST_WORD}

    def _without_secrets(self, line: bytes) -> bytes:
        code = line[:4] if _STARTS_REPLY.match(line) else b""
        text = line[len(code) :]
        for secret in sorted(self._concealed, key=len, reverse=True):  # before the one that it contains
            text = text.replace(secret, b"***")
        return code + text

    def _read_line(self, deadline: float) -> bytes | None:
        """The next line; None when it has no end in sight."""
        assert self.sock is not None
        while b"\n" not in self.unread:
            if len(self.unread) > MAX_REPLY_LINE:
                self.unread = b""
                return None
            self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            received = self.sock.recv(4096)
            if not received:
                raise ServerClosed
            self.unread += received
        line, self.unread = self.unread.split(b"\n", 1)
        return line.rstrip(b"\r")

    def has_spoken(self, within: float = 0) -> bool:
        """Whether the server has said something that no one asked for, or has hung up.

        Raises:
            OSError: the connection broke; TimeoutError: nothing came within so many seconds.
        """
        assert self.sock is not None
        if not self.unread:
            seconds = self.sock.gettimeout()
            self.sock.settimeout(within)
            try:
                self.unread = self.sock.recv(4096)
            except (BlockingIOError, ssl.SSLWantReadError):
                return False
            finally:
                self.sock.settimeout(seconds)
        return True

    def _be_in_step(self) -> None:
        """Raises OutOfStep. That a server ends the connection (421) is always an answer, and how it broke is heard."""
        with suppress(OSError):
            self.has_spoken()
        if self.unread and not self.unread.startswith(b"421"):
            raise OutOfStep

    def forget_unread(self) -> None:
        """Drop what came before TLS: it could be anyone's (CVE-2011-0411)."""
        self.unread = b""

    def send_content(self, data: bytes) -> None:
        assert self.sock is not None
        self.sock.sendall(data)

    def put(self, lines: Sequence[str]) -> None:
        """Say one command, or several at once (RFC 2920)."""
        if len(lines) == 1:
            self.putcmd(lines[0])
            return
        self._be_in_step()
        for line in lines:
            self.on_line("C", line)
        self.send("\r\n".join(lines) + "\r\n")

    def read_reply(self, stage: Stage) -> Reply:
        """The next reply, of whatever code. Raises StageFailed: there is none, or it is not SMTP."""
        self.reply_seconds = self.patience.seconds(stage)
        with failing_at(stage):
            code, text = self.getreply()
        return reply_of(stage, code, text)

    def ask(self, stage: Stage, line: str) -> Reply:
        """Say a command and hear its reply. Raises StageFailed."""
        with failing_at(stage):
            self.put([line])
        return self.read_reply(stage)

    def expect(self, stage: Stage, line: str = "") -> None:
        """OnStep a 2xx reply, to a command if there is one. Raises StageFailed when it is another."""
        reply = self.ask(stage, line) if line else self.read_reply(stage)
        if not reply.ok:
            raise StageFailed(reply)


def decoded(octets: bytes) -> str:
    """A server's words: UTF-8 (RFC 6531 3.7.4), else what old servers say, each line by itself; nothing deceptive."""
    lines = []
    for line in octets.split(b"\n"):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError:
            lines.append(line.decode("windows-1252", "replace"))
    return mime.undeceptive("\n".join(lines))


def reply_of(stage: Stage, code: int, text: bytes) -> Reply:
    """smtplib's code and text as a Reply. Raises StageFailed: it is not SMTP."""
    words = decoded(text)[:MOST_WORDS]
    if code < 0:
        raise StageFailed(Reply(stage, None, words, LocalError.NOT_SMTP, {"endless": ENDLESS.get(code, "")}))
    return Reply(stage, code, words)


@contextmanager
def failing_at(stage: Stage) -> Iterator[None]:
    """Turn an error of the socket, of TLS or of smtplib into StageFailed at `stage`."""
    try:
        yield
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise StageFailed(local_failure(stage, error)) from error


def is_out_of_files(error: BaseException | None) -> bool:
    """Whether this machine has no descriptor, buffer or memory left: no message would fare better."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def local_failure(stage: Stage, error: Exception) -> Reply:
    """What an error of this machine is, by LocalError."""

    def reply(found: LocalError, text: str = words_of(error), **params: object) -> Reply:
        return Reply(stage, None, text, found, params)

    if isinstance(error, RefusedAddress):
        return reply(LocalError.REFUSED_ADDRESS, "", host=error.host, address=error.address)
    if isinstance(error, ssl.SSLCertVerificationError):
        return reply(_CERTIFICATE_ERRORS.get(error.verify_code, LocalError.CERTIFICATE))
    if isinstance(error, ssl.SSLError) and stage in OPENING_STAGES:  # later, TLS has worked
        return reply(_TLS_ERRORS.get(error.reason or "", LocalError.TLS))
    if isinstance(error, socket.gaierror | UnicodeError) and stage == Stage.CONNECT:
        return reply(LocalError.NAME_NOT_FOUND, words_of(error) if isinstance(error, OSError) else "")
    if isinstance(error, ConnectionRefusedError):
        return reply(LocalError.CONNECTION_REFUSED)
    if is_out_of_files(error):
        return reply(LocalError.OUT_OF_FILES)
    if isinstance(error, TimeoutError):
        return reply(LocalError.TIMEOUT, "")
    if isinstance(error, OutOfStep):
        return reply(LocalError.NOT_SMTP, "")
    if isinstance(error, ServerClosed):
        return reply(LocalError.CONNECTION_LOST, "")
    return reply(LocalError.CONNECTION_LOST)
