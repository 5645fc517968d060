"""What a message was before each edit, and what became of its parts since.

A form names the version that it shows by the number of edits before it; row `number` of MessageVersion is version
`number` - 1.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from messaging.compose import rewrite
from messaging.content import assembly
from messaging.content.octets import Octets
from messaging.intake.addresses import Mailbox
from messaging.models import Attachment, Message, MessageVersion, Phrase, Recipient
from messaging.queue.actions import NotPossible

Kind = Recipient.Kind
# What follows from the bytes and the envelope; everything else of a message is left alone by an edit.
COLUMNS = (
    "from_header", "subject", "recipients_text", "recipient_count", "attachment_count", "size", "is_8bit",
    "needs_smtputf8", "doubt",
)  # fmt: skip
KEPT_COLUMNS = (*COLUMNS, "message_id", "reverse_path", "status", "reason")
ATTACHMENT_COLUMNS = (
    "number", "offset", "sha256", "encoding", "encoded_size", "size", "filename", "content_type", "content_id",
    "is_inline",
)  # fmt: skip
Change = dict[str, str]  # {"field": "subject", "before": …, "after": …}


@dataclass(frozen=True)
class Current:
    """A message as its form shows it; `version` grows with each edit."""

    version: int
    raw: Octets
    to: list[Mailbox]
    cc: list[Mailbox]
    bcc: list[Mailbox]
    subject: str
    text: str
    why_text_stays: str
    removable: set[int]
    attachments: list[Attachment]

    def octets(self) -> bytes:
        """All of `raw`. Raises NotPossible as `current` does."""
        with _whole():
            return b"".join(self.raw)


def number() -> Coalesce:
    """Which version each of some messages is, for a list or a page that offers to send it as it was shown."""
    edits = MessageVersion.objects.filter(message=OuterRef("pk")).order_by("-number").values("number")
    return Coalesce(Subquery(edits[:1]), 0)


@contextmanager
def _whole() -> Iterator[None]:
    try:
        yield
    except assembly.MissingContent as error:
        raise NotPossible(str(error)) from error


def current(message: Message) -> Current:
    """What can be edited. Raises NotPossible when an attachment is missing from the disk."""
    version = message.versions.count()  # first: what is shown may be newer than its number says, never older
    attachments = list(message.attachments.all())
    recipients = [(row.kind, row.name, row.address) for row in message.recipients.all()]
    with _whole():
        return _read(version, assembly.assemble(message).at_hand(), recipients, attachments)


def as_of(message: Message, version: int, now: Current) -> Current:
    """What a form of that version showed; its `raw` has no attachments in it. One that never was is the oldest."""
    row = message.versions.filter(number=version + 1).first() or message.versions.order_by("number").first()
    if row is None:
        return now
    recipients = [(each["kind"], each["name"], each["address"]) for each in row.recipients]
    attachments = [Attachment(**columns) for columns in row.attachments]
    return _read(row.number - 1, Octets.of(bytes(row.skeleton)), recipients, attachments)


def _read(
    version: int, raw: Octets, recipients: Sequence[tuple[str, str, str]], attachments: list[Attachment]
) -> Current:
    by_kind: dict[str, list[Mailbox]] = {kind: [] for kind in Kind.values}
    for kind, name, address in recipients:
        by_kind[kind].append(Mailbox(name, address))
    why = rewrite.why_text_stays(raw)
    return Current(
        version,
        raw,
        by_kind[Kind.TO],
        by_kind[Kind.CC],
        by_kind[Kind.BCC],
        assembly.subject_of(raw),
        "" if why else rewrite.text_in(raw),
        why,
        # 0.1.0 took a named text among several versions for an attachment: then the numbers are those of other parts.
        rewrite.removable(raw) if len(assembly.attached(raw)) == len(attachments) else set(),
        attachments,
    )


def counterparts(base: Current, now: Current) -> dict[int, int]:
    """Which attachment of `now` is which of `base`, by their numbers: the same content of the same name, in order."""
    left: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row in now.attachments:
        left[_identity(row)].append(row.number)
    return {row.number: left[_identity(row)].pop(0) for row in base.attachments if left[_identity(row)]}


def _identity(row: Attachment) -> tuple[str, ...]:
    return row.sha256, row.encoding, row.filename, row.content_type, row.content_id


def since(message: Message, seen: int) -> list[MessageVersion]:
    """What was replaced since version `seen`, the latest last."""
    return list(message.versions.select_related("by").defer("skeleton").filter(number__gt=seen))


def keep(message: Message, number: int, changes: list[Change], by: User, now: datetime) -> None:
    """What the message was until now."""
    MessageVersion.objects.create(
        message=message,
        number=number,
        at=now,
        by=by,
        changes=changes,
        fields={name: _kept(getattr(message, name)) for name in KEPT_COLUMNS},
        skeleton=bytes(message.content.skeleton),
        recipients=list(message.recipients.values("kind", "address", "name")),
        attachments=list(message.attachments.values(*ATTACHMENT_COLUMNS)),
    )


def _kept(value: Any) -> Any:
    return value.as_row() if isinstance(value, Phrase) else value


def replaced(message: Message) -> QuerySet[MessageVersion]:
    """Earlier versions of a message, the latest first, without what may be long in them."""
    long = ("skeleton", "recipients", "fields", "attachments")
    return message.versions.select_related("by").defer(*long).order_by("-number")
