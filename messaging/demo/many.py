"""Many messages, fast: some hundred mails are written once and varied for one customer after another."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from datetime import date, datetime, time, timedelta
from email.utils import format_datetime
from itertools import islice
from random import Random
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from messaging.intake.gate import Rows, Submission, prepare, store
from messaging.models import Batch, BatchItem, SendAttempt

from . import company, history, mails
from .company import Customer, Person

CHUNK = 2000
PATTERNS_PER_MONTH = 96
CUSTOMERS = 4000
DAYS_PER_MONTH = 30.44
BATCH_TIME = time(18, 0)

# No base64 text has a hyphen, so a token can only be where it was put.
ANYBODY = Customer(10_000, "Any-Customer", "any-customer@example.com", "1 Any-Street, Leeds LS1 1AA")
PLACEHOLDER = "any-message"


@dataclass(frozen=True)
class Pattern:
    """A mail to be made out to someone, or with reports that name their customer, to that one again and again."""

    raw: bytes
    writer: Person
    written: bytes
    customer: Customer | None

    def made_out(self, customer: Customer, at: datetime, token: str) -> bytes:
        raw = self.raw.replace(self.written, format_datetime(at).encode())
        raw = raw.replace(PLACEHOLDER.encode(), token.encode())
        if self.customer is None:
            for ours, theirs in zip(astuple(ANYBODY)[1:], astuple(customer)[1:], strict=True):
                raw = raw.replace(ours.encode(), theirs.encode())
        return raw


class Planned(NamedTuple):
    """When a message came in, and the evening its batch was run (None: it waits)."""

    at: datetime
    batch_at: datetime | None


def add_messages(
    count: int, *, months: float = 0, seed: int | None = None, now: datetime | None = None
) -> Counter[str]:
    """Make `count` more messages; how many of each status.

    They wait in the queue, or with `months` they are history: spread over so many months before today, processed
    in a batch each working evening. The same `seed` and `now` make the same messages.
    """
    now = now or timezone.now()
    random = Random(seed)  # noqa: S311
    people = company.authors()
    customers = [each for each in company.customers(random, CUSTOMERS) if each.name.isascii()]
    patterns = _Patterns(customers, random)
    plan = _history(count, months, now, random) if months else iter([Planned(now, None)] * count)
    counts: Counter[str] = Counter()
    batches: dict[datetime, Batch] = {}
    while planned := list(islice(plan, CHUNK)):
        with transaction.atomic():
            counts += _add(planned, patterns, customers, people, batches, random)
    return counts


class _Patterns(dict[date, list[Pattern]]):
    """The mails of a month by its first day, which is the date on their reports; written when first asked for."""

    def __init__(self, customers: list[Customer], random: Random) -> None:
        self.customers = customers
        self.random = random

    def __missing__(self, month: date) -> list[Pattern]:
        self[month] = [self._write(month, number) for number in range(PATTERNS_PER_MONTH)]
        return self[month]

    def _write(self, month: date, number: int) -> Pattern:
        kind = mails.EVERYDAY[number % len(mails.EVERYDAY)]
        customer = None if kind in mails.WITHOUT_REPORT else self.random.choice(self.customers)
        at = timezone.make_aware(datetime.combine(month, time(8)))
        mail = kind(customer or ANYBODY, at, PLACEHOLDER, self.random)
        return Pattern(mail.raw, mail.writer, format_datetime(at).encode(), customer)


def _history(count: int, months: float, now: datetime, random: Random) -> Iterator[Planned]:
    """Times in working hours of the days before, in order."""
    last = timezone.localdate(now - history.LONGEST)
    days = [last - timedelta(days=back) for back in reversed(range(max(1, round(months * DAYS_PER_MONTH))))]
    working = [day for day in days if day.weekday() < 5] or days
    for index, day in enumerate(working):
        share = count * (index + 1) // len(working) - count * index // len(working)
        batch_at = _on(day, BATCH_TIME, 0)
        for second in sorted(random.randrange(7 * 3600, 18 * 3600) for _ in range(share)):
            yield Planned(_on(day, time(0), second), batch_at)


def _on(day: date, at: time, seconds: int) -> datetime:
    return timezone.make_aware(datetime.combine(day, at) + timedelta(seconds=seconds))


def _add(
    planned: list[Planned],
    patterns: _Patterns,
    customers: list[Customer],
    people: dict[str, User],
    batches: dict[datetime, Batch],
    random: Random,
) -> Counter[str]:
    prepared: list[Rows] = []
    attempts: list[SendAttempt] = []
    for at, batch_at in planned:
        pattern = random.choice(patterns[timezone.localdate(at).replace(day=1)])
        rows = _one(pattern, pattern.customer or random.choice(customers), at, people, random)
        if batch_at:
            batch = batches.get(batch_at) or batches.setdefault(batch_at, _batch(batch_at))
            started = batch_at + timedelta(seconds=random.uniform(2, 240))
            attempts += history.end(rows, history.mixed(random), started, random, batch)
        prepared.append(rows)
    messages = store(prepared)
    SendAttempt.objects.bulk_create(attempts, batch_size=500)
    BatchItem.objects.bulk_create(
        (
            BatchItem(batch_id=message.batch_id, message=message, state=BatchItem.State.RELEASED)
            for message in messages
            if message.batch_id
        ),
        batch_size=500,
    )
    return Counter(message.status for message in messages)


def _one(pattern: Pattern, customer: Customer, at: datetime, people: dict[str, User], random: Random) -> Rows:
    submission = Submission(
        raw=pattern.made_out(customer, at, f"{random.getrandbits(64):016x}"),
        reverse_path=pattern.writer.address,
        recipients=[customer.address],
        author=people[pattern.writer.username],
        via="demo",
    )
    return prepare(submission, at)


def _batch(at: datetime) -> Batch:
    return Batch.objects.create(
        status=Batch.Status.CONFIRMED,
        source=Batch.Source.SCHEDULE,
        created_at=at,
        confirmed_at=at + timedelta(seconds=1),
    )
