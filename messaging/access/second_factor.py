"""The second factor of a sign-in: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for its loss.

Rows, QR code and recovery codes are django-allauth's; its secrets are encrypted with FIELD_ENCRYPTION_KEYS. The code of
an app is compared here, under a lock in the database: allauth remembers used codes in a cache, which is another one in
each process.

Beside allauth's `secret`, the `data` of an app's row has `last_step`, the time step of the last right code. Who asks
counts how often codes are tried (sign_ins.counted).
"""

import base64
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from messaging import admission, audit
from messaging.access import roles, sessions
from messaging.audit import Action, Area, Source, Subject
from messaging.content.normal_forms import normalize
from messaging.models import CompanyOptions, UserSession
from messaging.setup.secrets import decrypt, encrypt

PERIOD, DIGITS = 30, 6  # what every authenticator app takes for granted
SECRET_BYTES = 20
APP, RECOVERY = Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES


class WrongCode(Exception):
    """The code does not belong to the key, or not to this moment."""


class Overtaken(Exception):
    """The user has a second factor by now, or none any more."""


class Adapter(DefaultMFAAdapter):
    """How allauth encrypts, and what an authenticator app shows beside its codes (settings.MFA_ADAPTER)."""

    def encrypt(self, text: str) -> str:
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt(encrypted_text)

    def get_totp_label(self, user: User) -> str:
        return user.get_username()

    def get_totp_issuer(self) -> str:
        return "Outtray"


# --- Who has one, and who needs one -------------------------------------------------------------------------


def required_roles(company: CompanyOptions) -> list[str]:
    """The roles that cannot work without a second factor."""
    return company.second_factor_roles.splitlines()


def is_required(user: User, company: CompanyOptions | None = None) -> bool:
    """Whether the company's options want a second factor of this user."""
    needing = required_roles(company or roles.company_of(user))
    return bool(needing) and roles.role_of(user) in needing


def is_missing(user: User, company: CompanyOptions | None = None) -> bool:
    """Whether this user has to set one up before anything else."""
    return is_required(user, company) and not roles.has_second_factor(user)


def codes_left(user: User) -> int:
    """How many recovery codes are unused. Raises LostKey."""
    row = Authenticator.objects.filter(user=user, type=RECOVERY).first()
    return len(row.wrap().get_unused_codes()) if row else 0


# --- Set it up ----------------------------------------------------------------------------------------------


def new_key() -> str:
    """A key for an authenticator app, as it is typed: base32 (RFC 4648), 32 characters."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def picture(user: User, key: str) -> str:
    """The QR code for an authenticator app, as the address of an image (RFC 2397)."""
    adapter = Adapter()
    svg = adapter.build_totp_svg(adapter.build_totp_url(user, key))
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def switch_on(user: User, key: str, code: str, *, replaces: bool, here: UserSession | None = None) -> list[str]:
    """Ask for codes of this key from now on; the new recovery codes, which nothing shows again.

    The user's other sessions end: they were begun without it.

    Args:
        replaces: whether it takes the place of another, of which a code was asked.
        here: the session in which they do it, which stays.

    Raises:
        WrongCode: the app does not have the key, or its clock is wrong. Nothing was changed.
        Overtaken: there is another by now, or none. Nothing was changed.
        sessions.SessionEnded: they have another password by now, or that session has ended. Nothing was changed.
    """
    step = _step_of(key, code, last_step=0)
    if step is None:
        raise WrongCode
    with transaction.atomic():
        sessions.confirm(user, here)
        admission.confirm(user)
        if _delete(user) != replaces:
            raise Overtaken
        Authenticator.objects.create(user=user, type=APP, data={"secret": encrypt(key), "last_step": step})
        codes = _make_codes(user)
        _record(user, "second_factor", audit.of_secret(was_stored=replaces, is_stored=True), Source(user))
        sessions.end_all(user, but=here)
    roles.read_again(user)
    return codes


def renew_codes(user: User, *, here: UserSession | None = None) -> list[str]:
    """New recovery codes in place of the old ones; nothing shows them again. Raises SessionEnded, as switch_on."""
    with transaction.atomic():
        sessions.confirm(user, here)
        admission.confirm(user)
        Authenticator.objects.filter(user=user, type=RECOVERY).delete()
        codes = _make_codes(user)
        _record(user, "recovery_codes", Action.SECRET_CHANGED, Source(user))
    return codes


def switch_off(user: User, *, here: UserSession | None = None) -> None:
    """The user has no second factor any more, by their own wish. Raises SessionEnded, as switch_on."""
    with transaction.atomic():
        sessions.confirm(user, here)
        admission.confirm(user)
        if _delete(user):
            _record(user, "second_factor", Action.SECRET_REMOVED, Source(user))
    roles.read_again(user)


def reset(user: User, *, by: User | None = None, via: str = "") -> bool:
    """Take away the second factor of a user who lost it, and sign them out everywhere; whether there was one.

    Args:
        by: the administrator; None is a command, named by `via`.
    """
    with transaction.atomic():
        admission.confirm(by, user)
        if not _delete(user):
            return False
        _record(user, "second_factor", Action.SECRET_REMOVED, Source(by, via))
        sessions.end_all(user)
    return True


@contextmanager
def held(user: User) -> Iterator[int | None]:
    """A transaction in which no one changes a user's second factor; the number of the app that they have, if any.

    Who switches it on ends the sessions there are: what begins one looks, and writes it, within this.
    """
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
        yield app_of(user)


def app_of(user: User) -> int | None:
    """The number of the authenticator app that a user has; another app has another one."""
    return roles.with_second_factor().filter(user=user).values_list("pk", flat=True).first()


def _delete(user: User) -> bool:
    """Whether there was one."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    had_one: bool = Authenticator.objects.filter(user=user, type=APP).exists()
    Authenticator.objects.filter(user=user).delete()
    return had_one


def _make_codes(user: User) -> list[str]:
    codes = Authenticator(type=RECOVERY).wrap().activate(user).generate_codes()
    return [f"{code[:4]} {code[4:]}" for code in codes]


# --- Check a code -------------------------------------------------------------------------------------------


def check(user: User, code: str) -> bool:
    """Whether this is a code of the user's app, or an unused recovery code; it is used up by that.

    A code of the app is valid for its own 30 seconds and for those before and after; but not one that was used, or that
    comes before it (RFC 6238 5.2).

    Raises:
        LostKey: what is stored cannot be read.
    """
    with transaction.atomic():
        row = Authenticator.objects.select_for_update().filter(user=user, type=APP).first()
        if row is None:
            return False
        step = _step_of(decrypt(row.data["secret"]), code, row.data.get("last_step", 0))
        if step is not None:
            row.data["last_step"] = step
        elif not _use_recovery_code(user, code):
            return False
        row.last_used_at = timezone.now()
        row.save(update_fields=["data", "last_used_at"])
        return True


def _step_of(key: str, code: str, last_step: int) -> int | None:
    """The time step of a code: this one, the one before or the next; None: it has none, or none after the last."""
    typed = re.sub(r"[\s-]", "", normalize("NFKC", code)).encode()
    totp = TOTP(base64.b32decode(key), DIGITS, SHA1(), PERIOD)  # noqa: S303  (RFC 6238; apps know no other)
    now = int(timezone.now().timestamp()) // PERIOD
    if last_step > now + 1:  # of a clock that was ahead
        last_step = 0
    found = (step for step in (now, now - 1, now + 1) if secrets.compare_digest(totp.generate(step * PERIOD), typed))
    return next((step for step in found if step > last_step), None)


def _use_recovery_code(user: User, code: str) -> bool:
    row = Authenticator.objects.filter(user=user, type=RECOVERY).first()
    codes = row.wrap() if row else None
    if codes is None or not codes.validate_code(code):
        return False
    left = len(codes.get_unused_codes())
    before = SimpleNamespace(recovery_codes_left=left + 1)
    audit.record(_subject(user), before, {"recovery_codes_left": left}, Source(user))
    return True


def _record(user: User, field: str, action: Action, source: Source) -> None:
    audit.record(_subject(user), None, {field: action}, source)


def _subject(user: User) -> Subject:
    return Subject(Area.USERS, str(user.pk), user.get_username())
