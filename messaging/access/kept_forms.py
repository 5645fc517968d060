"""What a user had typed when their session had ended: kept for a day, for that user alone.

Each form says whose it is and on which page, signed. So nothing is kept for strangers, who have no such form; and of
each user only a few forms, however often one is sent. It ends with the user's password: anyone who saw the source of a
page can plant a form there, and no longer than that.
"""

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction
from django.utils import timezone

from messaging.models import KeptForm

OWNER = "form-of"  # the name of the hidden field
SALT = "messaging.access.kept_forms"
CSRF = "csrfmiddlewaretoken"
SIGNED_FOR = timedelta(days=14)
KEPT = timedelta(days=1)
MOST_OF_USER = 5
MOST_CHARACTERS = 1_000_000
MOST_FILES, LONGEST_NAME = 100, 200
# tests/unit/console/test_form_secrets.py holds it against the console's forms.
SECRET = re.compile(r"pass|secret|token|code|service_account|^first$", re.IGNORECASE)


class Owner(NamedTuple):
    """For whom a form was made, by the user's key; and on which page, as _digest has it."""

    user: int
    page: str


def signed(user: User, page: str) -> str:
    """What says in a form that it was made for this user, on the page with that path."""
    parts = (str(user.pk), _digest(page), _digest(user.get_session_auth_hash()))
    return signing.TimestampSigner(salt=SALT).sign("-".join(parts))


def owner_of(text: str) -> Owner | None:
    """For whom a form was made; None: for no one, too long ago, or before the user had the password of now."""
    try:
        signer = signing.TimestampSigner(salt=SALT)
        key, page, password = signer.unsign(text[:200], max_age=SIGNED_FOR).split("-")
    except (signing.BadSignature, ValueError):
        return None
    user = User.objects.filter(pk=key).first()
    if user is None:
        return None
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return Owner(user.pk, page) if password in map(_digest, hashes) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def keep(owner: Owner, path: str, fields: Mapping[str, Sequence[str]], files: Iterable[str]) -> KeptForm | None:
    """Keep a form, and of its user's forms only the latest; None: it is too long, or its user may not sign in."""
    typed = {_fit(name): values for name, values in fields.items() if name not in (OWNER, CSRF)}
    open_ones = {name: [_fit(text) for text in values] for name, values in typed.items() if not _is_secret(name)}
    if sum(len(name) + sum(map(len, values)) for name, values in open_ones.items()) > MOST_CHARACTERS:
        return None
    had_secret = any(_is_secret(name) and any(values) for name, values in typed.items())
    names = [_fit(name)[:LONGEST_NAME] for name in files][:MOST_FILES]
    with transaction.atomic():
        # Locked, so that many at once leave no more than one after the other.
        if User.objects.select_for_update(no_key=True).filter(pk=owner.user, is_active=True).first() is None:
            return None
        row = KeptForm.objects.create(
            key=uuid.uuid4(), user_id=owner.user, at=timezone.now(), path=path[:500],
            fields=open_ones | {OWNER: [owner.page]}, had_secret=had_secret, files=names,
        )  # fmt: skip
        older = KeptForm.objects.filter(user_id=owner.user).order_by("-at", "pk").select_for_update(skip_locked=True)
        KeptForm.objects.filter(pk__in=list(older.values_list("pk", flat=True)[MOST_OF_USER:])).delete()
    return row


def _fit(text: str) -> str:
    """As PostgreSQL takes it."""
    return text.replace("\0", "")


def _is_secret(name: str) -> bool:
    return SECRET.search(name) is not None


def find(key: str, user: User) -> KeptForm | None:
    """A form that was kept for this user."""
    try:
        wanted = uuid.UUID(key)
    except ValueError:
        return None
    return KeptForm.objects.filter(key=wanted, user=user, at__gt=timezone.now() - KEPT).first()


def is_of(row: KeptForm, page: str) -> bool:
    """Whether a form was made on the page with that path: another one may say something else about the same form."""
    return bool(row.fields.get(OWNER) == [_digest(page)])


def forget(now: datetime) -> None:
    """Drop what no one came back for within a day."""
    KeptForm.objects.filter(at__lt=now - KEPT).delete()
