"""The people who may sign in: made, changed, given a new password; every change is kept with who made it."""

import secrets
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from messaging import roles
from messaging.models import SettingChange

CONSONANTS = "bdfghklmnprstvz"
VOWELS = "aeiou"

FIELDS = ("username", "first_name", "last_name", "email", "is_active")
# As the log names them; none is a name of Email Setup, whose log is another one.
NAMES = {
    "username": "sign-in name",
    "first_name": "first name",
    "last_name": "last name",
    "email": "e-mail",
    "is_active": "active",
    "role": "role",
}
MADE, PASSWORD = "user", "sign-in password"


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
    password: str,
    *,
    role: str = roles.OPERATOR,
    email: str = "",
    first_name: str = "",
    last_name: str = "",
    by: User | None = None,
    via: str = "",
) -> User:
    """Make a user with a role ("" for none), into the log of changes.

    Args:
        by: who; None is a command, named by `via`.

    Raises:
        ValidationError: the name is not allowed or taken, or the password is too weak.
    """
    user = User(username=username, email=email, first_name=first_name, last_name=last_name)
    with transaction.atomic():
        _save_password(user, password)
        roles.give(user, role)
        _record(user, MADE, "", role or "no role", by, via)
    return user


def set_password(user: User, password: str, *, by: User | None = None, via: str = "") -> None:
    """Give a user a new password and save; whoever is signed in with the old one is signed out.

    Raises:
        ValidationError: it is too weak.
    """
    with transaction.atomic():
        _save_password(user, password)
        _record(user, PASSWORD, "", "changed", by, via)


def _save_password(user: User, password: str) -> None:
    validate_password(password, user)
    user.set_password(password)
    user.full_clean()
    user.save()


def change(user: User, values: Mapping[str, Any], *, by: User) -> list[SettingChange]:
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
        before = {name: getattr(user, name) for name in FIELDS} | {"role": roles.given(user)}
        wanted = {name: value for name, value in values.items() if value != before[name]}
        _check(user, wanted, by)
        for name in wanted.keys() & set(FIELDS):
            setattr(user, name, wanted[name])
        user.save()
        if "role" in wanted:
            roles.give(user, wanted["role"])
        return [_record(user, NAMES[name], _told(before[name]), _told(value), by) for name, value in wanted.items()]


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


def _told(value: Any) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else value or "none"


def _record(user: User, name: str, before: str, after: str, by: User | None, via: str = "") -> SettingChange:
    return SettingChange.objects.create(
        account=user, whose=user.get_username(), name=name, before=before, after=after, version=0,
        at=timezone.now(), by=by, via=via,
    )  # fmt: skip


def log() -> QuerySet[SettingChange]:
    """Every change of a user, the latest first."""
    names = [MADE, PASSWORD, *NAMES.values()]
    return SettingChange.objects.filter(name__in=names).select_related("by", "account").order_by("-pk")
