"""The people who may sign in: made, changed, given a new password; every change is kept with who made it."""

import secrets
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.db.models import QuerySet

from messaging import audit, roles
from messaging.audit import Action, Area, Source, Subject
from messaging.models import AuditEntry

CONSONANTS = "bdfghklmnprstvz"
VOWELS = "aeiou"

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
        if password is not None:
            validate_password(password, user)
        user.set_password(password)
        user.full_clean()
        user.save()
        roles.give(user, role)
        values = {name: getattr(user, name) for name in FIELDS} | {"role": role}
        audit.created(_subject(user), values, Source(by, via))
    return user


def set_password(user: User, password: str, *, by: User | None = None, via: str = "") -> None:
    """Give a user a new password and save; whoever is signed in with the old one is signed out.

    Raises:
        ValidationError: it is too weak.
    """
    validate_password(password, user)
    user.set_password(password)
    with transaction.atomic():
        user.save(update_fields=["password"])
        audit.record(_subject(user), user, {"password": Action.SECRET_CHANGED}, Source(by, via))


def change(user: User, values: Mapping[str, Any], *, by: User) -> list[AuditEntry]:
    """Set some of FIELDS and `role` of a user; what is so already is left alone.

    Returns:
        What changed.

    Raises:
        NotAllowed: nobody would be left who administers, or somebody would shut themselves out.
    """
    with transaction.atomic():
        # One change at a time: two administrators must not take the role from each other.
        _lock_admins()
        user = User.objects.select_for_update().get(pk=user.pk)
        row = SimpleNamespace(role=roles.given(user), **{name: getattr(user, name) for name in FIELDS})
        subject = Subject(Area.USERS, str(user.pk), values.get("username", user.get_username()))
        found = audit.record(subject, row, values, Source(by))
        changed = {entry.field: entry.after for entry in found}
        _check(user, changed, by)
        for name in FIELDS:
            setattr(user, name, getattr(row, name))
        user.save()
        if "role" in changed:
            roles.give(user, row.role)
        return found


def _lock_admins() -> None:
    admins = roles.admins().order_by().values_list("pk", flat=True)
    list(User.objects.filter(pk__in=list(admins)).select_for_update().order_by("pk").values_list("pk", flat=True))


def _check(user: User, wanted: Mapping[str, Any], by: User) -> None:
    leaves = wanted.get("is_active") is False
    if leaves and user.pk == by.pk:
        raise NotAllowed("is_active", "You cannot deactivate yourself. Ask another administrator to do it.")
    if not leaves and wanted.get("role", roles.ADMIN) == roles.ADMIN:
        return
    if list(roles.admins().values_list("pk", flat=True)) == [user.pk]:
        field = "is_active" if leaves else "role"
        raise NotAllowed(field, "This is the last active administrator. Make somebody else administrator first.")


def log(user: User | None = None) -> QuerySet[AuditEntry]:
    """Every change of a user (or of any), the latest first."""
    return audit.log(Area.USERS, key=str(user.pk) if user else None)


def _subject(user: User) -> Subject:
    return Subject(Area.USERS, str(user.pk), user.get_username())
