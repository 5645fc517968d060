"""Access tokens for SMTP (XOAUTH2): asked for once, kept encrypted, renewed in time by one process at a time.

No transaction is open while a provider is asked: SQLite would let nobody else write.
"""

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from messaging.models import AccessToken, Phrase

from .fields import SECRETS
from .grants import Grant, SignInFailed, Trouble
from .layers import EmailSetup, SignIn
from .secrets import LostKey, Secret, decrypt, encrypt

__all__ = ["SignInFailed", "access_token", "renewed_at"]

log = logging.getLogger(__name__)

EARLY = timedelta(minutes=5)
JUST_NOW = timedelta(minutes=1)
RENEWAL = timedelta(minutes=2)  # no renewal takes longer: see http.py
UNTIL_NEXT_TRY = timedelta(seconds=30)
WAIT_SECONDS = 60.0
LOOK_SECONDS = 0.1

# What a token is asked for with, beside the way to sign in. No more than that: accounts that share a refresh token
# must share its successors as well.
ASKED_WITH = {
    SignIn.MICROSOFT_APP: ("tenant", "client_id", "client_secret", "token_url", "scope"),
    SignIn.MICROSOFT_USER: ("tenant", "client_id", "refresh_token", "token_url", "scope"),
    SignIn.GOOGLE_SERVICE: ("username", "service_account", "token_url", "scope"),
    SignIn.GOOGLE_USER: ("client_id", "client_secret", "refresh_token", "token_url", "scope"),
    SignIn.OAUTH2: ("client_id", "client_secret", "refresh_token", "token_url", "scope"),
}


@dataclass(frozen=True)
class Held:
    """A row of AccessToken, readable."""

    row: AccessToken
    token: Secret
    refresh_token: Secret

    def is_fresh(self, now: datetime, refused: str) -> bool:
        """Whether it does without a renewal. One that a server has refused does so only if it was issued just now:
        another would not fare better."""
        if not self.token or self.row.expires_at is None:
            return False
        early = min(EARLY, (self.row.expires_at - self.row.updated_at) / 2)
        in_time = self.row.expires_at - early > now
        return in_time and (self.token != refused or abs(now - self.row.updated_at) < JUST_NOW)

    def still_serves(self, now: datetime, refused: str) -> bool:
        """Whether it can be used while it cannot be renewed."""
        return (
            bool(self.token) and self.token != refused and self.row.expires_at is not None and self.row.expires_at > now
        )


def access_token(setup: EmailSetup, now: datetime | None = None, *, refused: str = "") -> Secret:
    """The access token for the sign-in of a setup: the one at hand, or a new one.

    Args:
        setup: one that `uses_oauth` and has no problems.
        now: for tests.
        refused: the token that the mail server has just refused; another is asked for, unless it is brand-new.

    Raises:
        SignInFailed: there is none to be had, and why.
    """
    key = _key(setup)
    give_up = time.monotonic() + WAIT_SECONDS
    while True:
        at = now or timezone.now()
        held = _held(key)
        if held.is_fresh(at, refused):
            return held.token
        if _take_turn(held.row, at):
            return _renew(setup, held, at, refused)
        if held.still_serves(at, refused):
            return held.token
        if time.monotonic() > give_up:
            raise SignInFailed(Trouble.UNREACHABLE, detail=Phrase("sign-in waits"))
        time.sleep(LOOK_SECONDS)


def renewed_at(setup: EmailSetup) -> datetime | None:
    """When the token of a setup was last renewed; None when there is none."""
    rows = AccessToken.objects.filter(pk=_key(setup)).exclude(token_encrypted="")
    return rows.values_list("updated_at", flat=True).first()


def _key(setup: EmailSetup) -> str:
    names = ASKED_WITH[SignIn(setup.sign_in)]
    values = [str(setup.secret(name)) if name in SECRETS else setup.text(name) for name in names]
    return hashlib.sha256(json.dumps([setup.sign_in, *values]).encode()).hexdigest()


def _held(key: str) -> Held:
    """The row, made where there is none; one that the keys at hand cannot read is thrown away."""
    row, _ = AccessToken.objects.get_or_create(pk=key)
    try:
        return Held(row, decrypt(row.token_encrypted), decrypt(row.refresh_token_encrypted))
    except LostKey:
        log.warning("a stored access token cannot be read any more; it is asked for anew")
        AccessToken.objects.filter(pk=key, token_encrypted=row.token_encrypted).delete()
        return _held(key)


def _take_turn(row: AccessToken, now: datetime) -> bool:
    """Whether it is now on us to renew the row as it was read; if so, others wait."""
    free = Q(renewing_until=None) | Q(renewing_until__lte=now)
    free |= Q(renewing_until__gt=now + 2 * RENEWAL)  # the clock was put back
    as_read = AccessToken.objects.filter(
        pk=row.pk, token_encrypted=row.token_encrypted, refresh_token_encrypted=row.refresh_token_encrypted
    )
    return bool(as_read.filter(free).update(renewing_until=now + RENEWAL))


def _renew(setup: EmailSetup, held: Held, now: datetime, refused: str) -> Secret:
    refresh_token = setup.secret("refresh_token") if "refresh_token" in ASKED_WITH[SignIn(setup.sign_in)] else Secret()
    if refresh_token:
        refresh_token = held.refresh_token or refresh_token
    from . import providers  # not before it is needed: msal and google-auth cost 0.1 s and 11 MB

    try:
        grant = providers.ask(setup, refresh_token)
    except SignInFailed as failed:
        serves = held.still_serves(now, refused)
        until = now + UNTIL_NEXT_TRY if serves else None
        AccessToken.objects.filter(pk=held.row.pk).update(renewing_until=until)
        if not serves:
            raise
        log.warning("the access token is not renewed, and still good for a while: %s", failed)
        return held.token
    _keep(held, grant, now)
    return grant.token


def _keep(held: Held, grant: Grant, now: datetime) -> None:
    kept = {
        "token_encrypted": encrypt(grant.token),
        "refresh_token_encrypted": encrypt(grant.refresh_token or held.refresh_token),
        "expires_at": now + timedelta(seconds=grant.seconds),
        "renewing_until": None,
        "updated_at": now,
    }
    if not AccessToken.objects.filter(pk=held.row.pk).update(**kept):  # thrown away meanwhile: its key was lost
        AccessToken.objects.get_or_create(pk=held.row.pk)
        AccessToken.objects.filter(pk=held.row.pk).update(**kept)
