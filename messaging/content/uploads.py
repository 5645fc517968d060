"""Attachments of a page that is being written: kept while its form is shown again, for the person who picked them."""

import mimetypes
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from messaging.content import blobs, mime
from messaging.models import Upload

KEPT = timedelta(days=1)
OCTETS = "application/octet-stream"
LONGEST_NAME = 200
_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,100}", re.IGNORECASE)


@dataclass(frozen=True)
class File:
    """An attachment, not yet encoded."""

    filename: str
    content_type: str
    data: bytes


def picked(files: "Iterable[UploadedFile[bytes]]") -> list[File]:
    """The files of a form, named and typed so that they fit into a header field."""
    return [_file(each.name or "", each.content_type or "", each.read()) for each in files]


def _file(name: str, content_type: str, data: bytes) -> File:
    name = mime.displayable(name.replace("\\", "/").rpartition("/")[2], 10_000)
    stem, dot, ending = name.rpartition(".")
    if len(name) > LONGEST_NAME:
        is_ending = dot and len(ending) < 20
        name = f"{stem[: LONGEST_NAME - len(ending) - 1]}.{ending}" if is_ending else name[:LONGEST_NAME]
    if not _TYPE.fullmatch(content_type):
        content_type = mimetypes.guess_type(name)[0] or OCTETS
    return File(name or "attachment", content_type.lower(), data)


class TooMuch(Exception):
    """Nothing was kept: with these files more would be kept for one person than may be."""


def keep(files: Sequence[File], *, by: User, most: int) -> list[Upload]:
    """Keep files for the next time that the form is sent, so that at most so many octets are kept for this person.

    Raises TooMuch.
    """
    size = sum(len(file.data) for file in files)
    if kept_octets(by) + size > most:  # before anything is written to the disk
        raise TooMuch
    now = timezone.now()
    rows = [
        Upload(
            key=uuid.uuid4(),
            by=by,
            at=now,
            filename=file.filename,
            content_type=file.content_type,
            size=len(file.data),
            sha256=blobs.put(file.data),
        )
        for file in files
    ]
    with transaction.atomic():
        # Locked, so that many at once leave no more than one after the other.
        User.objects.select_for_update(no_key=True).filter(pk=by.pk).first()
        if kept_octets(by) + size > most:
            raise TooMuch
        return Upload.objects.bulk_create(rows)


def kept(keys: Sequence[str], *, by: User) -> tuple[list[Upload], int]:
    """What this person's form still has, in its order, and how many of its files are gone."""
    wanted = dict.fromkeys(key for key in map(_uuid, keys) if key is not None)
    rows = {row.key: row for row in Upload.objects.filter(key__in=list(wanted), by=by)}
    found = [rows[key] for key in wanted if key in rows and blobs.is_intact(rows[key].sha256, rows[key].size)]
    return found, len(set(keys)) - len(found)


def kept_octets(by: User) -> int:
    """How much is kept for this person."""
    found: int | None = Upload.objects.filter(by=by).aggregate(octets=Sum("size"))["octets"]
    return found or 0


def read(row: Upload) -> File:
    """Raises FileNotFoundError."""
    return File(row.filename, row.content_type, b"".join(blobs.read(row.sha256)))


def forget(now: datetime) -> None:
    """Drop what no one sent within a day."""
    Upload.objects.filter(at__lt=now - KEPT).delete()


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
