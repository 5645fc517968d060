"""Roles: Viewer, Operator, Administrator, as Django groups with real permissions.

A user without one may look at nothing. Superusers may do everything. A person whose role was taken away is in the group
LEFT, which permits nothing; so they are told apart from a program's account, which never had a role.
"""

import functools
from dataclasses import dataclass
from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject
from django.http import HttpRequest

from messaging import admission
from messaging.access import sign_in_throttling
from messaging.company.options import options
from messaging.models import CompanyOptions, Message

VIEWER, OPERATOR, ADMIN = "Viewer", "Operator", "Administrator"
ROLES = (VIEWER, OPERATOR, ADMIN)
LEFT = "Role taken away"
LONGEST_NAME = 150  # of a user
SENDS_NOTHING = (VIEWER, LEFT)
VIEW, OPERATE, ADMINISTER = "view_message", "operate_message", "change_companyoptions"
READ_WITH_USER = "read_with_user"  # the attribute of the person at the browser that has a ReadWithUser
OPTIONS = {
    field.attname: field
    for field in CompanyOptions._meta.concrete_fields
    if field.name not in ("updated_at", "updated_by")
}
PERMISSIONS = {VIEWER: (VIEW,), OPERATOR: (VIEW, OPERATE), ADMIN: (VIEW, OPERATE, ADMINISTER)}


@dataclass(frozen=True)
class ReadWithUser:
    """What each page asks about the person at the browser, read in one statement with their row (RoleBackend)."""

    company: CompanyOptions
    permissions: frozenset[str]
    has_second_factor: bool

    @classmethod
    def of(cls, user: User) -> "ReadWithUser | None":
        """None: another way read them, so each question takes a statement."""
        return getattr(user, READ_WITH_USER, None)


def may_view(user: User) -> bool:
    """Whether a person may look at messages."""
    return user.has_perm(f"messaging.{VIEW}")


def may_operate(user: User) -> bool:
    """Whether a person may write, hold, release, correct, send and cancel messages."""
    return user.has_perm(f"messaging.{OPERATE}")


def is_admin(user: User) -> bool:
    """Whether a person may change the setup pages, and what concerns everyone."""
    return user.has_perm(f"messaging.{ADMINISTER}")


def sees_all(user: User) -> bool:
    """Whether a person sees everyone's messages; administrators do, others as the company's options say."""
    if is_admin(user):
        return True
    return company_of(user).operators_see_all


def visible_messages(user: User) -> QuerySet[Message]:
    """The messages that a person may see, and so act on: everyone's, or those they are the author of."""
    return Message.objects.all() if sees_all(user) else Message.objects.filter(author=user)


def company_of(user: User) -> CompanyOptions:
    """The company's options: those read with the person at the browser, or as they are now."""
    read = ReadWithUser.of(user)
    return read.company if read is not None else options()


def has_second_factor(user: User) -> bool:
    """Whether a person enters with a code as well: as read with the person at the browser, or as it is now."""
    read = ReadWithUser.of(user)
    return read.has_second_factor if read is not None else with_second_factor().filter(user=user).exists()


def read_again(user: User) -> None:
    """What was read with this person may have changed: it is asked for anew."""
    if ReadWithUser.of(user) is not None:
        delattr(user, READ_WITH_USER)


def with_second_factor() -> QuerySet[Authenticator]:
    """The authenticator apps, one of each user who has one; `user_id` says whose."""
    apps: QuerySet[Authenticator] = Authenticator.objects.filter(type=Authenticator.Type.TOTP)
    return apps


def admit(user: User, session: int | None) -> None:
    """Let a person in with the rights they have now: what they order is done only while they keep them."""
    rights = frozenset(name for name in PERMISSIONS[ADMIN] if user.has_perm(f"messaging.{name}"))
    admission.admit(user, admission.Admission(rights, session, sees_all=not is_admin(user) and sees_all(user)))


def role_of(user: User) -> str:
    """The name of a person's role; "" for none."""
    if not user.is_active:
        return ""
    held = [(ADMINISTER, ADMIN), (OPERATE, OPERATOR), (VIEW, VIEWER)]
    return next((role for permission, role in held if user.has_perm(f"messaging.{permission}")), "")


def given(user: User) -> str:
    """The role that someone was given, also while they may not sign in; "" for none."""
    if user.is_superuser:
        return ADMIN
    held = {group.name for group in user.groups.all()}
    return next((role for role in reversed(ROLES) if role in held), "")


def give(user: User, role: str) -> None:
    """Make `role` the only role of a saved user; "" takes it away, and nothing goes out with their account any more."""
    with transaction.atomic():
        had_one = bool(given(user))
        if role:
            user.groups.remove(*Group.objects.filter(name__in=(*ROLES, LEFT)))
            user.groups.add(Group.objects.get(name=role))
        elif had_one:
            user.groups.remove(*Group.objects.filter(name__in=ROLES))
            user.groups.add(Group.objects.get_or_create(name=LEFT)[0])
        if user.is_superuser and role != ADMIN:
            user.is_superuser = False
            user.save(update_fields=["is_superuser"])
    for cache in ("_perm_cache", "_user_perm_cache", "_group_perm_cache"):
        user.__dict__.pop(cache, None)
    read_again(user)


def admins() -> QuerySet[User]:
    """The people who are administrators and may sign in."""
    return _holding(ADMINISTER)


def may_send(user: User) -> bool:
    """Whether mail may go out with an account: it is active, and that of an operator or administrator; or of a
    program, which needs no role.
    """
    return user.is_active and (may_operate(user) or not user.groups.filter(name__in=SENDS_NOTHING).exists())


def may_get_notices(user: User) -> bool:
    """Whether an author is told what became of their messages: who may look at them, and a program's account, which
    needs no role; no one who was deactivated, or whose role was taken away.
    """
    return user.is_active and (may_view(user) or not user.groups.filter(name=LEFT).exists())


def senders() -> QuerySet[User]:
    """The accounts that mail may go out with; the same as may_send, for the database."""
    operators = _holding(OPERATE).order_by().values("pk")
    return User.objects.filter(Q(pk__in=operators) | ~Q(groups__name__in=SENDS_NOTHING), is_active=True)


def _holding(permission: str) -> QuerySet[User]:
    permitted = Permission.objects.filter(content_type__app_label="messaging", codename=permission)
    of_group = Q(groups__permissions__in=permitted) | Q(user_permissions__in=permitted)
    return User.objects.filter(Q(is_superuser=True) | of_group, is_active=True).distinct().order_by("username")


def make_groups(**kwargs: Any) -> None:
    """After a migration: make the groups that are missing; users from before there were any get a role."""
    if Group.objects.filter(name__in=ROLES).count() == len(ROLES):
        return
    is_first = not Group.objects.filter(name__in=ROLES).exists()
    found = {each.codename: each for each in Permission.objects.filter(content_type__app_label="messaging")}
    for role in ROLES:
        group, is_new = Group.objects.get_or_create(name=role)
        if is_new:
            group.permissions.set(found[name] for name in PERMISSIONS[role] if name in found)
    if is_first:
        for user in User.objects.filter(groups=None):
            give(user, ADMIN if user.is_staff or user.is_superuser else OPERATOR)


class RoleBackend(ModelBackend):
    """Django's own, but the person at the browser is read with what each page asks about them (ReadWithUser). Every
    password is compared here, whatever page asks for it, and wrong ones are counted.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Raises sign_in_throttling.TooSoon."""
        if username is None or password is None or len(username) > LONGEST_NAME:  # which is no one's
            return None
        compare = super().authenticate
        return sign_in_throttling.counted(
            request, username, lambda: compare(request, username=username, password=password)
        )

    def get_user(self, user_id: Any) -> User | None:
        user = _people().filter(pk=user_id).first()
        if user is None or not self.user_can_authenticate(user):
            return None
        saved = getattr(user, _COMPANY) or {"version": 0}
        read = ReadWithUser(
            company=CompanyOptions(**{name: OPTIONS[name].to_python(value) for name, value in saved.items()}),
            permissions=frozenset(name for name in PERMISSIONS[ADMIN] if getattr(user, _held(name))),
            has_second_factor=getattr(user, _SECOND_FACTOR),
        )
        setattr(user, READ_WITH_USER, read)
        return user

    def has_perm(self, user_obj: Any, perm: str, obj: Model | None = None) -> bool:
        app, _, name = perm.partition(".")
        read = ReadWithUser.of(user_obj)
        if read is None or app != "messaging" or name not in PERMISSIONS[ADMIN] or obj is not None:
            return super().has_perm(user_obj, perm, obj)
        return user_obj.is_active and name in read.permissions


_COMPANY, _SECOND_FACTOR = "company_read", "second_factor_read"  # columns of the statement


def _held(permission: str) -> str:
    """The column for whether a user holds a permission."""
    return f"{permission}_read"


@functools.cache
def _people() -> QuerySet[User]:
    """Made once: putting this statement together takes longer than asking the database."""
    columns: dict[str, Exists | Subquery] = {_held(name): admission.holds(name) for name in PERMISSIONS[ADMIN]}
    columns[_SECOND_FACTOR] = Exists(with_second_factor().filter(user=OuterRef("pk")))
    saved = CompanyOptions.objects.annotate(row=JSONObject(**{name: F(name) for name in OPTIONS})).values("row")
    columns[_COMPANY] = Subquery(saved[:1])
    return User.objects.annotate(**columns)
