"""Short ways to each transition and each refusal, on several messages at once, which chance makes too seldom."""

import functools

from .batching import cancel_batch, confirm, process_all, retry_draft
from .changes import answer_restore, pause, question, reroute, restore, sweep
from .delivery import at_once, come_in, due, lane
from .model import REFUSALS, WAYS
from .offboarding import come_back, leave
from .orders import carry_out, in_bulk, not_found, orphan, refuse_all, write_again


def _last(options):
    """Of the people it is the administrator, who sees all; of the times the later one."""
    return options[-1]


# Each step takes the office, a choice by chance, and how many messages the story has.


def _come(way, by=None):
    def step(office, choose, number):
        come_in(office, _whom(office, by) if by else choose, way, number)

    return step


def _whom(office, name):
    """A choice of that person where there is one of people."""
    person = getattr(office, name)
    return lambda options: person if person in options else options[0]


def _at_once(way, by=None):
    def step(office, choose, number):
        for _ in range(number):
            at_once(office, _whom(office, by) if by else choose, way)

    return step


def _lanes(way):
    def step(office, choose, number):
        for account in list(due(office)):
            lane(office, choose, account=account, way=way)

    return step


def _order(order, last=False):
    def step(office, choose, number):
        for pk in office.crowd:
            if any(office.messages[pk].allows(order, by_mapi=mapi) for mapi in (False, True)):
                carry_out(office, _last if last else choose, pk=pk, order=order)

    return step


def _each(move, **how):
    def step(office, choose, number):
        for pk in list(office.crowd):
            move(office, choose, pk=pk, **how)

    return step


def _all(move):
    return lambda office, choose, number: move(office, choose, pks=list(office.crowd))


def _batch(move):
    return lambda office, choose, number: move(office, _last, pk=max(office.batches))


def _then(move, **how):
    return lambda office, choose, number: move(office, choose, **how)


def _anew(office, choose, number):
    office.begin()


def _sweep(gap):
    return lambda office, choose, number: sweep(office, _last, gap=gap)


def _each_their_own(office, choose, number):
    office.choose_options(sees_all=False)


_IN_BATCH = [_come("waits"), _then(process_all)]
_CLAIMED = [*_IN_BATCH, _lanes("kill before")]
_FAILED, _UNKNOWN = [_come("urgent"), _lanes("spam")], [_come("urgent"), _lanes("lost")]
_DRAFT = [_come("held"), _order("hand_over")]
_MOVED = [_then(restore), _then(answer_restore, what="moved")]
_OF_LEA = [_come("timed", by="lea")]
PLACES = {
    "waiting": [_come("waits")], "timed": [_come("timed")], "in batch": _IN_BATCH, "held": [_come("held")],
    "in mail program": _DRAFT, "nobody's draft": [_come("held"), _all(orphan)], "sending": _CLAIMED,
    "in data": [_at_once("kill after")], "sent": [_come("urgent"), _lanes("taken")], "failed": _FAILED,
    "nobody named": [_come("nobody")], "unknown": _UNKNOWN, "cancelled": [_come("waits"), _order("cancel")],
}  # fmt: skip
STORIES = {
    ("queue", "new", "queued"): [_come("waits")],
    ("queue", "new", "held"): [_come("held")],
    ("queue", "new", "failed"): [_come("nobody")],
    ("send at once", "new", "sending"): [_at_once("taken")],
    ("send at once", "new", "failed"): [_at_once("paused")],
    ("claim", "queued", "sending"): [_come("urgent"), _lanes("some")],
    ("outcome", "sending", "sent"): [_come("urgent"), _lanes("taken")],
    ("outcome", "sending", "failed"): _FAILED,
    ("outcome", "sending", "unknown"): _UNKNOWN,
    ("outcome", "sending", "queued"): [_come("urgent"), _lanes("later")],
    ("give back", "sending", "queued"): [*_CLAIMED, _then(pause)],
    ("rescue", "sending", "queued"): [*_CLAIMED, _sweep("lease")],
    ("stop", "sending", "failed"): [_at_once("kill before"), _sweep("lease")],
    ("lose", "sending", "unknown"): [_at_once("kill after"), _all(refuse_all), _sweep("two leases")],
    ("hold", "queued", "held"): [_come("timed"), _order("hold")],
    ("hold in bulk", "done"): [*_IN_BATCH, _come("waits"), _then(in_bulk, order="hold")],
    ("cancel in bulk", "done"): [*_IN_BATCH, _come("held"), _then(in_bulk, order="cancel")],
    ("release in bulk", "done"): [_come("held"), _then(in_bulk, order="release")],
    ("release", "held", "queued"): [_come("held"), _order("release")],
    ("release", "held", "failed"): [*_FAILED, _all(orphan), _order("release")],
    ("cancel", "queued", "cancelled"): [_come("waits"), _order("cancel")],
    ("cancel", "held", "cancelled"): [_come("held"), _order("cancel")],
    ("try now", "queued", "queued"): [_come("timed"), _order("try_now")],
    ("retry", "failed", "queued"): [*_FAILED, _order("retry")],
    ("send again", "unknown", "queued"): [*_UNKNOWN, _order("send_again")],
    ("mark as sent", "unknown", "sent"): [*_UNKNOWN, _order("mark_as_sent")],
    ("mark as sent", "unknown", "failed"): [_come("urgent"), _lanes("partly lost"), _order("mark_as_sent")],
    ("mark as sent", "unknown", "queued"): [_come("urgent"), _lanes("later and lost"), _order("mark_as_sent")],
    ("edit", "queued", "queued"): [_come("waits"), _order("edit")],
    ("edit", "held", "held"): [_come("held"), _order("edit")],
    ("edit", "failed", "failed"): [_come("urgent"), _lanes("no such mailbox"), _order("edit")],
    ("correct", "failed", "queued"): [*_FAILED, _order("edit")],
    ("write again", "failed", "cancelled"): [_come("urgent", by="olga"), _lanes("spam"), _each(write_again)],
    ("hand over", "queued", "held"): [_come("waits"), _order("hand_over")],
    ("hand over", "held", "held"): _DRAFT,
    ("hand over", "failed", "held"): [*_FAILED, _order("hand_over")],
    ("sent from mail program", "held", "sent"): [*_DRAFT, _order("sent_from_mail_program")],
    ("put back", "held", "queued"): [_come("waits"), _order("hand_over"), _order("put_back")],
    ("put back", "held", "held"): [*_DRAFT, _order("put_back")],
    ("put back", "held", "failed"): [*_FAILED, _order("hand_over"), _order("put_back")],
    ("pass on", "queued", "queued"): [*_OF_LEA, _then(leave, choice="pass-on"), _then(come_back)],
    ("pass on", "held", "held"): [*_OF_LEA, _order("hold"), _then(leave, choice="pass-on"), _then(come_back)],
    ("recall", "queued", "held"): [*_OF_LEA, _then(leave, choice="hold"), _then(come_back)],
    ("it was us", "failed", "queued"): [_anew, _then(question, answer="it was us")],
    ("go on", "failed", "failed"): [_anew, _then(question, answer="go on")],
    ("process", "queued", "queued"): _IN_BATCH,
    ("retry in a batch", "failed", "queued"): [*_IN_BATCH, _lanes("spam"), _batch(retry_draft), _batch(confirm)],
    ("retry in a batch", "queued", "queued"): [
        *_IN_BATCH, _lanes("spam"), _batch(retry_draft), _order("retry"), _batch(confirm),
    ],
    ("take out of the batch", "queued", "queued"): [*_IN_BATCH, _batch(cancel_batch)],
    ("take out of the batch", "sending", "queued"): [*_CLAIMED, _batch(cancel_batch)],
    ("end of a hold", "held", "queued"): [_come("waits"), _order("hold", last=True), _sweep("hours")],
    ("expire", "queued", "failed"): [_come("waits"), _sweep("days")],
    ("reroute", "queued", "queued"): [_anew, *[_then(reroute)] * 5],
    ("restore", "queued", "unknown"): [_come("timed"), *_MOVED],
    ("restore", "held", "unknown"): [*_DRAFT, *_MOVED],
    ("restore", "sending", "unknown"): [*_CLAIMED, *_MOVED],
    ("moved", "unknown", "queued"): [_come("waits"), *_MOVED],
    ("moved", "unknown", "held"): [_come("held"), *_MOVED],
    ("moved", "unknown", "sending"): [*_CLAIMED, *_MOVED],
    ("edited meanwhile", "held"): [_come("held"), _order("edit"), _order("edit")],
    ("nobody is left", "nobody's draft"): [_come("urgent"), _lanes("no such mailbox"), _all(orphan), _order("edit")],
    ("404", "held"): [_come("held"), _each_their_own, _each(not_found)],
    ("refused", "confirm", "confirmed"): [*_IN_BATCH, *[_batch(confirm)] * 10],
    ("refused", "cancel a batch", "cancelled"): [*_IN_BATCH, *[_batch(cancel_batch)] * 10],
    ("refused", "retry draft", "confirmed"): [*_IN_BATCH, *[_batch(retry_draft)] * 10],
    ("refused", "answer", "answered"): [_anew, _then(question, answer="go on")],
    ("refused", "answer", "restore"): [_come("waits"), *_MOVED],
    ("refused", "leave", "undecided"): [*_OF_LEA, *[_then(leave, choice="let-go"), _then(come_back)] * 5],
    ("refused", "leave", "bad successor"): [
        *_OF_LEA, _then(leave, choice="pass-on"), _then(come_back), *_OF_LEA, _then(leave, choice="pass-on"),
        _then(come_back),
    ],
    **{("refused", *each): [*PLACES[each[1]], _all(refuse_all)] for each in sorted(REFUSALS)},
}  # fmt: skip
assert STORIES.keys() >= WAYS


def often(seen, part=0, parts=1):
    """How often what each story is about was seen; of the stories in one of several parts."""
    return {way: seen[way] for way in _stories(part, parts)}


@functools.cache
def _stories(part, parts):
    """Those that lead over the same states are together."""
    names = [way for way in STORIES if way[1:] not in REFUSALS]
    places = list(PLACES)
    chosen = names[part * len(names) // parts : (part + 1) * len(names) // parts]
    return [*chosen, *(way for way in STORIES if way[1:] in REFUSALS and places.index(way[2]) % parts == part)]
