"""Notices by mail: through an account that works, never through the one that is broken."""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from messaging.access import roles
from messaging.company.options import local, notice_rules, options
from messaging.delivery.store.group_commit import is_away
from messaging.delivery.store.ledger import MESSAGE_STAGES
from messaging.intake import gate, own_mail
from messaging.intake.addresses import Mailbox
from messaging.lifecycle import transitions
from messaging.models import (
    AccountPause,
    Category,
    CompanyOptions,
    Message,
    Notice,
    NoticeItem,
    NoticeKind,
    SendAttempt,
)
from messaging.queue import wake
from messaging.setup.layers import EmailSetup, resolve_each
from messaging.wording import person

from . import text
from .dispatch import mailed_to

log = logging.getLogger(__name__)

TRIED_FOR = timedelta(days=1)
AT_ONCE = 100
Sender = tuple[User | None, EmailSetup]


def send_due(now: datetime) -> None:
    """Queue the mails of notices that have none; without an account that works they wait, for a day."""
    sender = working_account()
    if sender is None:
        return
    with transaction.atomic():
        due = Notice.objects.filter(mail_due=True, at__gt=now - TRIED_FOR).order_by("pk")
        for notice in due.select_for_update(of=("self",), skip_locked=True)[:AT_ONCE]:
            try:
                _mail(notice, sender, now)
            except (OSError, DatabaseError) as error:  # such as a full disk: the next sweep tries this one again
                if is_away(error):
                    raise
                log.exception("notice %d was not mailed", notice.pk)


def _mail(notice: Notice, sender: Sender, now: datetime) -> None:
    with transaction.atomic():
        notice.mail_due = False
        try:
            items = _worth_a_mail(notice)
            notice.is_moot = not items
            # Not to those who were told when it was made, and may not be told or have another address by now.
            company = options()
            notice.mail_to = "\n".join(mailed_to(notice_rules()[notice.kind], notice.author, company))
            notice.mail = _queue(notice, items, sender, company, now) if items and notice.mail_to else None
        except (OSError, DatabaseError):
            raise
        except Exception:  # it stays in the console, and the others are mailed all the same
            log.exception("notice %d cannot be mailed", notice.pk)
        notice.save(update_fields=["mail_due", "mail", "mail_to", "is_moot"])


def _worth_a_mail(notice: Notice) -> list[NoticeItem]:
    """What is told by mail: what is so at this moment, and that a pause is over. Nothing to an author who has left, or
    may look at nothing any more.
    """
    if notice.author is not None and not roles.may_get_notices(notice.author):
        return []
    return text.items_of(notice) if notice.kind == NoticeKind.PAUSED else text.items_left(notice)


def move_waiting(now: datetime) -> None:
    """Give mails of notices that wait for an account that is broken, silent or in doubt to one that works, and what the
    server of an account refused as it would any to one that has not tried it yet.
    """
    paused = AccountPause.objects.filter(kind__in=AccountPause.TOLD)
    for account_id in set(paused.values_list("account_id", flat=True)):
        _move(_waiting().filter(account_id=account_id), now, {account_id})
    refused = _waiting().filter(tries__gt=0, reason_category__in=(Category.SETUP, Category.POLICY))
    for pk, account_id in refused.values_list("pk", "account_id")[:AT_ONCE]:
        tried = SendAttempt.objects.filter(message=pk, stage__in=MESSAGE_STAGES)
        _move(refused.filter(pk=pk), now, {account_id, *tried.values_list("account_id", flat=True)})


def _waiting() -> QuerySet[Message]:
    return Message.objects.filter(
        Exists(Notice.objects.filter(mail=OuterRef("pk"))),  # and not what a program calls a notice
        status=Message.Status.QUEUED, urgent=True, not_before__isnull=False, category="notice",
    )  # fmt: skip


def _move(waiting: QuerySet[Message], now: datetime, not_to: Collection[int | None]) -> None:
    """Give mails of notices to an account that works and is none of `not_to`, if there is one."""
    ids = list(waiting.values_list("pk", flat=True)[:AT_ONCE])
    sender = working_account(not_to) if ids else None
    if sender is None:
        return
    account = sender[0]
    with transaction.atomic():
        still = list(transitions.lock(waiting.filter(pk__in=ids)).values_list("pk", flat=True))
        transitions.carry_out(
            transitions.REROUTE, still, by=None, at=now, params={"account": person(account)},
            account=account, not_before=now,
        )  # fmt: skip
        wake.wake_after_commit(account.pk if account else None)


def working_account(not_to: Collection[int | None] = ()) -> Sender | None:
    """The company's account, or an administrator's own, that can send now; None when none can.

    Rather not one of which it is asked whether its set-up is at fault, though urgent mail goes out with it.

    Args:
        not_to: keys of accounts that are not asked for.
    """
    doubtful = set(AccountPause.objects.filter(kind=AccountPause.Kind.DOUBT).values_list("account_id", flat=True))
    paused = set(AccountPause.objects.filter(kind__in=AccountPause.PROBED).values_list("account_id", flat=True))
    accounts = [None, *roles.admins().filter(email_settings__isnull=False)]
    setups = list(zip(accounts, resolve_each(accounts), strict=True))
    broken = {_sign_in(setup) for account, setup in setups if (account.pk if account else None) in paused}
    for account, setup in sorted(setups, key=lambda each: (each[0].pk if each[0] else None) in doubtful):
        # Another account that signs in there as the same one is as broken.
        if (account.pk if account else None) in not_to:
            continue
        if not setup.problems() and not setup.files.errors and _sign_in(setup) not in broken:
            return account, setup
    return None


def _sign_in(setup: EmailSetup) -> tuple[str, ...]:
    return tuple(str(setup.values[name].value) for name in ("host", "port", "auth_type", "sign_in", "username"))


def _queue(notice: Notice, items: list[NoticeItem], through: Sender, company: CompanyOptions, now: datetime) -> Message:
    account, setup = through
    recipients = notice.mail_to.splitlines()
    with local(company):
        told = text.notice_words(notice, items, company)
    address = setup.from_address or company.company_address or recipients[0]
    name = " ".join(company.company_name.split()) or "Outtray"
    sender = Mailbox(name, address)
    raw = own_mail.text_mail(sender, recipients, told.subject, told.text, b"Auto-Submitted: auto-generated\r\n")
    submission = gate.Submission(raw, "", recipients, not_before=now, urgent=True, category="notice", via="notice")
    rows = gate.prepare(submission, now)
    rows.message.account = account
    gate.store([rows])
    wake.wake_after_commit(account.pk if account else None)
    return rows.message
