"""Messages corrected before they are sent: header, text and attachments; what was accepted once is kept."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from messaging import admission
from messaging.company.options import options
from messaging.compose import letters, rewrite, versions
from messaging.compose.versions import Change, Current
from messaging.content import dkim
from messaging.content.signed_or_encrypted import is_sealed
from messaging.content.uploads import File
from messaging.delivery.outcomes.reply import Reply
from messaging.delivery.outcomes.verdict import judge
from messaging.intake import gate, own_mail
from messaging.intake.addresses import Mailbox
from messaging.lifecycle import transitions
from messaging.models import (
    Attachment,
    AttemptOutcome,
    Category,
    Message,
    MessageContent,
    Phrase,
    Reason,
    Recipient,
)
from messaging.queue import actions, promises, wake
from messaging.queue.actions import NotPossible
from messaging.queue.promises import Going, NotAsPromised, Promise
from messaging.wording import person

Status = Message.Status
Kind = Recipient.Kind
OUTCOME_COLUMNS = ("status", "reply_code", "enhanced_code", "reply_text", "said", "decided_at", "streak_id")
NOBODY_LEFT = (
    "All remaining recipients were refused for good, so there is no one to send it to. Correct an address, or cancel "
    "the message."
)
LONGEST_TOLD = 300
ROWS_PER_STATEMENT = 500
UNREAD = "\ufffd"


class EditedMeanwhile(Exception):
    """It is not in the version any more that an edit is based on."""


class Unread(gate.Refused):
    """A `field` that was changed still has signs in the place of what could not be read."""

    def __init__(self, field: str) -> None:
        super().__init__(f"Some characters here could not be read and are shown as {UNREAD}. Type what they should be.")
        self.field = field


@dataclass(frozen=True)
class Edit:
    """What a message is to be. `text` None leaves it as it is; `removed` are numbers of the version it is based on."""

    to: Sequence[Mailbox]
    cc: Sequence[Mailbox]
    bcc: Sequence[Mailbox]
    subject: str
    text: str | None = None
    removed: frozenset[int] = frozenset()
    added: Sequence[File] = ()


def why_not(message: Message, outcomes: Collection[str] | None = None) -> str:
    """Why a message cannot be edited now; "" when it can. `outcomes` are those of its recipients, where known."""
    status = Status(message.status)
    if status == Status.SENDING:
        return "It is being handed to the mail server now, so it cannot be changed any more. Wait for the outcome."
    if status == Status.SENT:
        return "It was sent, so it cannot be changed any more. Write a new message."
    if status == Status.UNKNOWN:
        return "It may have arrived already, so it cannot be changed. First say what happened to it."
    if status == Status.CANCELLED:
        return "It was cancelled and will not be sent. Write a new message."
    if message.handed_to is not None:
        return (
            f"{person(message.handed_to)}’s mail program has it as a draft, and it may have been sent from there. "
            "First say what happened to it."
        )
    if message.status == Status.QUEUED and message.batch_id is not None:
        return (
            f"It is being processed in batch {message.batch_id}, which was confirmed with it as it is. "
            "Cancel what is left of that batch first, or hold the message."
        )
    if outcomes is None:
        outcomes = set(message.recipients.order_by().values_list("status", flat=True).distinct())
    if not set(actions.TAKEN).isdisjoint(outcomes):
        return "Some recipients have it already, so it cannot be changed for the others. Write a new message for them."
    return ""


def going(message: Message, by: User) -> Going | None:
    """How a message that failed goes out once this person has corrected it; None: it stays what and where it is."""
    if message.status != Status.FAILED:
        return None
    return promises.from_queue(by, holds=options().hold_mail and not message.urgent)


def promise(message: Message, going: Going | None) -> str:
    """In one word, what saving an edit does to a message that stands like this."""
    due = message.not_before.isoformat() if message.not_before else ""
    return f"{message.status}:{due if going is None else going.promise}"


def apply(
    message: Message, edit: Edit, *, by: User, seen: int, promised: Collection[str] | None = None
) -> list[Change]:
    """Replace a message by what a person made of it, checked like a new one; it keeps its Message-ID and its place.

    An edit releases nothing: queued and held stay so. One that failed goes back into the queue, where it waits for a
    batch while the company holds mail, and is due now otherwise; it stays failed where only those are left who were
    refused for good.

    Args:
        seen: the version that the edit is based on.
        promised: what its page said that saving does (`promise`); None: there was no page.

    Returns:
        What was changed; nothing is stored when nothing was.

    Raises:
        NotPossible: it is not there to be edited (any more); it says why.
        EditedMeanwhile: someone else edited it.
        NotAsPromised: it stands otherwise by now than its page said.
        Refused: it cannot be sent like this.
    """
    message.refresh_from_db()
    _check(message)
    before = versions.current(message)
    if seen != before.version:
        raise EditedMeanwhile
    changes = _changes(before, edit)
    if not changes:
        return []
    now = timezone.now()
    rows = _prepared(message, before, edit, now)
    with admission.ordered_by(by):
        message.refresh_from_db(from_queryset=transitions.lock(Message.objects.all()))
        _check(message)
        if message.versions.count() != seen:
            raise EditedMeanwhile
        goes = going(message, by)
        if promised is not None and promise(message, goes) not in promised:
            raise NotAsPromised
        _keep_outcomes(message, rows.recipients)
        if message.status != Status.FAILED and not is_anybody_left(rows.recipients):
            raise gate.Refused(NOBODY_LEFT)
        versions.keep(message, seen + 1, changes, by, now)
        _replace(message, rows)
        Message.objects.filter(pk=message.pk).update(**{name: getattr(rows.message, name) for name in versions.COLUMNS})
        anew = _anew(goes, now) if goes is not None and is_anybody_left(rows.recipients) else {}
        transitions.carry_out(
            transitions.CORRECT if anew else transitions.EDIT, [message.pk], by=by, at=now,
            params={"version": seen + 1}, **anew,
        )  # fmt: skip
        for note in rows.notes:
            note.message = message
            note.save()
    message.refresh_from_db()
    return changes


def _check(message: Message) -> None:
    obstacle = why_not(message)
    if obstacle:
        raise NotPossible(obstacle)


def _changes(before: Current, edit: Edit) -> list[Change]:
    changes = []
    if edit.subject != before.subject:
        changes.append(_change("subject", before.subject, edit.subject))
    for name in ("to", "cc", "bcc"):
        old, new = getattr(before, name), getattr(edit, name)
        if _differ(old, new):
            changes.append(_change(name, letters.as_typed(old), letters.as_typed(new)))
    if _has_new_text(before, edit):
        changes.append(_change("text", before.text, edit.text or ""))
    names = {row.number: str(row) for row in before.attachments}
    changes += [_change("attachment", names[number], "") for number in sorted(edit.removed & names.keys())]
    changes += [_change("attachment", "", file.filename) for file in edit.added]
    return changes


def _differ(old: Sequence[Mailbox], new: Sequence[Mailbox]) -> bool:
    return list(map(rewrite.same, old)) != list(map(rewrite.same, new))


def _change(field: str, before: str, after: str) -> Change:
    """PostgreSQL keeps no NUL, which an encoded word may have in it."""
    before, after = (text[:LONGEST_TOLD].replace("\0", UNREAD) for text in (before, after))
    return {"field": field, "before": before, "after": after}


def _has_new_text(before: Current, edit: Edit) -> bool:
    if edit.text is None or before.why_text_stays:
        return False
    return letters.plain(edit.text).rstrip("\n") != letters.plain(before.text).rstrip("\n")


def _prepared(message: Message, before: Current, edit: Edit, now: datetime) -> gate.Rows:
    _refuse_unread(before, edit)
    given = before.octets()
    raw, unsigned = dkim.still_true(given, _exchanged(given, before, edit))
    mailboxes = (*edit.to, *edit.cc, *edit.bcc)
    if not mailboxes:
        raise gate.Refused("No recipients. Enter an email address.")
    rows = gate.prepare(
        gate.Submission(
            raw,
            message.reverse_path,
            [mailbox.address for mailbox in mailboxes],
            author=message.author,
            not_before=message.not_before,
            urgent=message.urgent,
            category=message.category,
        ),
        now,
    )
    names = {mailbox.address: mailbox.name for mailbox in edit.bcc}
    for row in rows.recipients:
        row.name = row.name or names.get(row.address, "")[:320]
    rows.message.recipients_text = ", ".join(map(str, rows.recipients))
    if unsigned:
        rows = rows._replace(notes=[*rows.notes, gate.unsigned(message, unsigned, "edit", now)])
    return rows


def _refuse_unread(before: Current, edit: Edit) -> None:
    """What was not read may stay as it is written, and not be written as the signs that stand for it."""
    if edit.subject != before.subject and UNREAD in edit.subject:
        raise Unread("subject")
    old = set(map(rewrite.same, (*before.to, *before.cc, *before.bcc)))
    for name in ("to", "cc", "bcc"):
        if any(UNREAD in mailbox.name and rewrite.same(mailbox) not in old for mailbox in getattr(edit, name)):
            raise Unread(name)


def _exchanged(given: bytes, before: Current, edit: Edit) -> bytes:
    """The bytes, `given` as they were before, with what was changed."""
    raw = given
    if _has_new_text(before, edit):
        raw = rewrite.with_text(raw, edit.text or "")
    if (edit.removed or edit.added) and is_sealed(raw):
        raise gate.Refused(f"The attachments cannot be changed. {rewrite.SEALED_WORDS}")
    if edit.removed - before.removable:
        raise gate.Refused("One of the attachments belongs to the text and cannot be removed.")
    raw = rewrite.with_files(raw, edit.removed, edit.added)
    gone = _addresses(before.to, before.cc, before.bcc) - _addresses(edit.to, edit.cc)
    gone |= _addresses(edit.bcc)  # who is named in the header is no blind copy
    for name, old, new in (("To", before.to, edit.to), ("Cc", before.cc, edit.cc)):
        named = rewrite.named(given, name)
        if _differ(old, new) or gone & named.keys():
            others = [text for address, text in named.items() if address not in gone | _addresses(old, new)]
            raw = rewrite.with_mailboxes(raw, name, new, before=given, kept=[*before.to, *before.cc], others=others)
    if edit.subject != before.subject:
        field = own_mail.subject_field(edit.subject) if edit.subject else b""
        raw = rewrite.with_field(raw, "Subject", field)
    return raw


def _addresses(*lists: Sequence[Mailbox]) -> set[str]:
    return {mailbox.address for mailboxes in lists for mailbox in mailboxes}


def _keep_outcomes(message: Message, recipients: Sequence[Recipient]) -> None:
    """Who was refused for good under the same address stays so: another subject makes no mailbox.

    Not where it was the content that was refused, or the tries were used up, or the words may be about us.
    """
    before = {row.address: row for row in message.recipients.all() if row.status == Recipient.Status.FAILED}
    heard = {each["address"]: each for attempt in message.attempts.order_by("pk") for each in attempt.recipients}
    for row in recipients:
        old = before.get(row.address)
        is_in_doubt = old is not None and old.streak_id is not None and message.reason_category == Category.SETUP
        if old is not None and not is_in_doubt and _is_dead(heard.get(row.address)):
            for name in OUTCOME_COLUMNS:
                setattr(row, name, getattr(old, name))


def _is_dead(heard: dict[str, Any] | None) -> bool:
    """Whether a server refused an address for good; `heard` as in SendAttempt.recipients."""
    if heard is None:
        return False
    said = Phrase.of(heard["said"]) if heard["said"] else None
    reply = Reply.recorded(heard["stage"], heard["reply_code"], heard["reply_text"], said, heard["address"])
    verdict = judge(reply).confined()
    return verdict.outcome == AttemptOutcome.PERMANENT and verdict.category == Category.ADDRESS


def is_anybody_left(recipients: Iterable[Recipient]) -> bool:
    """Whether there is anyone to send it to."""
    return any(row.status == Recipient.Status.PENDING for row in recipients)


def _replace(message: Message, rows: gate.Rows) -> None:
    """Content, recipients and attachments as the gate made them of the new bytes."""
    message.recipients.all().delete()
    message.attachments.all().delete()
    MessageContent.objects.filter(message=message).update(skeleton=rows.content.skeleton)
    for recipient in rows.recipients:
        recipient.message = message
    for attachment in rows.attachments:
        attachment.message = message
    Recipient.objects.bulk_create(rows.recipients, ROWS_PER_STATEMENT)
    Attachment.objects.bulk_create(rows.attachments, ROWS_PER_STATEMENT)


def _anew(goes: Going, now: datetime) -> dict[str, Any]:
    """Where one that failed goes: it waits for a batch while the company holds mail, or goes out automatically."""
    values: dict[str, Any] = {"account": None, "not_before": None, "reason": None, "reason_category": ""}
    account, problem = goes.sender
    if problem is not None:
        why = Phrase(Reason.WAITS_FOR_BATCH, problem=problem)
        return values | {"reason": why, "reason_category": Category.SETUP}
    if goes.promise == Promise.WAITS:
        return values
    wake.wake_after_commit(account.pk if account else None)
    return values | {"account": account, "not_before": now}
