"""The one gate: every way in ends here, with raw RFC 5322 bytes and an envelope.

What is accepted is committed whole, in one transaction, or not at all. wire.py says what is changed in the bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from messaging import admission
from messaging.content import assembly, blobs, mime
from messaging.models import (
    Attachment,
    Category,
    CompanyOptions,
    Message,
    MessageContent,
    MessageEvent,
    Phrase,
    Reason,
    Recipient,
)

from . import address_warnings, addresses, message_ids, wire
from .errors import BadAddress, Refused, TooLarge
from .rows import CommitInDoubt, OptionsChanged, Rows, give_key, insert

__all__ = [
    "BadAddress",
    "CommitInDoubt",
    "OptionsChanged",
    "Refused",
    "Rows",
    "Submission",
    "TooLarge",
    "accept",
    "accept_many",
    "give_key",
    "prepare",
    "store",
]


@dataclass(frozen=True)
class Submission:
    """A message and its envelope.

    `raw` RFC 5322 bytes with any line ends; `reverse_path` "" or "<>" is the null sender; `recipients` bare addresses,
    Bcc included. `not_before` set means due from then on, unset that it waits for a batch. `hold_reason` holds it.
    `urgent` puts it first and past a person's pause; `category` says what kind of mail it is, in lower case.
    `may_not_claim` says that mail of this category is urgent, and what comes in this way is not for all that. `via` is
    the way in, by a key of wording/sentences.py, for the message's history.
    """

    raw: bytes
    reverse_path: str
    recipients: Sequence[str]
    author: User | None = None
    not_before: datetime | None = None
    hold_reason: str = ""
    urgent: bool = False
    category: str = ""
    may_not_claim: bool = False
    via: str = ""


def accept(submission: Submission) -> Message:
    """Queue one message. Raises Refused, and then nothing was stored."""
    return accept_many([submission])[0]


def accept_many(submissions: Sequence[Submission]) -> list[Message]:
    """Queue all of them or none, in one transaction; as many as 10,000 at once. Raises Refused.

    A message without any recipient is recorded as failed (S15), not refused.
    """
    now = timezone.now()
    return store([prepare(submission, now) for submission in submissions])


def store(prepared: Sequence[Rows], as_of: CompanyOptions | None = None) -> list[Message]:
    """Commit prepared rows, all or none; `as_of` as rows.insert has it.

    Raises:
        AdmissionEnded, OptionsChanged, CommitInDoubt
    """
    authors = {rows.message.author_id: rows.message.author for rows in prepared}
    admitted = [author for author in authors.values() if admission.is_admitted(author)]
    if not admitted:
        return insert(prepared, as_of)
    with transaction.atomic():
        for author in admitted:
            admission.confirm(author)
        return insert(prepared, as_of)


def prepare(submission: Submission, now: datetime) -> Rows:
    """Check a submission that came in at `now`, store its attachments and make its rows.

    Raises:
        Refused
        ValueError: its author is not stored.
    """
    if submission.author is not None and submission.author.pk is None:
        raise ValueError("The author of a message has to be a user who is stored.")
    _check_size(len(submission.raw))
    reverse_path = addresses.reverse_path(submission.reverse_path)
    envelope = _envelope(submission.recipients)
    fitted = wire.fit(submission.raw, reverse_path, now)
    _check_size(len(fitted.raw))
    skeleton, cuts = (fitted.raw, []) if assembly.is_one_text(fitted.fields) else assembly.split(fitted.raw)
    message = Message(
        message_id=message_ids.read(fitted.fields["message-id"]),
        author=submission.author,
        account=submission.author if submission.not_before else None,
        reverse_path=reverse_path,
        from_header=_shown(fitted.fields["from"], 500),
        subject=_shown(fitted.fields.get("subject", ""), 998),
        recipient_count=len(envelope),
        attachment_count=len(cuts),
        size=len(fitted.raw),
        is_8bit=not fitted.raw[fitted.body :].isascii(),
        needs_smtputf8=_needs_smtputf8(fitted, [reverse_path, *envelope]),
        created_at=now,
        not_before=submission.not_before,
        urgent=submission.urgent,
        category=submission.category[:40],
        doubt=next(filter(None, map(address_warnings.warning, envelope)), None),
    )
    _set_status(message, submission.hold_reason)
    recipients = _recipients(message, envelope, fitted.fields)
    message.recipients_text = ", ".join(map(str, recipients))
    return Rows(
        message=message,
        content=MessageContent(message=message, skeleton=skeleton),
        recipients=recipients,
        attachments=[_attachment(message, number, cut) for number, cut in enumerate(cuts, start=1)],
        event=came_in(MessageEvent.Kind.QUEUED, submission, message),
        notes=[unsigned(message, fitted.unsigned, "gate", now)] if fitted.unsigned else [],
    )


def _check_size(size: int) -> None:
    if size > settings.MAX_MESSAGE_BYTES:
        raise TooLarge(
            f"The message is too large: {size / 2**20:.1f} MB, and at most {settings.MAX_MESSAGE_BYTES / 2**20:.1f} MB "
            "can be queued. Send fewer or smaller attachments."
        )


def _envelope(given: Sequence[str]) -> list[str]:
    """Valid recipients, each once, in order (the domain is in lower case, the local part counts exactly)."""
    if len(given) > settings.MAX_RECIPIENTS:
        raise Refused(
            f"The message has {len(given)} recipients, and at most {settings.MAX_RECIPIENTS} are allowed. "
            "Send it in several messages."
        )
    return list(dict.fromkeys(map(addresses.envelope_address, given)))


def _recipients(message: Message, envelope: list[str], fields: dict[str, str]) -> list[Recipient]:
    """Kind and display name as the header fields have them; who is in none of them is a blind copy."""
    named: dict[str, tuple[Recipient.Kind, str]] = {}
    for kind in (Recipient.Kind.TO, Recipient.Kind.CC):
        for mailbox in addresses.mailboxes(fields[kind]) if kind in fields else ():
            named.setdefault(_comparable(mailbox.address), (kind, mime.displayable(mailbox.name, 320)))
    rows = []
    for address in envelope:
        kind, name = named.get(address, (Recipient.Kind.BCC, ""))
        rows.append(Recipient(message=message, kind=kind, address=address, name=name))
    return rows


def _comparable(address: str) -> str:
    try:
        return addresses.envelope_address(address)
    except BadAddress:
        return address


def _attachment(message: Message, number: int, cut: assembly.Cut) -> Attachment:
    return Attachment(
        message=message,
        number=number,
        offset=cut.offset,
        sha256=blobs.put(cut.body),
        encoding=cut.encoding,
        encoded_size=len(cut.body),
        size=cut.size,
        filename=cut.filename,
        content_type=cut.content_type,
        content_id=cut.content_id,
        is_inline=cut.is_inline,
    )


def _needs_smtputf8(fitted: wire.Wire, envelope: list[str]) -> bool:
    return not all(map(str.isascii, envelope)) or not fitted.raw[: fitted.body].isascii()


def _set_status(message: Message, hold_reason: str) -> None:
    if not message.recipient_count:
        message.status = Message.Status.FAILED
        message.reason_category = Category.ADDRESS
        message.reason = Phrase(Reason.NO_ADDRESS)
    elif hold_reason:
        message.status, message.hold_kind = Message.Status.HELD, Message.HoldKind.HOLD
        message.reason = Phrase(Reason.SAID, words=_shown(hold_reason, 500))


def came_in(kind: MessageEvent.Kind, submission: Submission, message: Message) -> MessageEvent:
    """How a message came in, for its history."""
    params = {"via": submission.via} if submission.via else {}
    if submission.may_not_claim:
        params["claim"] = message.category
    what = Phrase(kind, **params)
    return MessageEvent.of(what, message=message, at=message.created_at, by=submission.author)


def unsigned(message: Message, domains: Sequence[str], why: str, at: datetime) -> MessageEvent:
    """That DKIM signatures were taken out, for its history; `why` is a key of wording/sentences.py."""
    return MessageEvent.of(Phrase(MessageEvent.Kind.UNSIGNED, domains=domains, why=why), message=message, at=at)


def _shown(text: str, limit: int) -> str:
    return mime.displayable(mime.decoded_words(text), limit)
