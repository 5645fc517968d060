"""Access tokens for SMTP (XOAUTH2): asked for once, kept encrypted, renewed in time by one process at a time.

The process that renews has a turn, `renewing_until`, and puts its end off while the provider is asked: one that dies
leaves a turn that ends before the others stop waiting for it. No transaction is open while a provider is asked: on
SQLite no other process could write.
"""

import hashlib
import json
import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, connections
from django.db.models import Q
from django.utils import timezone

from messaging.models import AccessToken, Phrase
from messaging.setup.fields import SECRETS
from messaging.setup.layers import EmailSetup, SignIn
from messaging.setup.oauth.grants import Grant, SignInFailed, Trouble
from messaging.setup.oauth.time_left import within
from messaging.setup.secrets import LostKey, Secret, decrypt, encrypt

__all__ = ["SignInFailed", "access_token", "renewed_at"]

log = logging.getLogger(__name__)

EARLY = timedelta(minutes=5)
JUST_NOW = timedelta(minutes=1)
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


def access_token(
    setup: EmailSetup, now: datetime | None = None, *, refused: str = "", seconds: float = math.inf
) -> Secret:
    """The access token for the sign-in of a setup: the one at hand, or a new one.

    Args:
        setup: one that `uses_oauth` and has no problems.
        now: what time it is at the call.
        refused: the token that the mail server has just refused; another is asked for, unless it is brand-new.
        seconds: how long all of that may take.

    Raises:
        SignInFailed: there is none to be had, and why.
    """
    key = _key(setup)
    begun = time.monotonic()
    while True:
        waited = time.monotonic() - begun
        at = timezone.now() if now is None else now + timedelta(seconds=waited)
        held = _held(key)
        if held.is_fresh(at, refused):
            return held.token
        if turn := _take_turn(held.row, at):
            with within(seconds - waited):
                return _renew(setup, held, at, turn, refused)
        if held.still_serves(at, refused):
            return held.token
        if waited > min(wait_seconds(), seconds):
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
        log.warning("a stored access token cannot be read any more; a new one is requested")
        AccessToken.objects.filter(pk=key, token_encrypted=row.token_encrypted).delete()
        return _held(key)


def turn_seconds() -> float:
    """How long a turn lasts from when it was taken, or put off: what is left of it when its process dies."""
    return settings.LEASE_SECONDS / 3


def wait_seconds() -> float:
    """How long to wait for another process: for two that die one after the other, and for no longer than a lease."""
    return settings.LEASE_SECONDS


def _turn_end(now: datetime) -> datetime:
    return now + timedelta(seconds=turn_seconds())


def _take_turn(row: AccessToken, now: datetime) -> datetime | None:
    """Until when it is on us to renew the row as it was read; None: it is on another process, or the row changed."""
    end = _turn_end(now)
    free = Q(renewing_until=None) | Q(renewing_until__lte=now)
    free |= Q(renewing_until__gt=_turn_end(end))  # the clock was put back
    as_read = AccessToken.objects.filter(
        pk=row.pk, token_encrypted=row.token_encrypted, refresh_token_encrypted=row.refresh_token_encrypted
    )
    return end if as_read.filter(free).update(renewing_until=end) else None


class _Turn:
    """A turn that was taken, until `end`; another process that took the next one is not disturbed."""

    def __init__(self, row: AccessToken, end: datetime) -> None:
        self.row, self.end = row, end

    def put_off(self, end: datetime | None) -> None:
        """Let it end at another time; with None, now."""
        if AccessToken.objects.filter(pk=self.row.pk, renewing_until=self.end).update(renewing_until=end) and end:
            self.end = end

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Put its end off, from another thread, as long as what is within takes."""
        done = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(done,), name="turn to renew a token", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()

    def _keep(self, done: threading.Event) -> None:
        while not done.wait(turn_seconds() / 3):
            try:
                self.put_off(_turn_end(timezone.now()))
            except DatabaseError:
                log.warning("the turn to renew an access token is not put off: the database is away")
            finally:
                connections.close_all()  # of this thread


def _renew(setup: EmailSetup, held: Held, now: datetime, end: datetime, refused: str) -> Secret:
    refresh_token = setup.secret("refresh_token") if "refresh_token" in ASKED_WITH[SignIn(setup.sign_in)] else Secret()
    if refresh_token:
        refresh_token = held.refresh_token or refresh_token
    from messaging.setup.oauth import providers  # not before it is needed: msal and google-auth cost 0.1 s and 11 MB

    turn = _Turn(held.row, end)
    try:
        with turn.going_on():
            grant = providers.ask(setup, refresh_token)
    except SignInFailed as failed:
        others = _held(held.row.pk)
        if others.token != held.token and others.is_fresh(now, refused):
            return others.token  # of a process that took the next turn, because this one had stood still
        if not held.still_serves(now, refused):
            turn.put_off(None)
            raise
        turn.put_off(_turn_end(now))  # so that it is not asked again at once
        log.warning("the access token is not renewed, and still good for a while: %s", failed)
        return held.token
    except BaseException:
        turn.put_off(None)
        raise
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
