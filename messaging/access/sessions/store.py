"""How Django keeps sessions (settings.SESSION_ENGINE): under a digest of the cookie, with whose they are.

The name of the class is part of what signs the data: with this one, what Django's own store wrote can be read.
"""

import hashlib
from datetime import timedelta
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.db import IntegrityError, transaction
from django.utils import timezone

from messaging.models import UserSession
from messaging.models.options import MOST_SESSION_HOURS

KEPT = timedelta(hours=MOST_SESSION_HOURS)
MOST_OF_USER = 200


def digest_of(key: str) -> str:
    """What is kept of a cookie. It is random, with 165 bits, so it needs neither salt nor stretching."""
    return hashlib.sha256(key.encode()).hexdigest()


def _make_room(user: str, row: UserSession) -> None:
    """End the sessions that were active longest ago, where their user has too many beside `row`: pages list them."""
    latest = UserSession.objects.filter(user_id=user).exclude(pk=row.pk).order_by("-active_at", "-pk")
    UserSession.objects.filter(pk__in=latest.values("pk")[MOST_OF_USER - 1 :]).delete()


class SessionStore(SessionBase):
    """`row` is the session as it was read; `begun` says that a user has just signed in: from which address, in which
    browser.
    """

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self.row: UserSession | None = None
        self.begun: tuple[str, str] | None = None

    def load(self) -> dict[str, Any]:
        found = UserSession.objects.filter(digest=digest_of(self.session_key or ""), expires_at__gt=timezone.now())
        self.row = found.first()
        if self.row is None:
            self._session_key = None
            return {}
        return self.decode(self.row.data)

    def exists(self, session_key: str) -> bool:
        return UserSession.objects.filter(digest=digest_of(session_key)).exists()

    def create(self) -> None:
        while True:
            self._session_key = self._get_new_session_key()  # type: ignore[attr-defined]
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create: bool = False) -> None:
        """Raises UpdateError: the session was ended meanwhile, or its user deactivated; nothing is written."""
        if self.session_key is None:
            self.create()
            return
        data = self._get_session(no_load=must_create)  # type: ignore[attr-defined]
        if must_create:
            self._insert(data)
            return
        with transaction.atomic():
            self._update({"data": self.encode(data)} | self._beginning(data.get(SESSION_KEY)))

    def _insert(self, data: dict[str, Any]) -> None:
        now = timezone.now()
        digest = digest_of(self.session_key or "")
        self.row = UserSession(
            digest=digest, data=self.encode(data), started_at=now, active_at=now, expires_at=now + KEPT
        )
        try:
            with transaction.atomic():
                self._beginning(data.get(SESSION_KEY))
                self.row.save(force_insert=True)
        except IntegrityError as error:
            raise CreateError from error

    def _beginning(self, user: str | None) -> dict[str, Any]:
        """What is written when a user has signed in.

        Under the lock that deactivating takes: else a sign-in that is under way would leave a session that revives when
        the user is activated again.
        """
        if user is None or self.row is None or (self.begun is None and self.row.user_id == int(user)):
            return {}
        if User.objects.select_for_update(no_key=True).filter(pk=user, is_active=True).first() is None:
            raise UpdateError
        _make_room(user, self.row)
        now, (address, browser) = timezone.now(), self.begun or ("", "")
        self.begun = None
        self.row.user_id, self.row.address, self.row.browser = int(user), address, browser
        self.row.started_at, self.row.active_at, self.row.expires_at = now, now, now + KEPT
        names = ("user_id", "address", "browser", "started_at", "active_at", "expires_at")
        return {name: getattr(self.row, name) for name in names}

    def _update(self, values: dict[str, Any]) -> None:
        """Raises UpdateError: it was ended, or has another cookie: someone has signed in there since."""
        digest = digest_of(self.session_key or "")
        if self.row is None or not UserSession.objects.filter(pk=self.row.pk, digest=digest).update(**values):
            raise UpdateError

    def cycle_key(self) -> None:
        """Another cookie for the same session. Raises UpdateError: it was ended, or given another cookie meanwhile."""
        data = self._session  # type: ignore[attr-defined]
        if self.row is None:
            self.create()
            self._session_cache = data
            return
        key = self._get_new_session_key()  # type: ignore[attr-defined]
        self._update({"digest": digest_of(key)})
        self._session_key, self.modified = key, True

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            UserSession.objects.filter(digest=digest_of(key)).delete()
        if key == self.session_key:
            self.row = None

    @classmethod
    def clear_expired(cls) -> None:
        UserSession.objects.filter(expires_at__lt=timezone.now()).delete()
