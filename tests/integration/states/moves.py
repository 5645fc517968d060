"""What may happen next."""

from functools import partial

from messaging.models import Recall

from .batching import BATCH, draft, process_all
from .changes import GAPS, answer_restore, pause, question, reroute, restore, sweep
from .delivery import at_once, come_in, due, lane
from .model import IN_BULK, OFFERED
from .offboarding import come_back, leave
from .office import MESSAGES
from .orders import carry_out, change_rights, in_bulk, not_found, orphan, refuse_all, write_again
from .server import ENDS, HEARD


def possible(office):
    """The moves that there are now, as (what it is counted as, what does it)."""
    found = [*_coming(office), *_ordered(office), *_of_batches(office)]
    if office.messages:
        found.append((("refused",), partial(refuse_all, pks=list(office.messages))))
        found += [(("bulk", order), partial(in_bulk, order=order)) for order in IN_BULK]
        found += [(("pause",), pause), (("sees",), change_rights)]
        found += [(("sweep", gap), partial(sweep, gap=gap)) for gap in GAPS]
        if office.has_left:
            found.append((("come back",), come_back))
        else:
            found += [(("leave", each.value), partial(leave, choice=each.value)) for each in Recall.Choice]
    if office.restored is None:
        return [*found, *_delivering(office)]
    return found + [(("answer", what), partial(answer_restore, what=what)) for what in ("moved", "sent-since")] * 2


def _coming(office):
    if len(office.messages) >= MESSAGES:
        return []
    ways = ("waits", "timed", "urgent", "held", "nobody")
    found = [(("come in", way), partial(come_in, way=way)) for way in ways]
    if office.restored is None:
        ways = [*ENDS, *HEARD, "some", "fault", "kill before", "kill after", "nobody", "unrecorded", "paused"]
        found += [(("at once", way), partial(at_once, way=way)) for way in ways]
    return found


def _ordered(office):
    found = []
    for pk, message in office.messages.items():
        for order in OFFERED:
            if any(message.allows(order, by_mapi=mapi) for mapi in (False, True)):
                found.append(((order, message.place), partial(carry_out, pk=pk, order=order)))
        if message.place == "failed" and message.author == office.olga.pk and office.restored is None:
            found.append((("write again", message.place), partial(write_again, pk=pk)))
        if message.allows("hand_over", by_mapi=True):
            found.append((("draft of a user who goes", message.place), partial(orphan, pks=[pk])))
        if not all(office.sees(person, pk) for person in office.people):
            found.append((("404", message.place), partial(not_found, pk=pk)))
    return found


def _of_batches(office):
    found = [(("draft",), draft)] if office.messages else []
    if office.waiting():
        found.append((("process all",), process_all))
    for pk, batch in office.batches.items():
        found += [((name, batch.status, batch.is_retry), partial(move, pk=pk)) for name, move in BATCH.items()]
    return found


def _delivering(office):
    found = []
    ways = [*ENDS, *HEARD, "some", "kill before", "kill after", "fault"]
    for account in due(office):
        found += [(("lane", way), partial(lane, account=account, way=way)) for way in ways]
    if office.quentin.pk not in {*due(office), *office.faults}:
        found += [(("question", answer), partial(question, answer=answer)) for answer in ("it was us", "go on")]
    if any(message.status in ("queued", "held", "sending") for message in office.messages.values()):
        found.append((("restore",), restore))
    if not office.faults:
        found.append((("reroute",), reroute))
    return found
