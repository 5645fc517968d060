"""Make notices of what waits to be told: one for everyone's business, and one for each author about their own."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Min

from messaging.access import roles
from messaging.company.options import notice_rules, options
from messaging.delivery.store.group_commit import is_away
from messaging.intake.addresses import envelope_address
from messaging.intake.errors import BadAddress
from messaging.models import CompanyOptions, Message, Notice, NoticeItem, NoticeRule

from . import relevance

log = logging.getLogger(__name__)

CHUNK = 5000
NOT_NEEDED = [
    f"message__{field.name}"
    for field in Message._meta.concrete_fields
    if field.name not in ("id", "reason", *relevance.FIELDS)
]


@dataclass(frozen=True)
class Audience:
    """To whom (None: those who look after the queue) which items are told, and which addresses get a mail."""

    author: User | None
    items: list[NoticeItem]
    mail_to: list[str]


def make_notices(now: datetime) -> bool:
    """Tell each kind whose oldest item has waited for as long as its rule says; whether a mail is due now."""
    _follow(now)
    rules, has_mail = notice_rules(), False
    waiting = NoticeItem.objects.filter(told_at=None).order_by().values("kind").annotate(oldest=Min("at"))
    for row in waiting:
        rule = rules[row["kind"]]
        if not rule.is_on or row["oldest"] <= now - timedelta(minutes=rule.window_minutes):
            try:
                has_mail = _tell_kind(rule, now) or has_mail
            except Exception as error:  # the other kinds are told all the same; the next sweep tries this one again
                if is_away(error):
                    raise
                log.exception("notices of “%s” were not made", rule)
    return has_mail


def _follow(now: datetime) -> None:
    """Let what waits to be told be what its message has become: of another kind, or nothing to tell.

    In the order of the messages, as everyone locks them. A message that may fail again is noted again then.
    """
    moved = relevance.moved_on().select_related("message").defer(*NOT_NEEDED).order_by("message_id", "pk")
    with transaction.atomic():
        for item in moved.select_for_update(of=("self",), skip_locked=True)[:CHUNK]:
            message = item.message
            assert message is not None
            kind = relevance.kind_of(message)
            # As it was read: what changes at this moment is looked at by the next sweep.
            noted = Message.objects.filter(pk=message.pk, status=message.status, notified_at=message.notified_at)
            is_to_be_renoted = message.notified_at is None or (kind is None and noted.update(notified_at=None))
            if item.is_renoted or is_to_be_renoted:
                NoticeItem.objects.filter(pk=item.pk).update(told_at=now)
            elif kind is not None:
                NoticeItem.objects.filter(pk=item.pk).update(kind=kind, at=now)


def _tell_kind(rule: NoticeRule, now: datetime) -> bool:
    company = options()
    with transaction.atomic():
        # Not skipping what is locked: the other sweep tells all of it, in one notice.
        rows = NoticeItem.objects.filter(kind=rule.kind, told_at=None).order_by("pk")
        rows = rows.select_related("author", "message", "pause").defer(*NOT_NEEDED)
        items = list(rows.select_for_update(of=("self",)))
        still = [item for item in items if relevance.is_so(item)]
        # What becomes of a message that moves on at this moment the next sweep tells; a pause that is over, no one.
        ids = [item.pk for item in items if item.message is None or relevance.is_so(item)]
        for start in range(0, len(ids), CHUNK):
            NoticeItem.objects.filter(pk__in=ids[start : start + CHUNK]).update(told_at=now)
        if not rule.is_on:
            return False
        _read_reasons(still)
        made = [_make(rule, audience, now) for audience in _audiences(rule, still, company)]
        return any(notice.mail_due for notice in made)


def _read_reasons(items: list[NoticeItem]) -> None:
    """The reason may be another one by now: the same words have refused others since, or a person has answered."""
    changed = []
    for item in items:
        about = item.pause or item.message
        if about is not None and about.reason != item.reason:
            item.reason = about.reason
            changed.append(item)
    NoticeItem.objects.bulk_update(changed, ["reason"], batch_size=500)


def _audiences(rule: NoticeRule, items: list[NoticeItem], company: CompanyOptions) -> Iterator[Audience]:
    if not items:
        return
    admins = list(roles.admins()) if rule.to_admins else []
    told = _addresses_of_all(rule, admins, company)
    by_author: dict[User, list[NoticeItem]] = {}
    nobodys = []
    for item in items:
        if item.author is not None:
            by_author.setdefault(item.author, []).append(item)
        else:
            nobodys.append(item)
    for author in [each for each in by_author if not roles.may_get_notices(each)]:
        nobodys += by_author.pop(author)
    if rule.to_admins or rule.to_company or not rule.to_author:
        yield Audience(None, items, told)
    elif nobodys:  # no one is the author, or no one who may be told: it must not go unseen
        yield Audience(None, nobodys, [])
    if rule.to_author:
        for author, own in by_author.items():
            if author not in admins:
                yield Audience(author, own, _addresses_of(author, told))


def mailed_to(rule: NoticeRule, author: User | None, company: CompanyOptions) -> list[str]:
    """The addresses that a notice is mailed to as things stand: its author’s, or those that look after the queue."""
    admins = list(roles.admins()) if rule.to_admins else []
    told = _addresses_of_all(rule, admins, company)
    if author is None:
        return told
    return _addresses_of(author, told) if rule.to_author and author not in admins else []


def _addresses_of_all(rule: NoticeRule, admins: list[User], company: CompanyOptions) -> list[str]:
    return _addresses([*(admin.email for admin in admins), company.company_address if rule.to_company else ""])


def _addresses_of(author: User, told: list[str]) -> list[str]:
    return [each for each in _addresses([author.email]) if each not in told]


def _addresses(given: Iterable[str]) -> list[str]:
    """Those that mail can go to, each once, however it is written."""
    found: dict[str, str] = {}
    for address in given:
        if not address:
            continue
        try:
            found.setdefault(address.strip().lower(), envelope_address(address))
        except BadAddress as error:
            log.warning("no notice goes to “%s”: %s", address, error)
    return list(found.values())


def _make(rule: NoticeRule, audience: Audience, now: datetime) -> Notice:
    notice = Notice.objects.create(
        kind=rule.kind,
        at=now,
        author=audience.author,
        mail_to="\n".join(audience.mail_to),
        mail_due=bool(audience.mail_to),
    )
    through = Notice.items.through
    through.objects.bulk_create(
        (through(notice_id=notice.pk, noticeitem_id=item.pk) for item in audience.items), batch_size=CHUNK
    )
    return notice
