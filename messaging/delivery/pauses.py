"""What keeps an account from sending for now, who put it there, and when it ends.

Set-up at fault and a server that wants us slower end when a probe gets through; limits and sending windows end by
themselves; what a person ordered ends when they said, or by a person; a doubt ends when a person has answered. The
messages wait, their tries unspent.
"""

import logging
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q

from messaging.models import AccountPause, Phrase

from . import claims, meanings, reply
from .outcomes import Scope, Verdict
from .retry import next_probe, slow_down_until

log = logging.getLogger(__name__)

Kind = AccountPause.Kind


class Leave(NamedTuple):
    """Whether a lane may send: at all, only urgent messages, as the one that tries whether it works again."""

    may_send: bool = True
    urgent_only: bool = False
    is_probe: bool = False


NO_LEAVE = Leave(may_send=False)


class Heard(NamedTuple):
    """What led to a pause: the server ("" for none), its words or those of the system, this machine's error."""

    server: str
    text: str = ""
    said: Phrase | None = None


def leave_to_send(account_id: int | None, now: datetime) -> Leave:
    """What the account's pauses allow at `now`. A probe is given to one lane, and the next one is further off."""
    urgent_only = False
    to_probe = []
    for row in AccountPause.objects.filter(Q(account_id=account_id) | Q(kind__in=AccountPause.OF_EVERYBODY)):
        holds = row.until is None or row.until > now
        if holds and row.kind in AccountPause.STOP_URGENT:
            return NO_LEAVE
        if row.kind in AccountPause.PROBED:
            to_probe.append(row)
        elif holds:
            urgent_only = True
    is_probe = bool(to_probe) and all(_take_probe(row, now) for row in to_probe)
    return Leave(not to_probe or is_probe, urgent_only, is_probe)


def _take_probe(row: AccountPause, now: datetime) -> bool:
    due = AccountPause.objects.filter(pk=row.pk, until=row.until)
    return bool(due.update(failures=row.failures + 1, until=next_probe(row.failures + 1, now)))


def pause(account_id: int | None, verdict: Verdict, heard: Heard, now: datetime) -> None:
    """Pause an account whose set-up is at fault, or whose server wants it slower.

    Lanes that meet the same fault together, or a probe that fails, do not count it again.
    """
    kind = Kind.BUSY if verdict.scope == Scope.PACE else Kind.FAULT
    with transaction.atomic():
        row, created = AccountPause.objects.select_for_update(of=("self",)).get_or_create(
            account_id=account_id,
            kind=kind,
            defaults={"since": now, "until": next_probe(1, now), "reason": verdict.reason},
        )
        if kind == Kind.BUSY:
            row.until = max(row.until or now, slow_down_until(verdict, row.failures, now))
        row.reason = verdict.reason
        row.server, row.reply_text, row.said = heard
        row.save(update_fields=["until", "reason", "server", "reply_text", "said"])
    if created:
        why = verdict.reason.render(reply.WORDS | meanings.WORDS)
        log.warning("account %s paused: %s (%s)", account_id or "company", why, heard.server)


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


def clear(account_id: int | None, now: datetime) -> None:
    """A message got through: whatever was at fault is over."""
    rows = AccountPause.objects.filter(account_id=account_id, kind__in=AccountPause.PROBED)
    if rows.update(ended_at=now):
        log.warning("account %s sends again", account_id or "company")


def wait_until(account_id: int | None, kind: AccountPause.Kind, until: datetime, reason: Phrase, now: datetime) -> None:
    """Note that the account has reached a limit or the end of its sending window."""
    AccountPause.objects.update_or_create(
        account_id=account_id,
        kind=kind,
        defaults={"until": until, "reason": reason},
        create_defaults={"since": now, "until": until, "reason": reason},
    )


def end_due(now: datetime) -> None:
    """End what ends by itself and is over. (Those that are probed end when a message gets through.)

    Where a person's pause or a doubt holds, what a lane claimed at that very moment is taken from it, too.
    """
    for row in AccountPause.objects.exclude(kind__in=AccountPause.PROBED):
        is_over = row.until is not None and row.until <= now
        if row.kind in (Kind.LIMIT, Kind.WINDOW):
            if is_over:
                row.delete()
        elif is_over:
            AccountPause.objects.filter(pk=row.pk).update(ended_at=row.until)
        else:
            claims.take_back(row.account_id, everybody=row.kind == Kind.ALL)
