"""The people who may sign in: made, changed, given a new password; every change is kept with who made it."""

import secrets
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from messaging import admission, audit
from messaging.access import passwords, roles, sessions, sign_in_throttling
from messaging.audit import Action, Area, ChangedMeanwhile, Source, Subject
from messaging.company import options
from messaging.content.normal_forms import normalize
from messaging.models import AuditEntry, CompanyOptions, UserSession
from messaging.queue import offboarding
from messaging.wording import person

CONSONANTS = "bdfghklmnprstvz"
VOWELS = "aeiou"

TAKEN = "Another user has this user name. Choose another one."
DOTS_ALONE = "A user name needs a letter or a digit: dots alone mean another page in an address."
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
    username = normalize("NFKC", username)
    user = User(username=username, email=email, first_name=first_name, last_name=last_name)
    with transaction.atomic():
        _lock_admins(by)  # two administrators may add the same user
        if why := why_not_called(username, user):
            raise ValidationError({"username": why})
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
    """Give a user a new password and save; sessions with the old one end, and what was tried with
    wrong ones is forgotten.

    Args:
        here: the session in which they give it to themselves, which stays. Their old password was compared with the
            one of `user`.

    Raises:
        ValidationError: it is too weak.
        sessions.SessionEnded: they have another one by now, or that session has ended.
    """
    validate_password(password, user)
    compared = copy(user)
    with passwords.asked_by(sign_in_throttling.account_of(by.get_username()) if by else ""):
        user.set_password(password)
    with transaction.atomic():
        if here is not None:
            sessions.confirm(compared, here)
        admission.confirm(by, user)
        user.save(update_fields=["password"])
        audit.record(_subject(user), user, {"password": Action.SECRET_CHANGED}, Source(by, via))
        sessions.end_all(user, but=here)
        sign_in_throttling.clear(user.get_username())


def sign_out(user: User, *, by: User, session: int | None = None) -> int:
    """End the sessions of a user for good, or the one of that number; how many there were."""
    with transaction.atomic():
        admission.confirm(by, user)
        number = sessions.end_all(user) if session is None else int(sessions.end(user, session))
        if number:
            kept = {"number": number, "all": session is None}
            audit.record(_subject(user), SimpleNamespace(signed_out=None), {"signed_out": kept}, Source(by))
    return number


def end_delay(user: User, *, by: User) -> None:
    """Let a user try to sign in again at once."""
    with admission.ordered_by(by):
        if sign_in_throttling.clear(user.get_username()):
            sign_in_throttling.record(_subject(user), {"what": "cleared"}, Source(by))


def end_delay_of(address: str, *, by: User) -> None:
    """Let all users of an address try to sign in again at once."""
    with admission.ordered_by(by):
        if sign_in_throttling.clear_address(address):
            sign_in_throttling.record(Subject(Area.USERS, "", address), {"what": "cleared"}, Source(by))


@dataclass(frozen=True)
class Change:
    """What changed of a user, whether they may send again, and what became of what was under way in their name, where
    that was decided.
    """

    entries: list[AuditEntry]
    may_send_again: bool = False
    left: offboarding.Outcome | None = None


def version_of(pk: int) -> int:
    """Grows with each change of the user of that number."""
    return audit.version_of(Area.USERS, str(pk))


def change(
    user: User,
    values: Mapping[str, Any],
    *,
    by: User,
    decision: offboarding.Decision | None = None,
    seen: int | None = None,
) -> Change:
    """Set some of FIELDS and `role` of a user; what is so already is left alone. Deactivating, and another role, end
    the sessions of the user.

    Args:
        seen: the version that the values are based on; None: the present one.
        decision: what becomes of what is under way in their name, where they may not send any more.

    Raises:
        ChangedMeanwhile: another person changed the user.
        NotAllowed: no administrator would be left, a person would shut themselves out, or the name cannot be theirs.
        offboarding.Undecided: something is under way in their name with no decision, or more than it covers.
        offboarding.BadSuccessor: it cannot be passed on to that account.
    """
    if "username" in values:  # the sign-in looks for the normal form
        values = {**values, "username": normalize("NFKC", values["username"])}
    with transaction.atomic():
        # One change at a time: two administrators must not take the role from each other. (Not a lock that keeps lanes
        # from writing down what they did with this account: they may hold messages that are wanted here.)
        user = _lock_admins(by, user)[user.pk]
        version = version_of(user.pk)
        if seen is not None and seen != version:
            raise ChangedMeanwhile(changes_since(user, seen))
        row = SimpleNamespace(role=roles.given(user), **{name: getattr(user, name) for name in FIELDS})
        subject = Subject(Area.USERS, str(user.pk), values.get("username", user.get_username()))
        found = audit.record(subject, row, values, Source(by), version=version + 1)
        changed = {entry.field: entry.after for entry in found}
        _check(user, changed, by)
        could_send = roles.may_send(user)
        if "role" in changed:
            roles.give(user, row.role)
        left = _leave(user, could_send, changed, subject, decision, by)
        if "username" in changed:
            _take_senders_along(user.get_username(), row.username, by)
        for name in FIELDS:
            setattr(user, name, getattr(row, name))
        user.save()
        may_send_again = not could_send and roles.may_send(user)
        if may_send_again:
            offboarding.call_back(user)
        if "role" in changed or changed.get("is_active") is False:
            sessions.end_all(user)  # for good: they sign in again with what they may do now
        return Change(found, may_send_again, left)


def _take_senders_along(before: str, after: str, by: User) -> None:
    """The addresses that were listed for a user by name stay theirs, and go to no one who is given that name later."""
    company = CompanyOptions.objects.select_for_update(of=("self",)).first()
    if company is None:
        return
    listed = [line.partition(" ") for line in company.user_senders.splitlines()]
    lines = [f"{after if name == before else name} {address}" for name, _, address in listed]
    options.save({"user_senders": "\n".join(dict.fromkeys(lines))}, by=by)


def _leave(
    user: User,
    could_send: bool,
    changed: Mapping[str, Any],
    subject: Subject,
    decision: offboarding.Decision | None,
    by: User,
) -> offboarding.Outcome | None:
    """See to what is under way where this change takes from a user the right to send, or to sign in; they have the new
    role already.
    """
    is_deactivated = changed.get("is_active") is False
    if not is_deactivated and (not could_send or roles.may_send(user)):
        return None
    found = offboarding.under_way(user)
    if not found:
        return None
    if decision is None:
        raise offboarding.Undecided(found)
    left = offboarding.settle(user, decision, is_inactive=is_deactivated, by=by)
    successor = decision.successor
    kept = {"choice": decision.choice.value, "messages": left.done, "sending": left.sending}
    if decision.choice == offboarding.Choice.PASS_ON:
        kept["to"] = successor and {"id": successor.pk, "name": person(successor)}
    audit.record(subject, SimpleNamespace(under_way=None), {"under_way": kept}, Source(by))
    return left


def _lock_admins(by: User | None, *others: User) -> dict[int, User]:
    """Lock the rows of all administrators, and of others; by their keys. Raises admission.AdmissionEnded."""
    return admission.confirm(by, *roles.admins(), *others)


def why_not_called(name: str, user: User) -> str:
    """Why a user cannot be given a name; "" when they can. It is taken when another has one like it."""
    if name and not name.strip("."):  # browsers take "." and ".." out of an address, and ask for another page
        return DOTS_ALONE
    return TAKEN if _is_taken(name, user) else ""


def _is_taken(name: str, user: User) -> bool:
    """Whether another user than `user` has a name that people take for the same: in upper or lower case, with ss for ß,
    with the same letters in another form. Who has such a name already keeps it.
    """
    names = dict(User.objects.values_list("pk", "username"))
    if names.pop(user.pk, None) == name:
        return False
    return _as_read(name) in map(_as_read, names.values())


def _as_read(name: str) -> str:
    return normalize("NFKC", normalize("NFKC", name).casefold())


def _check(user: User, wanted: Mapping[str, Any], by: User) -> None:
    if "username" in wanted and (why := why_not_called(wanted["username"], user)):
        raise NotAllowed("username", why)
    leaves = wanted.get("is_active") is False
    if leaves and user.pk == by.pk:
        raise NotAllowed("is_active", "You cannot deactivate yourself. Ask another administrator to do it.")
    if not leaves and wanted.get("role", roles.ADMIN) == roles.ADMIN:
        return
    if list(roles.admins().values_list("pk", flat=True)) == [user.pk]:
        field = "is_active" if leaves else "role"
        raise NotAllowed(field, "This is the last active administrator. Make another user administrator first.")


def changes_since(user: User, version: int) -> QuerySet[AuditEntry]:
    """What was changed of a user after a version."""
    return audit.since(version, Area.USERS, key=str(user.pk))


def newest_entry() -> int:
    """The number of the last change of any user, for `renamed_since`."""
    return log().order_by("-pk").values_list("pk", flat=True).first() or 0


def renamed_since(entry: int) -> set[str]:
    """The names that users had, or have, who were renamed after the change of that number."""
    renamed = log().filter(field="username", pk__gt=entry, action=Action.CHANGED)
    return {str(name) for names in renamed.values_list("before", "after") for name in names}


def log(user: User | None = None) -> QuerySet[AuditEntry]:
    """Every change of a user (or of any), the latest first."""
    return audit.log(Area.USERS, key=str(user.pk) if user else None)


def _subject(user: User) -> Subject:
    return Subject(Area.USERS, str(user.pk), user.get_username())
