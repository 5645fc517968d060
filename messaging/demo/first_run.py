"""What a new installation holds: some forty messages that wait, and a dozen of the days before."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from random import Random

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from messaging.intake.gate import Rows, Submission, prepare, store
from messaging.models import Batch, BatchItem, SendAttempt
from messaging.queue import actions

from . import company, history, mails, special
from .company import Customer, awkward
from .mails import Mail

SEED = 1887
EVERYDAY_MAILS = 28


def first_run(now: datetime | None = None) -> None:
    """Make the demo's people and messages, in one transaction. The same `now` makes the same messages."""
    now = now or timezone.now()
    random = Random(SEED)  # noqa: S311
    with transaction.atomic():
        people = company.authors()
        customers = [customer for customer in company.customers(random, 80) if not _is_awkward(customer)]
        _yesterday(people, customers, random, now)
        store([_prepared(mail, people) for mail in sorted(_waiting(customers, random, now), key=lambda mail: mail.at)])


def _is_awkward(customer: Customer) -> bool:
    return customer.address.partition(".")[0] in dict(company.AWKWARD)


def _prepared(mail: Mail, people: dict[str, User]) -> Rows:
    submission = Submission(
        raw=mail.raw,
        reverse_path=mail.writer.address,
        recipients=mail.recipients,
        author=people.get(mail.writer.username),
        via="demo",
    )
    return prepare(submission, mail.at)


def _waiting(customers: list[Customer], random: Random, now: datetime) -> Iterator[Mail]:
    """What came into the queue in the last hours. Some of it will not simply be accepted."""

    def some_time() -> datetime:
        return now - timedelta(minutes=random.randint(4, 400), seconds=random.randint(0, 59))

    def token(number: int) -> str:
        return f"waiting-{number:03d}.{random.getrandbits(48):012x}"

    for number in range(EVERYDAY_MAILS):
        kind = mails.EVERYDAY[number % len(mails.EVERYDAY)]
        yield kind(customers[number], some_time(), token(number), random)
    a, b, c, d, e, f, g, h, i = customers[30:39]
    tom = Customer(0, company.SERVICE.name, company.SERVICE.address, "")
    archive = Customer(0, "Archive", f"archive@{company.DOMAIN}", "")
    yield mails.appointment(awkward(a, "reject"), some_time(), token(101), random)
    yield mails.invoice(awkward(b, "reject"), some_time(), token(102), random)
    yield mails.invoice(c, some_time(), token(103), random, cc=[awkward(d, "reject")])
    yield mails.appointment(awkward(e, "greylist"), some_time(), token(104), random)
    yield mails.service_report(awkward(f, "greylist"), some_time(), token(105), random, cc=[tom])
    yield mails.invoice(awkward(g, "drop"), some_time(), token(106), random)
    yield mails.statement(awkward(h, "slow"), some_time(), token(107), random)
    yield special.price_change(awkward(i, "spam"), some_time(), token(108))
    yield mails.invoice(customers[40], some_time(), token(109), random, bcc=[archive])
    yield special.weekly_jobs(some_time(), token(110), random, customers)
    yield special.newsletter(some_time(), token(111), customers[45:])
    yield special.many_scripts(some_time(), token(112))
    yield special.quote_with_two_reports(customers[41], customers[42], some_time(), token(113), random)
    yield special.parts_order(some_time(), token(114))


def _yesterday(people: dict[str, User], customers: list[Customer], random: Random, now: datetime) -> None:
    """One batch of the evening before, with most of the ways a message can end; and what was kept out of it."""
    evening = timezone.make_aware(datetime.combine(timezone.localdate(now - history.LONGEST), time(17, 30)))

    def written(number: int) -> tuple[Customer, datetime, str, Random]:
        at = evening - timedelta(minutes=600 - number * 25)
        return customers[50 + number], at, f"earlier-{number:03d}.{random.getrandbits(48):012x}", random

    refusing = customers[70]
    endings = [
        (mails.appointment(*written(0)), history.SENT),
        (mails.invoice(*written(1)), history.SENT),
        (mails.service_report(*written(2)), history.SENT),
        (mails.appointment(*written(3)), history.SENT_LATER),
        (mails.invoice(*written(4)), history.REFUSED),
        (mails.statement(*written(5)), history.given_up()),
        (mails.reminder(*written(6)), history.TAKEN_FOR_SPAM),
        (mails.service_report(*written(7)), history.REFUSED_FOR_SIZE),
        (mails.invoice(*written(8)), history.UNKNOWN),
        (mails.appointment(*written(9), cc=[refusing]), history.SENT),
        (mails.invoice(*written(10)), history.SENT),
    ]
    batch = Batch.objects.create(
        status=Batch.Status.CONFIRMED,
        created_by=people[company.ACCOUNTS.username],
        created_at=evening,
        confirmed_at=evening + timedelta(seconds=40),
    )
    prepared, attempts = [], []
    for number, (mail, ending) in enumerate(endings):
        rows = _prepared(mail, people)
        started = evening + timedelta(seconds=41 + number)
        attempts += history.end(rows, ending, started, random, batch, {refusing.address: history.NO_MAILBOX})
        prepared.append(rows)
    messages = store(prepared)
    SendAttempt.objects.bulk_create(attempts)
    BatchItem.objects.bulk_create(
        BatchItem(batch=batch, message=message, state=BatchItem.State.RELEASED) for message in messages
    )
    no_address = mails.statement(*written(11))
    store([_prepared(Mail(no_address.raw, (), no_address.writer, no_address.at), people)])
    _kept_out([mails.invoice(*written(12)), mails.reminder(*written(13)), mails.appointment(*written(14))], people)


def _kept_out(written: list[Mail], people: dict[str, User]) -> None:
    """A person held two of these and cancelled the third."""
    first, second, third = store([_prepared(mail, people) for mail in written])
    accounts, service = people[company.ACCOUNTS.username], people[company.SERVICE.username]
    actions.hold(first, by=accounts, why="The amount is disputed; Maja rings the customer first")
    actions.hold(second, by=service, why="Customer is moving house", until=timezone.now() + timedelta(days=20))
    actions.cancel(third, by=service, why="The customer cancelled by phone")
