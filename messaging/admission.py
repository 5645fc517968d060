"""What a person was let in with, and that it still holds where what they order is done.

A request is looked at when it comes in, and may take its time: meanwhile its person may be deactivated, lose their
role or be signed out. So whatever carries out an order of theirs says `ordered_by` where its transaction begins. That
locks their row, as what takes something from them does (users.change, sessions.end_all): one comes after the other.
Then it asks for their rights anew.

Rows of users are locked in one statement, in the order of their keys, and before all others but a schedule's and an
account's turn (lifecycle/limits.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, Value
from django.db.models.expressions import Combinable

from messaging.models import CompanyOptions, UserSession

ADMITTED = "admitted"  # attribute of the person at the browser


class AdmissionEnded(PermissionDenied):
    """The person who ordered it may not do so any more. `is_over`: they are signed in no more, and nothing was done.

    Of an order in parts, `done` is for how many messages it was carried out before.
    """

    def __init__(self, *, is_over: bool = False, done: int = 0) -> None:
        what = f"It was done for {done:,} message{'' if done == 1 else 's'}, and not for the others."
        words = "Your rights were changed while this was on its way."
        super().__init__(f"{words} {what if done else 'Nothing was done.'}")
        self.is_over = is_over and not done


@dataclass(frozen=True)
class Admission:
    """The permissions that a person had when their request came in, and the key of its session, if it has one.

    `sees_all`: by an option of the company's, and not by a permission, they saw everyone's messages.
    """

    rights: frozenset[str]
    session: int | None
    sees_all: bool = False


def admit(user: User, admission: Admission) -> None:
    """What this person orders counts only as long as that holds. Who was not let in by anyone, such as the author that
    a program names, is not asked.
    """
    setattr(user, ADMITTED, admission)


def is_admitted(user: User | None) -> bool:
    """Whether a person at a browser was let in as this user, so that there is something to confirm."""
    return hasattr(user, ADMITTED)


@contextmanager
def ordered_by(by: User | None, *others: User) -> Iterator[None]:
    """A transaction within which a person keeps the rights to order what is done in it; see confirm.

    Raises:
        AdmissionEnded: they have them no more.
    """
    with transaction.atomic():
        confirm(by, *others)
        yield


def confirm(by: User | None, *others: User | None) -> dict[int, User]:
    """The same, at the beginning of a transaction that is begun already; the rows of `others` are locked as well.

    Returns:
        the rows, by their keys.

    Raises:
        AdmissionEnded: as ordered_by.
    """
    admitted: Admission | None = getattr(by, ADMITTED, None)
    keys = {user.pk for user in others if user is not None}
    if by is not None and admitted is not None:
        keys.add(by.pk)
    if not keys:
        return {}
    rows = User.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk")
    found = {row.pk: row for row in rows}
    if by is not None and admitted is not None:
        _check(found.get(by.pk), admitted)
    return found


def _check(row: User | None, admitted: Admission) -> None:
    """With another statement than the one that waited for the lock: that one saw the groups as they were before."""
    if row is None or not row.is_active:
        raise AdmissionEnded(is_over=True)
    session = admitted.session
    signed_in = Value(True) if session is None else Exists(UserSession.objects.filter(pk=session, user=row))
    asked: list[Combinable] = [holds(name) for name in sorted(admitted.rights)] if not row.is_superuser else []
    if admitted.sees_all:
        asked.append(~Exists(CompanyOptions.objects.filter(operators_see_all=False)))
    is_signed_in, *held = User.objects.values_list(signed_in, *asked).get(pk=row.pk)
    if not is_signed_in:
        raise AdmissionEnded(is_over=True)
    if not all(held):
        raise AdmissionEnded


def holds(permission: str) -> Exists:
    """Whether a user has a permission, by a group or alone, for a statement about users."""
    of_this_user = Q(group__user=OuterRef("pk")) | Q(user=OuterRef("pk"))
    granted = Permission.objects.filter(content_type__app_label="messaging", codename=permission)
    return Exists(granted.filter(of_this_user))
