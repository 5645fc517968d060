"""The words of a notice: how many, why, which, and what to do next."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.http import urlencode

from messaging.models import CompanyOptions, Message, Notice, NoticeItem, NoticeKind, Reason
from messaging.wording import advice, in_words, moment, person, sentence

from . import relevance

NOT_NEEDED = [
    f"message__{field.name}"
    for field in Message._meta.concrete_fields
    if field.name not in ("id", "reason_category", *relevance.FIELDS)
]
DEALT_WITH = "There is nothing left to do here."
NAMED = 20
REASONS = 10
STATUS = {NoticeKind.FAILED: "failed", NoticeKind.UNKNOWN: "unknown", NoticeKind.NO_ADDRESS: "failed"}
NEXT = {
    NoticeKind.FAILED: "Correct what is wrong, then choose Retry. Nothing is tried again automatically.",
    NoticeKind.UNKNOWN: (
        "The mail server may have taken it without being able to say so. Nothing is sent again automatically, because "
        "it might arrive twice: ask whether it arrived, then choose Mark as sent or Send again."
    ),
    NoticeKind.NO_ADDRESS: (
        "Without an address nothing can be sent. Correct the address where the message came from, and send it again "
        "from there."
    ),
    NoticeKind.PAUSED: (
        "Messages wait safely in the queue without using up tries, and sending resumes automatically once it works "
        "again. Look at Email Setup."
    ),
}
# Instead, by the key of the reason.
OWN_STEPS = {
    Reason.ASKED: (
        "Messages wait safely in the queue without using up tries. Open Sending, read the server’s own words and "
        "answer: “It was us” queues the failed messages again, “It was not us” leaves them failed."
    ),
    Reason.UNANSWERED: (
        "Messages wait safely in the queue without using up tries. They are tried one at a time, and sending resumes "
        "with the first answer. Look at the mail server’s log; the messages listed as unknown may have arrived."
    ),
    Reason.REFUSED_ALIKE: (
        "Their failure may be our fault. An administrator has to answer on Sending: “It was us” queues them again."
    ),
    Reason.SINCE_BACKUP: (
        "They were unsent in the database that was restored, and may have gone out since. Nothing is sent again "
        "automatically: ask whether they arrived, then choose Mark as sent or Send again."
    ),
}


class Words(NamedTuple):
    """Subject and text of a notice."""

    subject: str
    text: str


def items_of(notice: Notice) -> list[NoticeItem]:
    """The items of a notice, with what its words need."""
    return list(_with_all(notice.items.all()))


def items_left(notice: Notice) -> list[NoticeItem]:
    """Of these, what is still so, and no other notice tells anew."""
    return [item for item in _with_all(relevance.latest(notice.items.all())) if relevance.is_so(item)]


def _with_all(items: QuerySet[NoticeItem]) -> QuerySet[NoticeItem]:
    return items.select_related("author", "message", "pause").defer(*NOT_NEEDED).order_by("pk")


def notice_words(notice: Notice, items: list[NoticeItem], company: CompanyOptions) -> Words:
    """What a notice says of items of its (at least one), in the time zone and language that are active."""
    kind = NoticeKind(notice.kind)
    subject = subject_of(notice, items, len(items))
    first, last = moment(items[0].at), moment(items[-1].at)
    when = f"noted {first}" if first == last else f"noted from {first} to {last}"
    url = company.console_url.rstrip("/")
    parts = [
        f"{subject} ({when}; as of {moment(timezone.now())}).",
        "\n".join(_why(kind, items, url)),
        "\n".join(_which(kind, items, url)),
        next_step(items),
    ]
    if url:
        parts.append(f"All notices: {url}/notices/")
    whom = f"{company.company_name} " if company.company_name else ""
    parts.append(f"-- \nThe {whom}message queue (Outtray). Company options say who gets which notices.")
    return Words(subject, "\n\n".join(part for part in parts if part) + "\n")


def next_step(items: list[NoticeItem]) -> str:
    """What to do about items as they stand now; about what is over, nothing."""
    kinds = dict.fromkeys(kind for kind in map(relevance.now, items) if kind is not None)
    if not kinds:
        return DEALT_WITH
    left = [item for item in items if relevance.now(item) is not None]
    keys = {item.reason.key if item.reason is not None and relevance.is_so(item) else "" for item in left}
    own = [words for key, words in OWN_STEPS.items() if key in keys]
    return " ".join(own if keys <= set(OWN_STEPS) else [*(NEXT[kind] for kind in kinds), *own])


def subject_of(notice: Notice, items: list[NoticeItem], number: int) -> str:
    """What a notice of `number` items is about, in a line; `items` are the first of them, at least one."""
    if not items:
        return notice.get_kind_display()
    if notice.kind == NoticeKind.PAUSED:
        state = "is" if any(map(relevance.is_so, items)) else "was"
        return (
            f"{what_of(items[0])} {state} paused" if number == 1 else f"Sending {state} paused for {number:,} accounts"
        )
    whose = " of yours" if notice.author_id is not None else ""
    what = f"1 message{whose}" if number == 1 else f"{number:,} messages{whose}"
    match notice.kind:
        case NoticeKind.UNKNOWN:
            return f"{what} may or may not have arrived"
        case NoticeKind.NO_ADDRESS:
            return f"{what} {'has' if number == 1 else 'have'} no address"
    return f"{what} could not be sent"


def what_of(item: NoticeItem) -> str:
    """What an item is about: a message by its subject, or an account."""
    if item.kind == NoticeKind.PAUSED:
        return f"Sending as {item.subject or 'the company'}"
    return item.subject or "(no subject)"


def why_of(item: NoticeItem) -> str:
    """Why, in words; of an account that is still paused also what to do."""
    holds = item.pause is not None and item.pause.ended_at is None
    todo = advice(item.reason) if item.kind == NoticeKind.PAUSED and holds else ""
    return f"{in_words(item.reason)} {todo}".strip()


def shared_reason(items: list[NoticeItem]) -> str:
    """The reason that several items have in common, in words; "" where they differ."""
    reasons = {why_of(item) for item in items}
    return reasons.pop() if len(reasons) == 1 and len(items) > 1 else ""


def _why(kind: NoticeKind, items: list[NoticeItem], url: str) -> Iterator[str]:
    """The reasons, the commonest first, each with how many it concerns and where they are listed."""
    if kind in (NoticeKind.PAUSED, NoticeKind.NO_ADDRESS):
        if url and kind == NoticeKind.NO_ADDRESS:
            yield f"List: {_list(url, kind, 'address')}"
        return
    counts = Counter((why_of(item), item.message.reason_category if item.message else "") for item in items)
    yield "Why:"
    for (reason, category), number in counts.most_common(REASONS):
        yield f"  {number:,} × {sentence(reason) or 'No reason is known.'}"
        if url and category:
            yield f"      {_list(url, kind, category)}"
    others = sum(counts.values()) - sum(number for _, number in counts.most_common(REASONS))
    if others:
        yield f"  {others:,} × for other reasons"


def _which(kind: NoticeKind, items: list[NoticeItem], url: str) -> Iterator[str]:
    shared = shared_reason(items)
    yield "Accounts:" if kind == NoticeKind.PAUSED else "Messages:"
    for item in items[:NAMED]:
        to = f", to {_cut(item.recipients, 100)}" if item.recipients else ""
        by = f", by {person(item.author)}" if item.author and kind != NoticeKind.PAUSED else ""
        reason = why_of(item)
        why = f": {sentence(reason)}" if reason and reason != shared else ""
        again = item.pause.ended_at if item.pause else None
        since = f" It has been sending again since {moment(again)}." if again else ""
        yield f"  - {_cut(what_of(item), 100)}{to}{by}{why}{since}"
        if url and item.message_id:
            yield f"    {url}/messages/{item.message_id}/"
        elif item.message_id is None and kind != NoticeKind.PAUSED:
            yield "    There is no other record of it: recording is off in Company options."
    if len(items) > NAMED:
        yield f"  … and {len(items) - NAMED:,} more."
    if url and kind == NoticeKind.PAUSED:
        yield f"  {url}/sending/"
    elif url and any(item.message_id for item in items):
        yield f"  All of them: {_list(url, kind)}"


def _list(url: str, kind: NoticeKind, reason: str = "") -> str:
    query = {"status": STATUS[kind]} | ({"reason": reason} if reason else {})
    return f"{url}/messages/?{urlencode(query)}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
