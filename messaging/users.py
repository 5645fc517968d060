"""The people who may sign in: made, changed, given a new password; every change is kept with who made it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.db.models import QuerySet

from messaging import audit, leaving, roles, sessions, sign_ins
from messaging.audit import Action, Area, ChangedMeanwhile, Source, Subject
from messaging.models import AuditEntry, UserSession
from messaging.wording import person

CONSONANTS = "bdfghklmnprstvz"
VOWELS = "aeiou"

TAKEN = "Somebody else has this user name. Choose another one."
SENDERS = (roles.OPERATOR, roles.ADMIN)
FIELDS = ("username", "first_name", "last_name", "email", "is_active")


class NotAllowed(Exception):
    """In plain words: why a user cannot be changed so; `field` is the one that is wrong."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


def readable_password() -> str:
    """A random password that can be read out and typed: four groups such as `rako-7`, about 60 bits."""
    return "-".join(_group() for _ in range(4))


def _group() -> str:
    letters = "".join(secrets.choice(letters) for letters in (CONSONANTS, VOWELS, CONSONANTS, VOWELS))
    return letters + secrets.choice("23456789")


def create(
    username: str,
    password: str | None,
    *,
    role: str = roles.OPERATOR,
    email: str = "",
    first_name: str = "",
    last_name: str = "",
    by: User | None = None,
    via: str = "",
) -> User:
    """Make a user with a role ("" for none), into the audit log.

    Args:
        password: None: the user cannot sign in before they are given one.
        by: who; None is a command, named by `via`.

    Raises:
        ValidationError: the name is not allowed or taken, or the password is too weak.
    """
    user = User(username=username, email=email, first_name=first_name, last_name=last_name)
    with transaction.atomic():
        _lock_admins()  # two administrators may add the same user
        if password is not None:
            validate_password(password, user)
        user.set_password(password)
        user.full_clean()
        user.save()
        roles.give(user, role)
        values = {name: getattr(user, name) for name in FIELDS} | {"role": role}
        audit.created(_subject(user), values, Source(by, via))
    return user


def set_password(
    user: User, password: str, *, by: User | None = None, via: str = "", here: UserSession | None = None
) -> None:
    """Give a user a new password and save; whoever is signed in with the old one is signed out, and what was tried with
    wrong ones is forgotten.

    Args:
        here: the session in which they give it to themselves, which goes on.

    Raises:
        ValidationError: it is too weak.
    """
    validate_password(password, user)
    user.set_password(password)
    with transaction.atomic():
        user.save(update_fields=["password"])
        audit.record(_subject(user), user, {"password": Action.SECRET_CHANGED}, Source(by, via))
        sessions.end_all(user, but=here)
        sign_ins.clear(user.get_username())


def sign_out(user: User, *, by: User, session: int | None = None) -> int:
    """End the sessions of a user for good, or the one of that number; how many there were."""
    with transaction.atomic():
        number = sessions.end_all(user) if session is None else int(sessions.end(user, session))
        if number:
            kept = {"number": number, "all": session is None}
            audit.record(_subject(user), SimpleNamespace(signed_out=None), {"signed_out": kept}, Source(by))
    return number


def end_delay(user: User, *, by: User) -> None:
    """Let a user try to sign in again at once."""
    if sign_ins.clear(user.get_username()):
        sign_ins.record(_subject(user), {"what": "cleared"}, Source(by))


def end_delay_of(address: str, *, by: User) -> None:
    """Let all users of an address try to sign in again at once."""
    if sign_ins.clear_address(address):
        sign_ins.record(Subject(Area.USERS, "", address), {"what": "cleared"}, Source(by))


@dataclass(frozen=True)
class Change:
    """What changed of a user, and what became of what was under way in their name, where that was decided."""

    entries: list[AuditEntry]
    left: leaving.Outcome | None = None


def version_of(user: User) -> int:
    """Grows with each change of a user."""
    return audit.version_of(Area.USERS, str(user.pk))


def change(
    user: User,
    values: Mapping[str, Any],
    *,
    by: User,
    decision: leaving.Decision | None = None,
    seen: int | None = None,
) -> Change:
    """Set some of FIELDS and `role` of a user; what is so already is left alone. Deactivating, and another role, end
    the sessions of the user.

    Args:
        seen: the version that the values are based on; None: the present one.
        decision: what becomes of what is under way in their name, where they may not send any more.

    Raises:
        ChangedMeanwhile: another person changed the user.
        NotAllowed: no administrator would be left, a person would shut themselves out, or the name is taken.
        leaving.Undecided: something is under way in their name, and there is no decision.
        leaving.BadSuccessor: it cannot be passed on to that account.
    """
    with transaction.atomic():
        # One change at a time: two administrators must not take the role from each other. (Not a lock that keeps lanes
        # from writing down what they did with this account: they may hold messages that are wanted here.)
        _lock_admins()
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        version = version_of(user)
        if seen is not None and seen != version:
            raise ChangedMeanwhile(changes_since(user, seen))
        row = SimpleNamespace(role=roles.given(user), **{name: getattr(user, name) for name in FIELDS})
        subject = Subject(Area.USERS, str(user.pk), values.get("username", user.get_username()))
        found = audit.record(subject, row, values, Source(by), version=version + 1)
        changed = {entry.field: entry.after for entry in found}
        _check(user, changed, by)
        left = _leave(user, row, changed, subject, decision, by)
        for name in FIELDS:
            setattr(user, name, getattr(row, name))
        user.save()
        if "role" in changed:
            roles.give(user, row.role)
        if "role" in changed or changed.get("is_active") is False:
            sessions.end_all(user)  # for good: they sign in again with what they may do now
        return Change(found, left)


def _leave(
    user: User,
    row: SimpleNamespace,
    changed: Mapping[str, Any],
    subject: Subject,
    decision: leaving.Decision | None,
    by: User,
) -> leaving.Outcome | None:
    """See to what is under way where this change takes from a user the right to send, or to sign in."""
    is_deactivated = changed.get("is_active") is False
    is_demoted = user.is_active and roles.given(user) in SENDERS and row.role not in SENDERS
    if not (is_deactivated or is_demoted):
        return None
    found = leaving.under_way(user)
    if not found:
        return None
    if decision is None:
        raise leaving.Undecided(found)
    left = leaving.settle(user, decision, is_inactive=is_deactivated, by=by)
    successor = decision.successor
    kept = {"choice": decision.choice.value, "messages": left.done, "sending": left.sending}
    if decision.choice == leaving.Choice.PASS_ON:
        kept["to"] = successor and {"id": successor.pk, "name": person(successor)}
    audit.record(subject, SimpleNamespace(under_way=None), {"under_way": kept}, Source(by))
    return left


def _lock_admins() -> None:
    admins = User.objects.filter(pk__in=list(roles.admins().order_by().values_list("pk", flat=True)))
    list(admins.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))


def is_taken(name: str, user: User) -> bool:
    """Whether another user than `user` has a name, in upper or lower case."""
    return User.objects.filter(username__iexact=name).exclude(pk=user.pk).exists()


def _check(user: User, wanted: Mapping[str, Any], by: User) -> None:
    if "username" in wanted and is_taken(wanted["username"], user):
        raise NotAllowed("username", TAKEN)
    leaves = wanted.get("is_active") is False
    if leaves and user.pk == by.pk:
        raise NotAllowed("is_active", "You cannot deactivate yourself. Ask another administrator to do it.")
    if not leaves and wanted.get("role", roles.ADMIN) == roles.ADMIN:
        return
    if list(roles.admins().values_list("pk", flat=True)) == [user.pk]:
        field = "is_active" if leaves else "role"
        raise NotAllowed(field, "This is the last active administrator. Make somebody else administrator first.")


def changes_since(user: User, version: int) -> QuerySet[AuditEntry]:
    """What was changed of a user after a version."""
    return audit.since(version, Area.USERS, key=str(user.pk))


def log(user: User | None = None) -> QuerySet[AuditEntry]:
    """Every change of a user (or of any), the latest first."""
    return audit.log(Area.USERS, key=str(user.pk) if user else None)


def _subject(user: User) -> Subject:
    return Subject(Area.USERS, str(user.pk), user.get_username())
