"""What a user had typed when their session had ended: kept for a day, for that user alone.

Each form says whose it is, signed. So nothing is kept for strangers, who have no such form; and of each user only a
few forms, however often one is sent.
"""

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction
from django.utils import timezone

from messaging.models import KeptForm

OWNER = "form-of"  # the name of the hidden field
SALT = "messaging.kept_forms"
CSRF = "csrfmiddlewaretoken"
SIGNED_FOR = timedelta(days=14)
KEPT = timedelta(days=1)
MOST_OF_USER = 5
MOST_CHARACTERS = 1_000_000
MOST_FILES, LONGEST_NAME = 100, 200
# tests/unit/console/test_form_secrets.py holds it against the console's forms.
SECRET = re.compile(r"pass|secret|token|code|service_account|^first$", re.IGNORECASE)


def signed(user: User) -> str:
    """What says in a form that it was made for this user."""
    return signing.TimestampSigner(salt=SALT).sign(str(user.pk))


def owner_of(text: str) -> int | None:
    """For whom a form was made; None: for nobody, or too long ago."""
    try:
        return int(signing.TimestampSigner(salt=SALT).unsign(text[:200], max_age=SIGNED_FOR))
    except (signing.BadSignature, ValueError):
        return None


def keep(owner: int, path: str, fields: Mapping[str, Sequence[str]], files: Iterable[str]) -> KeptForm | None:
    """Keep a form, and of its user's forms only the latest; None: it is too long, or its user may not sign in."""
    typed = {_fit(name): values for name, values in fields.items() if name not in (OWNER, CSRF)}
    open_ones = {name: [_fit(text) for text in values] for name, values in typed.items() if not _is_secret(name)}
    if sum(len(name) + sum(map(len, values)) for name, values in open_ones.items()) > MOST_CHARACTERS:
        return None
    had_secret = any(_is_secret(name) and any(values) for name, values in typed.items())
    names = [_fit(name)[:LONGEST_NAME] for name in files][:MOST_FILES]
    with transaction.atomic():
        # Locked, so that many at once leave no more than one after the other.
        if User.objects.select_for_update(no_key=True).filter(pk=owner, is_active=True).first() is None:
            return None
        row = KeptForm.objects.create(
            key=uuid.uuid4(), user_id=owner, at=timezone.now(), path=path[:500], fields=open_ones,
            had_secret=had_secret, files=names,
        )  # fmt: skip
        older = KeptForm.objects.filter(user_id=owner).order_by("-at", "pk").select_for_update(skip_locked=True)
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


def forget(now: datetime) -> None:
    """Drop what nobody came back for within a day."""
    KeptForm.objects.filter(at__lt=now - KEPT).delete()
