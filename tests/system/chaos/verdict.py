"""Compares the server's ledger with the database, recipient by recipient."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType

ACCEPTED, PENDING, REFUSED, UNKNOWN = "accepted", "pending", "failed", "unknown"


@dataclass
class Verdict:
    """What must be empty, a line of text per finding; and what is only counted."""

    lost: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    too_many_unknown: list[str] = field(default_factory=list)
    unknown_per_kill: list[int] = field(default_factory=list)
    unknown_by_truth: Counter = field(default_factory=Counter)
    statuses: Counter = field(default_factory=Counter)

    FINDINGS = ("lost", "duplicates", "untrue", "damaged", "waiting", "too_many_unknown")

    @property
    def findings(self):
        return [f"{name}: {line}" for name in self.FINDINGS for line in getattr(self, name)]


def compare(accepted, rows, ledger, orders=(), kills=(), replied=MappingProxyType({})):
    """Judge.

    Args:
        accepted: by Message-ID, the recipients and the digest of what was accepted into the queue.
        rows: the database, as inside.snapshot() tells it.
        ledger: the server's Acceptances.
        orders: what persons ordered, as inside.decide() tells it.
        kills: (time of it, connections it broke), in their order.
        replied: when the reply to an Acceptance was sent.
    """
    verdict = Verdict(statuses=Counter(row["status"] for row in rows))
    arrived = Counter((entry.message_id, address) for entry in ledger for address in entry.recipients)
    ordered = defaultdict(set)
    again = Counter()
    for order in orders:
        for address in order["recipients"]:
            ordered[order["message_id"], address].add(order["verb"])
            again[order["message_id"], address] += order["verb"] == "send_again"
    _nothing_lost(verdict, accepted, rows, ledger)
    for (message_id, address), times in arrived.items():
        if times > 1 + again[message_id, address]:
            verdict.duplicates.append(f"{message_id} {address}: {times} times, {again[message_id, address]} ordered")
    for row in rows:
        _status_is_true(verdict, row)
        for address, status in row["recipients"].items():
            key = row["message_id"], address
            _recipient_is_true(verdict, row, address, status, arrived[key], ordered[key])
    _unknown_are_few(verdict, rows, ledger, kills, replied)
    return verdict


def _nothing_lost(verdict, accepted, rows, ledger):
    found = Counter(row["message_id"] for row in rows)
    recipients = {row["message_id"]: set(row["recipients"]) for row in rows}
    for message_id, told in accepted.items():
        if found[message_id] != 1:
            verdict.lost.append(f"{message_id}: {found[message_id]} rows")
        elif recipients[message_id] != set(told["recipients"]):
            verdict.lost.append(f"{message_id}: recipients {recipients[message_id]} of {told['recipients']}")
    for entry in ledger:
        told = accepted.get(entry.message_id)
        if told is None:
            verdict.damaged.append(f"{entry.message_id} arrived and was never queued")
        elif entry.digest != told["digest"] or not set(entry.recipients) <= set(told["recipients"]):
            verdict.damaged.append(f"{entry.message_id} arrived with other content or for someone else")


def _status_is_true(verdict, row):
    """A message's status follows from its recipients', says why, and is backed by an attempt."""
    status, recipients = row["status"], set(row["recipients"].values())
    named = f"{row['message_id']} is {status}"
    follows = {
        "sent": recipients == {ACCEPTED} and row["sent_at"],
        "failed": REFUSED in recipients and not recipients & {PENDING, UNKNOWN},
        "unknown": UNKNOWN in recipients,
        "queued": PENDING in recipients and UNKNOWN not in recipients,
        "sending": PENDING in recipients,
    }
    if not follows.get(status, True):
        verdict.untrue.append(f"{named}, its recipients {sorted(recipients)}")
    if status in ("failed", "unknown") and not row["reason"]:
        verdict.untrue.append(f"{named} without a reason")
    is_told = any(_is_unknown(attempt) and attempt["explained"] for attempt in row["attempts"])
    if status == "unknown" and not is_told and not row.get("since_backup"):
        verdict.untrue.append(f"{named} without an attempt that says so")
    if status in ("queued", "sending"):
        verdict.waiting.append(f"{named}, after {len(row['attempts'])} attempts; {row['reason']}")


def _recipient_is_true(verdict, row, address, status, times, orders):
    named = f"{row['message_id']} {address} is {status} in a message that is {row['status']}"
    if status == ACCEPTED and not times and "mark_as_sent" not in orders:
        verdict.lost.append(f"{named}, and never arrived")
    # After Send again the new try's outcome is told, though an earlier one may have arrived.
    if status in (PENDING, REFUSED) and times and "send_again" not in orders:
        verdict.untrue.append(f"{named}, and arrived")
    if row.get("since_backup"):
        return  # what is known of later tries went with what the backup does not have
    told = sum(attempt["recipients"].get(address) in (ACCEPTED, UNKNOWN) for attempt in row["attempts"])
    if told < times:
        verdict.untrue.append(f"{named}: arrived {times} times, of which {told} attempts know")


def _is_unknown(attempt):
    return attempt["outcome"] == UNKNOWN


def _unknown_are_few(verdict, rows, ledger, kills, replied):
    """At most one unknown message per connection that the kill broke."""
    arrivals = defaultdict(list)
    for entry in ledger:
        arrivals[entry.message_id].append(entry)
    per_kill = Counter()
    for row in rows:
        for attempt in filter(_is_unknown, row["attempts"]):
            number = next((number for number, (at, _) in enumerate(kills) if at >= attempt["started"]), None)
            per_kill[number] += 1
            arrival = next((entry for entry in arrivals[row["message_id"]] if entry.at >= attempt["started"]), None)
            broken_at = inf if number is None else kills[number][0]
            verdict.unknown_by_truth[_truth(arrival, broken_at, replied)] += 1
    verdict.unknown_per_kill = [per_kill[number] for number in range(len(kills))]
    for number, (_, connections) in enumerate(kills):
        if per_kill[number] > connections:
            verdict.too_many_unknown.append(f"{per_kill[number]} by kill {number + 1}, of {connections} connections")
    if per_kill[None]:
        verdict.too_many_unknown.append(f"{per_kill[None]} without any kill")


def _truth(arrival, broken_at, replied):
    if arrival is None:
        return "not accepted"
    if replied.get(arrival, inf) <= broken_at:
        return "accepted, reply sent and not recorded"
    return "accepted, no reply sent" if arrival.at <= broken_at else "accepted after the kill"
