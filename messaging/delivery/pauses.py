"""What keeps an account from sending for now: putting it there and ending it. What it allows, lifecycle/limits.py says.

Set-up at fault, a server that wants us slower and one that does not answer end when a probe gets through; limits and
sending windows end by themselves; what a person ordered ends when they said, or by a person; a doubt ends when a person
has answered. The messages wait, their tries unspent.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import F, QuerySet

from messaging.delivery.outcomes import meanings, reply
from messaging.delivery.outcomes.retry import slow_down_until
from messaging.delivery.outcomes.verdict import Scope, Verdict, judge
from messaging.delivery.store import claims, ledger
from messaging.lifecycle import limits
from messaging.models import AccountPause, Phrase, Reason, SendAttempt

log = logging.getLogger(__name__)

Kind = AccountPause.Kind
MOST_LOOKED_AT = 1000  # attempts whose recipients are looked at
# Where countries register domains below their own: example.co.uk and another.co.uk are of two owners.
UNDER_COUNTRIES = [
    "ac", "ad", "asso", "biz", "co", "com", "ed", "edu", "go", "gob", "gouv", "gov", "gr", "gv", "id", "in", "info",
    "lg", "ltd", "me", "mil", "mod", "ne", "net", "nhs", "nic", "nom", "or", "org", "plc", "sch", "web",
]  # fmt: skip
OF_RECIPIENTS = (reply.Stage.RCPT, reply.Stage.DATA, reply.Stage.END)


class Heard(NamedTuple):
    """What led to a pause: the server ("" for none), its words or those of the system, this machine's error."""

    server: str
    text: str = ""
    said: Phrase | None = None


def pause(
    account_id: int | None, verdict: Verdict, heard: Heard, now: datetime, attempt: SendAttempt | None = None
) -> None:
    """Pause an account whose set-up is at fault, or whose server wants it slower.

    Lanes that meet the same fault together, or a probe that fails, do not count it again. `attempt` is where it was
    heard of a message, not yet written down.
    """
    kind = Kind.BUSY if verdict.scope == Scope.PACE else Kind.FAULT
    with transaction.atomic():
        row, created = (
            limits.current_pauses(now)
            .select_for_update(of=("self",))
            .get_or_create(
                account_id=account_id,
                kind=kind,
                defaults={"since": now, "until": limits.next_probe(1, now), "reason": verdict.reason},
            )
        )
        if kind == Kind.BUSY:
            holds_until = row.until if created or row.is_in_force else None
            is_sure = attempt is None or _is_about_account(attempt, row.since)
            row.until = max(holds_until or now, slow_down_until(verdict, row.failures, now, is_sure=is_sure))
        row.reason = verdict.reason
        row.server, row.reply_text, row.said = heard
        row.save(update_fields=["until", "reason", "server", "reply_text", "said"])
    if created:
        why = verdict.reason.render(reply.WORDS | meanings.WORDS)
        log.warning("account %s paused: %s (%s)", account_id or "company", why, heard.server)


def _is_about_account(attempt: SendAttempt, since: datetime) -> bool:
    """Whether what was heard in an attempt is about its account, and not about a recipient.

    A server may repeat what the recipient's own server told it, so from RCPT on it is sure once it was said of another
    message, too, and of another domain: whom a message is for may be one person's choice. Those looked up are of the
    same pause. Who was not asked for is no witness.
    """
    if attempt.stage not in OF_RECIPIENTS:
        return True
    before = SendAttempt.objects.filter(account_id=attempt.account_id, account_is_gone=False, stage__in=OF_RECIPIENTS)
    before = before.filter(started_at__gt=since - ledger.LONGEST_TRY, finished_at__gte=since, reason=attempt.reason)
    earlier = before.values_list("message_id", "recipients")[:MOST_LOOKED_AT]
    said_of = {
        (message_id, domain_of(row["address"]))
        for message_id, rows in [(attempt.message_id, attempt.recipients), *earlier]
        for row in rows
        if _said(row) == attempt.reason
    }
    messages, domains = ({each[place] for each in said_of} for place in (0, 1))
    return len(messages) > 1 and len(domains) > 1


def _said(row: Mapping[str, Any]) -> Phrase | None:
    """What the server said of a recipient, as in SendAttempt.recipients, means; None: it was not asked for them."""
    if row["reply_code"] is None:
        return None
    return judge(reply.Reply.recorded(row["stage"], row["reply_code"], row["reply_text"], None, row["address"])).reason


def domain_of(address: str) -> str:
    """The domain of an address as its owner registered it, as far as that can be told: anyone makes subdomains."""
    labels = address.rpartition("@")[2].lower().split(".")
    is_registry = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in UNDER_COUNTRIES
    return ".".join(labels[-3 if is_registry else -2 :])


def ask(account_id: int | None, question: Phrase, heard: Heard, now: datetime) -> AccountPause:
    """Pause an account until a person has answered; within a transaction."""
    row, created = AccountPause.objects.select_for_update(of=("self",)).get_or_create(
        account_id=account_id, kind=Kind.DOUBT, defaults={"since": now, "reason": question}
    )
    row.reason = question
    row.server, row.reply_text, row.said = heard
    row.save(update_fields=["reason", "server", "reply_text", "said"])
    if created:
        log.warning("account %s paused until a person answers: %s", account_id or "company", heard.text)
    return row


def pause_unanswered(account_id: int | None, number: int, heard: Heard, now: datetime) -> None:
    """Pause an account whose server did not answer the last `number` messages, or tell it of one more; within a
    transaction.
    """
    reason = Phrase(Reason.UNANSWERED, number=number)
    row, created = AccountPause.objects.select_for_update(of=("self",)).get_or_create(
        account_id=account_id,
        kind=Kind.UNANSWERED,
        defaults={"since": now, "until": limits.next_probe(1, now), "reason": reason},
    )
    row.reason = reason
    row.server, row.reply_text, row.said = heard
    row.save(update_fields=["reason", "server", "reply_text", "said"])
    if created:
        log.warning("account %s paused: %s did not answer %d messages", account_id or "company", heard.server, number)


def clear(account_id: int | None, now: datetime, kinds: Sequence[AccountPause.Kind] = AccountPause.PROBED) -> None:
    """A message got through: whatever was at fault is over."""
    rows = AccountPause.objects.filter(account_id=account_id, kind__in=kinds)
    if rows.update(ended_at=now):
        log.warning("account %s sends again", account_id or "company")


def try_next(account_id: int | None, now: datetime, kinds: Sequence[AccountPause.Kind] = (Kind.UNANSWERED,)) -> None:
    """The probe said nothing about these: one that never came to the dot nothing about an answer, one that was not
    made, or for which no server was asked, nothing at all. So the next message may be one at once.
    """
    rows = AccountPause.objects.filter(account_id=account_id, kind__in=kinds, failures__gt=1)
    rows.update(until=now, failures=F("failures") - 1)


def wait_until(account_id: int | None, wait: limits.Wait, now: datetime) -> None:
    """Note that the account has reached a limit or the end of its sending window."""
    noted = {"until": wait.until, "reason": wait.reason}
    AccountPause.objects.update_or_create(
        account_id=account_id, kind=wait.kind, defaults=noted, create_defaults=noted | {"since": now}
    )


def end_due(now: datetime) -> None:
    """End what ends on its own and is over, as it stands then. What is probed ends when a message gets through, and is
    tried at once where that may well be.

    Where a person's pause or a doubt holds, what a lane claimed at that very moment is taken from it, too.
    """
    for row in limits.current_pauses(now):
        if row.kind in AccountPause.PROBED:
            is_ahead = not row.is_in_force and row.until is not None and row.until > now  # by a clock that was wrong
            if is_ahead or (row.is_in_force and _may_mind_one_message(row, now)):
                _as_read(row).update(until=now)
        elif not row.is_in_force:
            _end(row)
        elif row.kind not in limits.OF_SETTINGS:
            claims.take_back(row.account_id, all_accounts=row.kind == Kind.ALL)


def _may_mind_one_message(row: AccountPause, now: datetime) -> bool:
    """Whether one message alone was refused as any would be, and another one has come in since.

    With the second one it is the account. One that was there before is the next probe.
    """
    if row.kind != Kind.FAULT:
        return False
    alone = ledger.refused_alone_since(row.account_id, row.since)
    return alone is not None and claims.has_come_in(row.account_id, row.since, now, beside=alone)


def _end(row: AccountPause) -> None:
    """End a pause, unless it was prolonged since it was read."""
    if row.kind not in limits.OF_SETTINGS:
        _as_read(row).update(ended_at=F("until"))
        return
    with transaction.atomic():
        for locked in _as_read(row).select_for_update(of=("self",)):
            locked.delete()


def _as_read(row: AccountPause) -> QuerySet[AccountPause]:
    return AccountPause.objects.filter(pk=row.pk, until=row.until)
