"""What a message's page tells that may be long, a page of each at a time: recipients, attachments, attempts,
events, versions.

Names of the query: `outcome` and `address` narrow the recipients; the others are the numbers of pages.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.db.models import Case, Count, Q, QuerySet, Value, When
from django.http import QueryDict

from messaging.compose import versions
from messaging.console.paging import Page, page_of, part_of
from messaging.models import Attachment, AttemptOutcome, Message, MessageEvent, MessageVersion, Recipient, SendAttempt

NAMES = (
    "outcome", "address", "recipients_page", "attachments_page", "attempts_page", "events_page", "versions_page",
)  # fmt: skip
RECIPIENTS, ATTACHMENTS, EVENTS, VERSIONS = 50, 100, 50, 20  # on a page
ATTEMPTS, LONG_ATTEMPTS = 10, 3  # the second where each may name more recipients than a page shows
LONGEST_SEARCH = 200

SEVERITY = [Recipient.Status.UNKNOWN, Recipient.Status.FAILED, Recipient.Status.PENDING, Recipient.Status.ACCEPTED]
_GRAVITY = Case(*(When(status=status, then=Value(number)) for number, status in enumerate(SEVERITY)))


@dataclass(frozen=True)
class Recipients:
    """A page of a message's recipients, those first that it has not reached; `counts` are of all of them, by status.

    `outcome` or `address` is what was asked for.
    """

    page: Page[Recipient]
    counts: dict[str, int]
    outcome: str
    address: str

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def is_long(self) -> bool:
        return self.total > RECIPIENTS

    @property
    def outcomes(self) -> list[tuple[str, str, int]]:
        """Those that are there, the gravest first, as (status, label, number)."""
        return [(status.value, status.label, self.counts[status]) for status in SEVERITY if self.counts.get(status)]


@dataclass(frozen=True)
class History:
    """`attempts`, the latest first; of the `events`, the latest page first, each of them in order; `failing` is the
    last attempt that was not accepted; `edited` are the versions that the events of this page are about, by number.
    """

    recipients: Recipients
    attachments: Page[Attachment]
    attempts: Page[SendAttempt]
    failing: SendAttempt | None
    events: Page[MessageEvent]
    versions: Page[MessageVersion]
    edited: dict[int, MessageVersion]


def history_of(message: Message, asked: QueryDict) -> History:
    """As many statements, however long it is."""
    size = ATTEMPTS if message.recipient_count <= RECIPIENTS else LONG_ATTEMPTS
    attempts = part_of(
        message.attempts.select_related("account").order_by("-pk"), asked.get("attempts_page"), size=size
    )
    events = part_of(message.events.select_related("by").order_by("-pk"), asked.get("events_page"), size=EVENTS)
    events.rows.reverse()
    edits = [each for each in events.rows if each.kind == MessageEvent.Kind.EDITED]
    earlier = versions.replaced(message) if edits or events.pages > 1 else MessageVersion.objects.none()
    return History(
        recipients_of(message, asked),
        _attachments(message, asked),
        attempts,
        _failing(message, attempts),
        events,
        part_of(earlier, asked.get("versions_page"), size=VERSIONS),
        _versions_edited(message, edits),
    )


def recipients_of(message: Message, asked: QueryDict) -> Recipients:
    """The page of the recipients that is asked for."""
    found: QuerySet[Recipient] = message.recipients.annotate(gravity=_GRAVITY).order_by("gravity", "pk")
    if message.recipient_count <= RECIPIENTS:
        page = part_of(found, None, size=RECIPIENTS)
        return Recipients(page, Counter(row.status for row in page.rows), "", "")
    numbers = message.recipients.order_by().values_list("status").annotate(number=Count("pk"))
    counts: dict[str, int] = dict(numbers)
    address = asked.get("address", "").replace("\0", "").strip()[:LONGEST_SEARCH]
    outcome = asked.get("outcome", "")
    outcome = outcome if outcome in counts and not address else ""
    if outcome:
        found = found.filter(status=outcome)
    if address:
        found = found.filter(Q(address__icontains=address) | Q(name__icontains=address))
    total = found.count() if address else counts[outcome] if outcome else sum(counts.values())
    page = page_of(found, found, asked.get("recipients_page"), total=total, size=RECIPIENTS)
    return Recipients(page, counts, outcome, address)


def _attachments(message: Message, asked: QueryDict) -> Page[Attachment]:
    rows = message.attachments.all() if message.attachment_count else Attachment.objects.none()
    return part_of(rows, asked.get("attachments_page"), size=ATTACHMENTS)


def pending_of(message: Message, recipients: Recipients) -> Sequence[str]:
    """The addresses that it has not reached; asked for only where someone looks at them."""
    if not recipients.is_long:
        return [row.address for row in recipients.page.rows if row.status == Recipient.Status.PENDING]
    pending = message.recipients.filter(status=Recipient.Status.PENDING)
    return cast(Sequence[str], pending.values_list("address", flat=True))


def _failing(message: Message, attempts: Page[SendAttempt]) -> SendAttempt | None:
    is_failing = (each for each in attempts.rows if each.outcome != AttemptOutcome.ACCEPTED)
    on_page = next(is_failing, None) if attempts.number == 1 else None
    if on_page is not None or attempts.pages == 1:
        return on_page
    others = message.attempts.exclude(outcome=AttemptOutcome.ACCEPTED)
    return others.defer("recipients").order_by("-pk").first()


def _versions_edited(message: Message, edits: Iterable[MessageEvent]) -> dict[int, MessageVersion]:
    numbers = [event.params["version"] for event in edits if "version" in event.params]  # 0.1.0 kept words
    if not numbers:
        return {}
    found = message.versions.only("message", "number", "changes").filter(number__in=numbers)
    return {version.number: version for version in found}


# --- What each recipient was told in an attempt --------------------------------------------------------


def gravest_first(replies: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of SendAttempt.recipients, those first that were not accepted."""
    return sorted(replies, key=lambda reply: reply.get("outcome") == AttemptOutcome.ACCEPTED)
