"""Batches: drafts, two of them with the same messages, retries, cancelling."""

from messaging.access import roles
from messaging.models import Batch, Message
from messaging.queue import actions, batches

from .model import ExpectedBatch


def draft(office, choose):
    person = choose(office.people)
    seen = [pk for pk in office.messages if office.sees(person, pk)]
    chosen = [pk for pk in seen if choose([True, True, False])]
    if chosen:
        batch = batches.choose(Message.objects.filter(pk__in=chosen), by=person, account=person)
        items = dict.fromkeys(sorted(chosen), ("chosen", ""))
        office.batches[batch.pk] = ExpectedBatch(person.pk, person.pk, items=items)


def confirm(office, choose, pk):
    person, batch = choose(office.people), office.batches[pk]
    row = Batch.objects.get(pk=pk)
    account = person.pk if batch.account == batch.created_by else batch.account
    before = office.everything()
    if batch.status != "draft" or account == office.mia.pk:
        try:
            assert not batches.confirm(row, by=person)
        except actions.NotPossible:
            assert batch.status == "draft"
        assert office.everything() == before
        office.seen["refused", "confirm", batch.status] += 1
        return
    assert batches.confirm(row, by=person)
    confirmed(office, pk, person, account)


def confirmed(office, pk, person, account):
    batch = office.batches[pk]
    batch.status, batch.account = "confirmed", account
    for each in batch.items:
        row = office.messages[each]
        is_free = row.place in ("waiting", "timed") or (batch.is_retry and row.place == "failed")
        if not is_free or (person is not None and not office.sees(person, each)):
            batch.items[each] = ("skipped", "")
            office.seen["skipped", row.place] += 1
            continue
        office.leave(each)
        batch.items[each] = ("released", "")
        if batch.is_retry:
            row.recipients = {key: "pending" if value == "failed" else value for key, value in row.recipients.items()}
        name = "retry in a batch" if batch.is_retry else "process"
        office.change(each, name, person, **office.anew(account, office.now, pk))


def process_all(office, choose):
    account = choose([None, office.ada, *([] if office.has_left else [office.lea])])
    batch = batches.process_all(by=None, account=account, source=Batch.Source.COMMAND)
    wanted = office.waiting()
    assert (batch is not None) == bool(wanted)
    if batch is not None:
        items = dict.fromkeys(sorted(wanted), ("chosen", ""))
        office.batches[batch.pk] = ExpectedBatch(None, account and account.pk, items=items)
        confirmed(office, batch.pk, None, account and account.pk)


def cancel_batch(office, choose, pk):
    person, batch = choose([None, *office.people]), office.batches[pk]
    if person is None and batch.status == "draft":
        person = office.ada
    mine = lambda each: person is None or office.sees(person, each)  # noqa: E731
    taken = [
        each
        for each in batch.items
        if office.messages[each].batch == pk and office.messages[each].place in ("in batch", "sending") and mine(each)
    ]
    assert batches.cancel(Batch.objects.get(pk=pk), by=person) == len(taken)
    for each in taken:
        office.leave(each, "cancelled")
        values = {"batch": None, "not_before": None, "account": None, "is_leased": False, "lease_ends": None}
        office.change(each, "take out of the batch", person, status="queued", **values)
    left = [each for each, row in office.messages.items() if row.batch == pk and row.status in ("queued", "sending")]
    if batch.status == "draft" or (batch.status == "confirmed" and (taken or left) and all(map(mine, left))):
        batch.status = "cancelled"
    elif not taken:
        office.seen["refused", "cancel a batch", batch.status] += 1


def retry_draft(office, choose, pk):
    person, batch = choose(office.people), office.batches[pk]
    results = batch.results(pk, office.messages)
    wanted = [
        each
        for each in batch.items
        if results[each] == "failed" and office.messages[each].status == "failed" and office.sees(person, each)
    ]
    before = office.everything()
    try:
        made = batches.retry_failed(Batch.objects.get(pk=pk), by=person, among=roles.visible_messages(person))
    except actions.NotPossible:
        assert not wanted
        assert office.everything() == before
        office.seen["refused", "retry draft", batch.status] += 1
        return
    items = dict.fromkeys(sorted(wanted), ("chosen", ""))
    assert items
    office.batches[made.pk] = ExpectedBatch(person.pk, person.pk, is_retry=True, items=items)


BATCH = {"confirm": confirm, "cancel batch": cancel_batch, "retry draft": retry_draft}
