"""Short ways to transitions that need several moves one after the other, which chance makes too seldom."""

from .batching import cancel_batch, confirm, process_all, retry_draft
from .changes import answer_restore, pause, restore, sweep
from .delivery import at_once, come_in, lane
from .orders import carry_out, not_found, orphan, write_again


def _last(options):
    """Of the people it is the administrator, who sees all; of the times the later one."""
    return options[-1]


def _come(way):
    return lambda office: come_in(office, _last, way=way)


def _at_once(way, by=_last):
    return lambda office: at_once(office, by, way=way)


def _lane(way):
    return lambda office: lane(office, _last, account=office.ada.pk, way=way)


def _order(order):
    return lambda office: carry_out(office, _last, pk=max(office.messages), order=order)


def _newest(move):
    return lambda office: move(office, _last, pk=max(office.messages))


def _batch(move):
    return lambda office: move(office, _last, pk=max(office.batches))


def _then(move, **how):
    return lambda office: move(office, _last, **how)


def _by_olga(options):
    return options[1]


def _each_their_own(office):
    office.choose_options(sees_all=False)


_MOVED = [_then(restore), _then(answer_restore, what="moved")]
STORIES = {
    ("retry in a batch", "failed", "queued"): [
        _come("waits"), _then(process_all), _lane("spam"), _batch(retry_draft), _batch(confirm),
    ],
    ("take out of the batch", "sending", "queued"): [
        _come("waits"), _then(process_all), _lane("kill before"), _batch(cancel_batch),
    ],
    ("take out of the batch", "queued", "queued"): [_come("waits"), _then(process_all), _batch(cancel_batch)],
    ("end of a hold", "held", "queued"): [_come("waits"), _order("hold"), _then(sweep, gap="hours")],
    ("mark as sent", "unknown", "failed"): [_at_once("partly lost"), _order("mark_as_sent")],
    ("mark as sent", "unknown", "queued"): [_come("urgent"), _lane("later and lost"), _order("mark_as_sent")],
    ("moved", "unknown", "held"): [_come("held"), *_MOVED],
    ("moved", "unknown", "queued"): [_come("waits"), *_MOVED],
    ("moved", "unknown", "sending"): [_at_once("kill before"), *_MOVED],
    ("expire", "queued", "failed"): [_come("waits"), _then(sweep, gap="days")],
    ("put back", "held", "held"): [_come("held"), _order("hand_over"), _order("put_back")],
    ("put back", "held", "queued"): [_come("waits"), _order("hand_over"), _order("put_back")],
    ("put back", "held", "failed"): [_at_once("spam"), _order("hand_over"), _order("put_back")],
    ("stop", "sending", "failed"): [_at_once("kill before"), _then(sweep, gap="lease")],
    ("lose", "sending", "unknown"): [_at_once("kill after"), _then(sweep, gap="two leases")],
    ("rescue", "sending", "queued"): [
        _come("waits"), _then(process_all), _lane("kill before"), _then(sweep, gap="lease"),
    ],
    ("release", "held", "failed"): [_at_once("spam"), _newest(orphan), _order("release")],
    ("release", "held", "queued"): [_come("held"), _order("release")],
    ("give back", "sending", "queued"): [_come("waits"), _then(process_all), _lane("kill before"), _then(pause)],
    ("write again", "failed", "cancelled"): [_at_once("spam", _by_olga), _newest(write_again)],
    ("send again", "unknown", "queued"): [_at_once("lost"), _order("send_again")],
    ("retry", "failed", "queued"): [_at_once("spam"), _order("retry")],
    ("correct", "failed", "queued"): [_at_once("spam"), _order("edit")],
    ("hand over", "failed", "held"): [_at_once("spam"), _order("hand_over")],
    ("sent from mail program", "held", "sent"): [_come("held"), _order("hand_over"), _order("sent_from_mail_program")],
    ("send at once", "new", "failed"): [_at_once("paused")],
    ("cancel", "held", "cancelled"): [_come("held"), _order("cancel")],
    ("cancel", "queued", "cancelled"): [_come("waits"), _order("cancel")],
    ("try now", "queued", "queued"): [_come("timed"), _order("try_now")],
    ("edit", "held", "held"): [_come("held"), _order("edit")],
    ("edited meanwhile",): [_come("held"), _order("edit"), _order("edit")],
    ("refused", "confirm"): [_come("waits"), _then(process_all), _batch(confirm)],
    ("refused", "cancel a batch"): [_come("waits"), _then(process_all), _batch(cancel_batch), _batch(cancel_batch)],
    ("refused", "retry draft"): [_come("waits"), _then(process_all), _batch(retry_draft)],
    ("404",): [_come("held"), _each_their_own, _newest(not_found)],
}  # fmt: skip


def rarest(seen):
    """The story of what was seen least."""
    way = min(STORIES, key=seen.get)
    return way, STORIES[way]
