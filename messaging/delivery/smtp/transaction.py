"""RFC 5321 transactions on a connection, stage by stage.

session.py opens the connection, dialogue.py speaks and listens; here is what is said in which order, and what exactly
was heard where.
"""

import enum
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import takewhile

from messaging.content import dkim, mime
from messaging.content.downgrade import to_ascii_header
from messaging.content.octets import Joined, Octets, Pieces
from messaging.content.signed_or_encrypted import Sealed
from messaging.content.transfer_encoding import to_7bit
from messaging.delivery.outcomes.verdict import Kind, LocalError, Reply, Stage, judge
from messaging.delivery.smtp.dialogue import Client, StageFailed, failing_at, local_failure
from messaging.delivery.smtp.session import Session

CONTENT_SECONDS = 180
A_MOMENT = 0.1  # seconds: two replies that a server has at hand do not come further apart
PIPELINE_LENGTH = 50
# With these the server was not asked, so the connection is as good as it was.
UNASKED = (
    None,
    LocalError.TOO_BIG,
    LocalError.NO_SMTPUTF8,
    LocalError.NO_8BITMIME,
    LocalError.HEADER_NEEDS_SMTPUTF8,
    LocalError.MORE_RECIPIENTS,
)
_RCPTMAX = re.compile(r"(?:^| )RCPTMAX=([1-9][0-9]{0,5})(?: |$)", re.IGNORECASE)


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
    """What was heard: per recipient at RCPT, and `final` at the stage where the transaction ended.

    `unsigned` are the domains whose DKIM signatures were taken out for this server.
    """

    final: Reply
    recipients: dict[str, Reply] = field(default_factory=dict)
    unsigned: tuple[str, ...] = ()

    def reply_for(self, address: str) -> Reply:
        """The reply that decides for one recipient."""
        at_rcpt = self.recipients.get(address)
        return at_rcpt if at_rcpt and not at_rcpt.ok else self.final


class Connection(Session):
    """A session for many transactions.

    `most_recipients` is how many recipients the server took in one of them; `asked_at_once` how many of the message at
    hand it was asked for before it found them too many.
    """

    most_recipients: int | None = None
    asked_at_once: int | None = None

    def transact(self, envelope: Envelope, content: Octets, before_end: Callable[[Result], bool]) -> Result:
        """Hand one message over.

        Args:
            envelope: who to whom. Those for whom this server has no room in one transaction are not asked for, and
                their reply says so (LocalError.MORE_RECIPIENTS).
            content: the message with CRLF line ends; dot-stuffed here.
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
            self._be_in_step(client)
            envelope, pieces = self._fitted(client, envelope, content, result)
            unfit = self._unfit(client, envelope)
            if unfit:
                result.final = unfit
                return result
            room = self._room() or len(envelope.recipients)
            later = envelope.recipients[room:]
            if later:
                envelope = replace(envelope, recipients=envelope.recipients[:room])
            data = self._introduce(client, envelope, result)
            asked = list(result.recipients.values())
            if asked:  # else MAIL was refused, which is for everyone
                result.recipients |= dict.fromkeys(later, Reply(Stage.RCPT, None, "", LocalError.MORE_RECIPIENTS))
            if any(reply.ok for reply in asked):
                reply = data or client.ask(Stage.DATA, "DATA")
                if reply.code == 354:
                    result.final = self._hand_over(client, pieces, lambda: before_end(result))
                else:
                    result.final = reply
                    if reply.ok:
                        self._lose_thread(result)
            elif asked:
                result.final = asked[-1]
                self._end_empty(client, data)
                if data is not None and data.ok:
                    self._lose_thread(result)
            self.transactions += 1
        except Sealed:
            result.final = Reply(Stage.MAIL, None, "", LocalError.NO_8BITMIME)
        except StageFailed as failure:
            self._report(failure)
            result.final = failure.reply
        except BaseException:
            self.close()
            raise
        if not result.final.ok and not result.final.known_to_server:
            result.final = replace(result.final, known_to_server=(*envelope.recipients, envelope.reverse_path))
        self._tidy(result)
        return result

    # --- A transaction ---------------------------------------------------------------------------

    def _be_in_step(self, client: Client) -> None:
        """A server that has said more than it was asked after the message before, or has hung up, is left alone.

        What it said would be taken for the answer about this message, and its answers for those about the next one.

        Raises:
            StageFailed: at MAIL, as if the connection had ended between the two.
        """
        with failing_at(Stage.MAIL):
            is_in_step = not self.transactions or not client.has_spoken()
        if not is_in_step:
            raise StageFailed(Reply(Stage.MAIL, None, "", LocalError.CONNECTION_LOST))

    @staticmethod
    def _lose_thread(result: Result) -> None:
        """A command, or what was asked after it, was answered as only another can be: so may have been those before."""
        result.final = replace(result.final, code=None, error=LocalError.NOT_SMTP)
        heard = result.recipients.items()
        result.recipients = {address: reply for address, reply in heard if reply.error is not None}

    def _fitted(
        self, client: Client, envelope: Envelope, content: Octets, result: Result
    ) -> tuple[Envelope, Iterable[bytes]]:
        """The message in a form that the server takes. Raises Sealed: what is signed in it has none."""
        is_too_wide = envelope.is_8bit and not client.has_extn("8bitmime")
        is_too_new = envelope.needs_smtputf8 and not client.has_extn("smtputf8")
        if not is_too_wide and not is_too_new:
            return envelope, content
        content = content.at_hand()
        start = mime.head(content)[1]
        header: bytes = content[:start]
        body: Pieces = content.view(start)
        if is_too_wide:
            given = header
            header, body = to_7bit(content)
            header, result.unsigned = dkim.header_still_true(given, header, has_body=content.isascii(start))
            envelope = replace(envelope, size=len(header) + len(body), is_8bit=False)
        if is_too_new:
            envelope, header = self._without_smtputf8(envelope, header, len(body), result)
        pieces = Joined(Octets.of(header), body)
        return envelope, [b"".join(pieces)] if content.is_held else pieces

    def _unfit(self, client: Client, envelope: Envelope) -> Reply | None:
        """What the server has said it cannot take, without asking it."""
        limit = client.esmtp_features.get("size", "").strip()
        if re.fullmatch("[0-9]{1,18}", limit) and 0 < int(limit) < envelope.size:
            return Reply(Stage.MAIL, None, "", LocalError.TOO_BIG, {"size": envelope.size, "limit": int(limit)})
        if envelope.needs_smtputf8 and not client.has_extn("smtputf8"):
            is_about_everybody = any(map(str.isascii, envelope.recipients))
            error = LocalError.HEADER_NEEDS_SMTPUTF8 if is_about_everybody else LocalError.NO_SMTPUTF8
            return Reply(Stage.MAIL, None, "", error)
        return None

    @staticmethod
    def _without_smtputf8(envelope: Envelope, header: bytes, body_size: int, result: Result) -> tuple[Envelope, bytes]:
        """Envelope and header for those alone whose addresses are ASCII; the others are refused in the server's place.

        Both stay as they are where no one is left, or where the header cannot do without an address that is not ASCII.
        """
        plain = [address for address in envelope.recipients if address.isascii()]
        if not plain:
            return envelope, header
        converted = to_ascii_header(header) if envelope.reverse_path.isascii() else None
        others = [address for address in envelope.recipients if not address.isascii()]
        result.recipients |= dict.fromkeys(others, Reply(Stage.RCPT, None, "", LocalError.NO_SMTPUTF8))
        if converted is None:
            return envelope, header
        converted, unsigned = dkim.header_still_true(header, converted, has_body=True)
        result.unsigned += unsigned
        size = len(converted) + body_size
        return replace(envelope, recipients=plain, size=size, needs_smtputf8=False), converted

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
            with failing_at(group[0][0]):
                client.put([line for _, line, _ in group])
            for stage, _, address in group:
                try:
                    reply = client.read_reply(stage)
                except StageFailed:
                    if stage != Stage.MAIL and not result.final.ok:
                        # Refused at MAIL and hung up: the refusal counts, not that the rest went unanswered.
                        self.close()
                        break
                    raise
                if stage == Stage.RCPT and not reply.ok:
                    reply = replace(reply, known_to_server=(address, envelope.reverse_path))
                if stage == Stage.MAIL:
                    result.final = reply
                elif stage == Stage.RCPT:
                    is_later = any(earlier.ok for earlier in result.recipients.values())
                    result.recipients[address] = replace(reply, after_accepted=True) if is_later else reply
                else:
                    data = reply
            if not result.final.ok:
                was_accepted = any(reply.ok for reply in result.recipients.values())
                result.recipients.clear()
                self._end_empty(client, data)
                if was_accepted:  # RCPT after MAIL was refused
                    self._lose_thread(result)
                return None
            closing = [reply for reply in result.recipients.values() if reply.code == 421]
            if closing:
                raise StageFailed(closing[0])
        self._note_room(list(result.recipients.values()))
        return data

    def _room(self) -> int | None:
        """How many recipients the server takes in a transaction, as it announced (RFC 9422) or did; None: unknown."""
        announced = _RCPTMAX.search(self.features.get("limits", ""))
        told = [int(announced[1])] if announced else []
        return min([*told, *filter(None, [self.most_recipients, self.asked_at_once])], default=None)

    def _note_room(self, asked: Sequence[Reply]) -> None:
        """Learn how many recipients the server takes: where it has taken some, and finds all others too many.

        One alone may be what it minds, or what another server said of them. Where it takes no one at all, those it
        found too many before are at fault, and not their number.
        """
        taken = sum(reply.ok for reply in asked)
        too_many = [judge(reply).kind == Kind.REST_AT_ONCE for reply in asked]
        rest = too_many[too_many.index(True) :] if any(too_many) else []
        at_the_end = len(list(takewhile(bool, reversed(too_many))))
        if at_the_end > 1:  # else each transaction would ask for all, and a thousand recipients take a million answers
            self.asked_at_once = max(1, len(asked) - at_the_end)
        if not taken:
            self.most_recipients = None
        elif len(rest) > 1 and all(rest):
            self.most_recipients = taken

    def _end_empty(self, client: Client, data: Reply | None) -> None:
        """A server that wants content although it accepted no one gets a lone dot (RFC 2920 3.1)."""
        if data is None or data.code != 354 or not self.is_open:
            return
        try:
            client.send_content(b".\r\n")
            client.read_reply(Stage.DATA)
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
                    client.sock.settimeout(self.patience.left(CONTENT_SECONDS * self.patience.scale))
                    client.send_content(pending)
                    octets += len(pending)
                pending = piece
            if self.patience.is_over:
                raise TimeoutError
            if client.has_spoken():
                return self._interrupted(client)
            if not may_end():
                raise Abandoned
            if client.has_spoken():  # meanwhile: what is said before the dot is no answer to it
                return self._interrupted(client)
            stage = Stage.END
            client.sock.settimeout(self.patience.seconds(Stage.END))
            client.send_content(pending + b".\r\n")
            self.on_line("C", f"(content, {octets + len(pending)} octets, and the final dot)")
        except OSError as error:
            if stage == Stage.DATA and (reason := self._last_words(client)) is not None:
                return reason
            raise StageFailed(local_failure(stage, error)) from error
        answer = client.read_reply(Stage.END)
        return replace(answer, error=LocalError.NOT_SMTP) if _is_about_connection(answer) else answer

    def _interrupted(self, client: Client) -> Reply:
        """What a server says before it has the whole content: it refuses that for good, or says nothing that counts.

        Raises:
            StageFailed: it hung up, or it is not SMTP.
        """
        reply = client.read_reply(Stage.DATA)
        self.close()  # in the middle of the content there is no other way out of it
        if reply.code is not None and reply.code >= 500:
            return reply
        return replace(reply, error=LocalError.NOT_SMTP if reply.ok else LocalError.CONNECTION_LOST)

    def _last_words(self, client: Client) -> Reply | None:
        """What a server said before it stopped to take content, if it did."""
        try:
            return self._interrupted(client) if client.has_spoken() else None
        except (OSError, StageFailed):
            return None

    def _tidy(self, result: Result) -> None:
        """Leave the connection ready for the next transaction, or closed."""
        if any(map(_ends_connection, [result.final, *result.recipients.values()])):
            self.close()
        elif self._is_contradicted(result.final):
            self.close()
            self._lose_thread(result)
        elif result.final.stage in (Stage.MAIL, Stage.DATA) or not result.final.ok:
            step = self._reset(result.final.stage)
            # What is no reply to RSET at all says nothing of the one before, but for DATA, where it may be content's.
            if step == Step.LOST or (step == Step.GARBLED and result.final.stage == Stage.DATA):
                self._lose_thread(result)

    def _is_contradicted(self, answer: Reply) -> bool:
        """Whether more has come with the answer that says the opposite: which of the two is it?"""
        if self._client is None or answer.code is None:
            return False
        return self._has_more_to_say() and _refuses(self._client.unread) == answer.ok

    def _has_more_to_say(self, within: float = 0) -> bool:
        """Whether the server says more than it was asked, and not that it ends the connection."""
        assert self._client is not None
        with suppress(OSError):
            self._client.has_spoken(within)
        return bool(self._client.unread) and not self._client.unread.startswith(b"421")

    def _reset(self, after: Stage) -> "Step":
        """RSET: forget the transaction under way; closes the connection when the server does not agree.

        What seems to agree may be a second answer to the message, and that to RSET follows it.
        """
        if self._client is None:
            return Step.KEPT
        step = Step.KEPT
        try:
            reply = self._client.ask(Stage.MAIL, "RSET")
            if reply.ok and not (after == Stage.END and self._has_more_to_say(A_MOMENT)):
                return Step.KEPT
            if reply.ok or reply.code == 354:
                step = Step.LOST
        except StageFailed as failure:
            more = self._client.unread
            if failure.reply.error == LocalError.NOT_SMTP and not _refuses(more):
                step = Step.LOST if more else Step.GARBLED
        self.close()
        return step


class Step(enum.Enum):
    """What the answer to RSET shows of those before it."""

    KEPT = enum.auto()  # each was the answer to what was asked
    GARBLED = enum.auto()  # it is no SMTP
    LOST = enum.auto()  # the server asks for content, or has said something more that does not refuse the message


def _refuses(octets: bytes) -> bool:
    return octets.startswith((b"4", b"5"))


def _is_about_connection(reply: Reply) -> bool:
    """Whether a yes is about the server, the connection or the sign-in, as its second digit says (RFC 5321 4.2.1), and
    so about no message: the greeting of another machine behind the same address, or a goodbye.
    """
    return reply.ok and reply.code is not None and reply.code // 10 in (21, 22, 23)


def _ends_connection(reply: Reply) -> bool:
    """Whether nothing more can be asked after it: what followed an intermediate reply would be taken for content."""
    is_out_of_place = reply.code is not None and 300 <= reply.code < 400
    return reply.error not in UNASKED or reply.code == 421 or is_out_of_place


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


def was_asked(final: Reply) -> bool:
    """Whether a server was asked for a message, and not only this machine found out that it need not be."""
    return final.stage != Stage.PREPARE and (final.error is None or final.error not in UNASKED)
