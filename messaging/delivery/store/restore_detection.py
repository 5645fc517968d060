"""Whether this is the database, as far as it had come, that this installation last sent from.

A backup that is restored has the messages that went out since as unsent, and would send them again. So before anything
is claimed, `check` looks for what a restore changes: the place (PostgreSQL's system identifier, timeline, database and
table; SQLite's file), and the mark, which falls behind that of the witness. RESTORED says it by hand. Then one
transaction pauses all sending and makes all that was unsent *unknown*; messaging/queue/restores.py is what follows.

How nothing slips through: a lane raises the mark of the database after it has claimed messages, and then that of the
witness, before it sends the first of them. A backup that has one of them as waiting is behind the witness. One that was
made within the claim has it as claimed and not begun; the mark that the lane raises in the end tells, or what it noted
before each final dot, if it is killed.
"""

import logging
import uuid
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, NotSupportedError, OperationalError, ProgrammingError, connection, transaction
from django.db.models import Max

from messaging import audit
from messaging.audit import Area, Source, Subject
from messaging.delivery.store import restored_messages, witness
from messaging.delivery.store.group_commit import is_away
from messaging.models import AccountPause, Heartbeat, Lineage, Message, Phrase, Reason, Restore, SendAttempt

log = logging.getLogger(__name__)

ROW = 1
_WITH_KEYS = """
    SELECT count(*) FROM unnest(%s::text[]) AS name
    JOIN pg_constraint ON conrelid = to_regclass(quote_ident(name)) AND contype = 'p'"""
MACHINE_ID = Path("/etc/machine-id")
Place = dict[str, Any]


class Evidence(StrEnum):
    """How a restore was noticed."""

    ORDERED = "restore-ordered"  # by RESTORED
    BEHIND = "restore-behind"
    ELSEWHERE = "restore-elsewhere"


def check(now: datetime) -> str:
    """Pause all sending if this database was restored or moved; the key of its lineage.

    One statement while all is well. A database that has no key yet (new, or of a version before) is adopted.

    Raises:
        OperationalError: a backup is being loaded into it, so not all of its messages are there yet.
    """
    row = _row()
    # Not where a caller may still roll back what the witness would be told.
    left = witness.left_by_lanes(row.key) if row is not None and not connection.in_atomic_block else []
    if row is None or left or _moved(row, _place(row)) or _evidence(row, _place(row)) is not None:
        _require_whole()
        with transaction.atomic():
            row = _settled(now, left)
    witness.note(row.key, row.mark)
    witness.forget(left)
    return row.key


def goes_on(key: str, now: datetime) -> bool:
    """Raise the mark, for what is claimed and sent next; False when the database is another than the one of `key`, or
    an earlier state of it. `check` has seen to that, and nothing may be sent.
    """
    known = witness.mark_of(key) or 0
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_lineage SET mark = mark + 1 WHERE id = %s AND key = %s AND mark >= %s RETURNING mark",
            [ROW, key, known],
        )
        raised = cursor.fetchall()
    if not raised:
        check(now)
        return False
    witness.note(key, raised[0][0])
    return True


def _row(*, lock: bool = False) -> Lineage | None:
    """The row or None, with what a restore of a dump changes also in the database that is there: it makes the table
    anew. Written out because each lane asks, and Django takes a millisecond to build it.
    """
    is_postgresql = connection.vendor == "postgresql"
    statement = f"SELECT *, {'tableoid::bigint' if is_postgresql else 'NULL'} AS table_id FROM messaging_lineage"  # noqa: S608
    statement += f" WHERE id = %s{' FOR UPDATE' if lock and is_postgresql else ''}"
    return next(iter(Lineage.objects.raw(statement, [ROW])), None)


def _settled(now: datetime, left: list[witness.HandedOver]) -> Lineage:
    """The row once it says what is so, in the transaction of the caller; two who notice a restore act on it once."""
    Lineage.objects.get_or_create(pk=ROW, defaults={"key": uuid.uuid4().hex})
    row = _row(lock=True)
    assert row is not None
    here = _place(row)
    evidence = _evidence(row, here)
    if evidence is not None:
        _pause_all(evidence, now)
        if evidence.key == Evidence.BEHIND:
            witness.note(row.key, row.mark + 1)  # so that the same backup is noticed again
        # Another name: what other machines know of the old one says nothing about what is sent from now on.
        row.key, row.mark = uuid.uuid4().hex, 0
        row.answered = [*row.answered, *({settings.RESTORED} - {"", *row.answered})]
    elif left:
        row.mark += 1  # it says of any earlier state what a killed lane noted
    row.place |= here
    row.save()
    return row


def _require_whole() -> None:
    """pg_restore loads the rows of all tables before it gives the first of them its primary key."""
    if connection.vendor != "postgresql":
        return
    tables = sorted({model._meta.db_table for model in apps.get_app_config("messaging").get_models()})
    with connection.cursor() as cursor:
        cursor.execute(_WITH_KEYS, [tables])
        if cursor.fetchone()[0] < len(tables):
            raise OperationalError(
                "a backup is being loaded into this database; nothing is sent until all of it is there"
            )


def _pause_all(evidence: Phrase, now: datetime) -> None:
    alive = Heartbeat.objects.filter(at__lte=now).aggregate(latest=Max("at"))["latest"]
    restore = Restore.objects.create(noticed_at=now, last_alive_at=alive, evidence=evidence)
    AccountPause.objects.get_or_create(
        account=None, kind=AccountPause.Kind.RESTORED, defaults={"since": now, "reason": Phrase(Reason.RESTORED)}
    )
    restore.unsent = restored_messages.make_unknown(restore, now)
    restore.save(update_fields=["unsent"])
    values = {"evidence": evidence.key, "unsent": restore.unsent}
    audit.created(Subject(Area.RESTORES, str(restore.pk)), values, Source(None))
    log.warning(
        "this database was restored from a backup or moved (%s): all sending is paused and %d unsent messages are "
        "unknown until an administrator decides",
        evidence.key,
        restore.unsent,
    )


# --- Evidence ----------------------------------------------------------------------------------------------


def _moved(row: Lineage, here: Place) -> list[str]:
    """What is not where it was."""
    return [name for name, value in here.items() if row.place.get(name) != value]


def _evidence(row: Lineage, here: Place) -> Phrase | None:
    """Why this is not where the installation left off; None when it is."""
    if settings.RESTORED and settings.RESTORED not in row.answered:
        return Phrase(Evidence.ORDERED, value=settings.RESTORED)
    known = witness.mark_of(row.key)
    if (known is not None and row.mark < known) or not all(map(_is_known, witness.left_by_lanes(row.key))):
        return Phrase(Evidence.BEHIND)
    changed = [name for name in _moved(row, here) if name in row.place]
    if connection.vendor == "sqlite":
        has_copy = "path" in changed and _is_another_file(row.place["path"])
        # A witness that is there knows better: many file systems give their files other numbers in time. But one beside
        # the file may have come back with it.
        knows_better = known is not None and not _is_beside_the_file(settings.WITNESS_DIR)
        changed = ["path"] if has_copy else [name for name in changed if name != "path" and not knows_better]
    return Phrase(Evidence.ELSEWHERE, what=changed) if changed else None


def _is_another_file(path: str) -> bool:
    """Whether the path is one of a file that is not the database's own, which may be mounted at several."""
    try:
        return not Path(path).samefile(connection.settings_dict["NAME"])
    except OSError:  # it is not there, or not to be seen
        return False


def _is_beside_the_file(folder: Path) -> bool:
    return folder.resolve().is_relative_to(Path(connection.settings_dict["NAME"]).resolve().parent)


def _is_known(handed_over: witness.HandedOver) -> bool:
    """Whether the database has it that a message was handed over, or that it was deleted since."""
    row = Message.objects.filter(pk=handed_over.message).values("fence", "status", "may_be_accepted").first()
    if row is None or row["fence"] != handed_over.fence:
        return row is None or row["fence"] > handed_over.fence
    if row["status"] != Message.Status.SENDING:
        return True
    recorded = SendAttempt.objects.filter(message=handed_over.message, fence=handed_over.fence).count()
    return recorded + row["may_be_accepted"] >= handed_over.transaction


def _place(row: Lineage) -> Place:
    """Where the database is, as far as that can be found out."""
    if connection.vendor == "postgresql":
        return _server() | {"table": cast(Any, row).table_id}
    file = Path(connection.settings_dict["NAME"])
    try:
        place: Place = {"path": str(file.resolve()), "inode": file.stat().st_ino}
    except OSError:  # it is in memory
        return {}
    # Two machines may number a file alike. Containers have no such name, or their image's.
    try:
        machine = MACHINE_ID.read_text().strip()
    except OSError:
        machine = ""
    return place | ({"machine": machine} if machine else {})


_STATEMENTS = {
    "system": "SELECT system_identifier::text FROM pg_control_system()",
    "timeline": "SELECT left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)",
    "database": "SELECT oid::bigint FROM pg_database WHERE datname = current_database()",
}
_servers: WeakKeyDictionary[Any, Place] = WeakKeyDictionary()


def _server() -> Place:
    """What stays the same as long as a connection lives; some servers do not tell everyone."""
    connection.ensure_connection()
    known = _servers.setdefault(connection.connection, {})
    for name in _STATEMENTS.keys() - known.keys():
        try:
            known[name] = _value_of(_STATEMENTS[name])
        except (ProgrammingError, NotSupportedError):  # as it will be the next time; any other error may pass
            known[name] = None
        except DatabaseError as error:
            if is_away(error):
                raise
    return {name: value for name, value in known.items() if value is not None}


def _value_of(statement: str) -> Any:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]
