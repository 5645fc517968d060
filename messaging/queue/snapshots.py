"""Whether there is more by now than a person was shown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import BooleanField, Exists, Model, OuterRef, Q
from django.db.models.expressions import RawSQL

from messaging.lifecycle.many_keys import with_keys
from messaging.models import Message, MessageEvent, MessageVersion, SendAttempt

CHUNK = 5000  # messages in a statement, well below SQLite's limit of parameters
MOST = 2**63 - 1  # above every key
NAMED = 100  # of the transactions under way
NAMED_SENT = 400  # of the messages being sent: eight lanes have no more, and a link has room for them
TABLES: tuple[type[Model], ...] = (Message, MessageEvent, SendAttempt, MessageVersion)
LONGEST = 20 * (NAMED + NAMED_SENT + 10)
NUMBERS = re.compile(r"(?:[0-9]{1,19}(?:-[0-9]{1,19})*)?")


@dataclass(frozen=True)
class Rows:
    """How many rows there were, and the key of the last of them."""

    number: int = 0
    last: int = 0

    def is_newer(self, seen: "Rows") -> bool:
        """Whether there are rows that were not seen then; both, as a smaller key may be committed later."""
        return self.number > seen.number or self.last > seen.last


@dataclass(frozen=True)
class Snapshot:
    """How far the database had come before a page was read: what the page shows may be newer, never older.

    No time tells that: a change is given its time before it waits for a lock. The last keys of what is written with
    every change do, on SQLite, where one transaction is committed before the next one takes its keys. PostgreSQL
    commits them in any order, but knows which transaction wrote a row: so it names those that were `under_way`, and
    the first that was not known (`following`).

    What a lane gives back untried leaves no row behind, so SQLite names what was being `sent`.

    Without values it is that of a form which does not say what it showed: then edits count, and nothing else.

    `last` are the keys of TABLES.
    """

    last: tuple[int, ...] = (MOST, MOST, MOST, 0)
    sent: tuple[int, ...] = ()
    following: int = MOST
    under_way: tuple[int, ...] = ()

    @classmethod
    def now(cls) -> "Snapshot":
        """To be asked for before anything that is shown is read."""
        with connection.cursor() as cursor:
            cursor.execute(_STATE if connection.vendor == "postgresql" else _STATE_OF_A_FILE)
            row = cursor.fetchone()
        last, state = tuple(row[: len(TABLES)]), row[len(TABLES) :]
        if connection.vendor == "postgresql":
            following, *under_way = _transactions(*state)
            return cls(last, following=following, under_way=tuple(under_way))
        return cls(last, sent=tuple(sorted(map(int, state[0].split(","))))[-NAMED_SENT:] if state[0] else ())

    @property
    def named(self) -> str:
        """As a form and a link name it."""
        return "_".join("-".join(map(str, each)) for each in (self.last, self.sent, (self.following, *self.under_way)))

    @classmethod
    def of(cls, text: str) -> "Snapshot | None":
        """The reverse of `named`; None for what is none, be it that it names more than a page of ours does."""
        parts = text.split("_") if len(text) <= LONGEST else []
        if len(parts) != 3 or not all(map(NUMBERS.fullmatch, parts)):
            return None
        last, sent, transactions = ([min(int(each), MOST) for each in part.split("-") if each] for part in parts)
        following, *under_way = transactions or [0]
        is_of_this_database = following == MOST or connection.vendor == "postgresql"
        if len(last) != len(TABLES) or not is_of_this_database or not transactions:
            return None
        if len(sent) > NAMED_SENT or len(under_way) > NAMED:
            return None
        return cls(tuple(last), tuple(sent), following, tuple(under_way))

    @property
    def later(self) -> Q:
        """The messages that are others by now, or stand in another way, or are new."""
        found = Q(pk__gt=self.last[0]) | Q(pk__in=self.sent)
        for table, last in zip(TABLES[1:], self.last[1:], strict=True):
            found |= Q(Exists(table._default_manager.filter(message=OuterRef("pk"), pk__gt=last)))
        if self.following < MOST:
            values = (self.following, list(self.under_way))
            found |= Q(RawSQL(_WRITTEN_SINCE, values, output_field=BooleanField()))  # noqa: S611
        return found

    def changed(self, ids: Sequence[int]) -> set[int]:
        """Those of some messages that are `later`. An order asks it under their locks."""
        found: set[int] = set()
        for start in range(0, len(ids), CHUNK):
            messages = with_keys(Message.objects.filter(self.later), ids[start : start + CHUNK])
            found.update(messages.values_list("pk", flat=True))
        return found


_LAST_KEYS = ", ".join(f"(SELECT COALESCE(MAX(id), 0) FROM {table._meta.db_table})" for table in TABLES)  # noqa: S608
_STATE_OF_A_FILE = f"""
    SELECT {_LAST_KEYS},
        (SELECT GROUP_CONCAT(id) FROM {Message._meta.db_table} WHERE status = '{Message.Status.SENDING}')"""  # noqa: S608
# What is written within a savepoint has a number of its own, which a snapshot leaves out: so each number is asked about
# from the oldest transaction of this database on, those of others of the server set aside. What lies more than 10,000
# after that counts as not known.
_UNDER_WAY = """
    SELECT LEAST(high, oldest + 10000) AS following, ARRAY(
        SELECT pg_snapshot_xip(taken)::text::bigint AS number
        UNION SELECT number FROM GENERATE_SERIES(oldest, LEAST(high, oldest + 10000) - 1) AS number
        WHERE pg_xact_status(number::text::xid8) = 'in progress' ORDER BY number) AS under_way
    FROM (
        SELECT taken, high, COALESCE((
            SELECT MIN(number) FROM (
                SELECT high - ((high - transactionid::text::bigint) & 4294967295) AS number
                FROM pg_locks JOIN pg_stat_activity USING (pid)
                WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND datname = CURRENT_DATABASE()
            ) AS own WHERE number > high - 2147483648), high) AS oldest
        FROM (SELECT taken, pg_snapshot_xmax(taken)::text::bigint AS high FROM pg_current_snapshot() AS taken) AS now
    ) AS known
    WHERE pg_current_xact_id_if_assigned() IS NULL"""
_STATE = f"SELECT {_LAST_KEYS}, following, under_way FROM (SELECT) AS one LEFT JOIN ({_UNDER_WAY}) AS those ON TRUE"  # noqa: S608
# A row has the lower half of the number.
_WRITTEN_SINCE = f"""(
    SELECT number >= %s OR number = ANY(%s) FROM (
        SELECT high - ((high - {Message._meta.db_table}.xmin::text::bigint) & 4294967295) AS number
        FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS high) AS snapshot) AS written)"""  # noqa: S608


def _transactions(following: int | None, under_way: Sequence[int] | None) -> tuple[int, ...]:
    """The number of the first transaction of PostgreSQL that is not known to be over or under way, and those of the
    ones under way. Within a transaction that has written (a test) there are none: it sees what is its own.
    """
    if following is None or under_way is None:
        return (MOST,)
    return (min([following, *under_way[NAMED : NAMED + 1]]), *under_way[:NAMED])
