"""An office of three people and its mail: what may happen to messages, each with what the model says of it."""

import datetime as dt
import string
from collections import Counter

from django.conf import settings
from django.db import connection, transaction
from django.test import Client

from messaging import users
from messaging.access import roles
from messaging.company import options
from messaging.console.forms.compose import NewMessageForm, senders_of
from messaging.delivery import unanswered
from messaging.delivery.lane import Lane
from messaging.delivery.outcomes.verdict import Reply, Stage
from messaging.delivery.store import claims
from messaging.lifecycle.waiting import waiting
from messaging.models import (
    Batch,
    EmailSettings,
    Message,
    MessageEvent,
    NoticeRule,
    Recipient,
    SendAttempt,
    UserSession,
)
from messaging.queue import batches
from messaging.queue.refusal_answers import open_questions
from messaging.setup.layers import resolve
from tests.factories import OFFICE, make_user
from tests.steps import still_there

from .model import ATTEMPTED, FIELDS, SILENT, TRANSITIONS
from .server import REPLIES

LEASE = dt.timedelta(seconds=settings.LEASE_SECONDS)
SECOND = dt.timedelta(seconds=1)
EXPIRE_DAYS = 3
TRIES = 2
MESSAGES = 6  # above that, none come in by chance
FULL = 12  # above that, all begins anew
BACK = {"is_active": True, "role": roles.OPERATOR}  # who left may send again
TABLES = ("attachment", "messagecontent", "messageversion", "messageevent", "sendattempt", "recipient", "batchitem",
          "setaside", "noticeitem_notices", "noticeitem", "notice", "formsubmission", "refusalstreak",
          "unansweredstreak", "message", "batch", "accountpause", "activelane", "restore", "auditentry",
          "heartbeat")  # fmt: skip


COLUMNS = (
    "pk", "lease_owner", "lease_expires_at", "reason", "status", "author", "account", "batch", "not_before",
    "held_until", "hold_kind", "handed_to", "status_before", "is_immediate", "urgent", "tries", "may_be_accepted",
    "reason_category", "sent_at", "fence",
)  # fmt: skip


class Office:
    """The people, the model of all that is there, and how often what was seen."""

    def __init__(self, patch, server, clock):
        self.patch, self.server, self.clock, self.settings = patch, server, clock, settings
        self.number = 0
        self.seen = Counter()
        self.company, self.done = {}, []
        self.olga = make_user("olga", OFFICE)
        self.mia = make_user("mia", "mia@brightwater.example")
        self.ada = make_user("ada", "ada@brightwater.example", role=roles.ADMIN)
        self.people = [self.olga, self.mia, self.ada]
        self.lea, self.has_left = make_user("lea", "lea@brightwater.example"), False  # who leaves, and comes back
        self.quentin = make_user("quentin")  # whose mail a server refuses in words that no one knows
        EmailSettings.objects.create(account=None, send_type=2, host="127.0.0.1", port=2525)
        EmailSettings.objects.create(account=self.quentin, send_type=2, host="127.0.0.2", port=2525)
        EmailSettings.objects.create(account=self.mia, send_type=1)
        NoticeRule.objects.update(is_on=False)
        for kind in ("failed", "unknown", "paused", "no-address"):
            NoticeRule.objects.update_or_create(kind=kind, defaults={"is_on": False})
        patch.setattr(unanswered, "MOST", 1000)  # as same_refusals is 0: when accounts pause, other tests say
        give_back = claims.give_back
        patch.setattr(claims, "give_back", lambda owner: 0 if self.server.is_killed else give_back(owner))
        senders = senders_of(self.olga, resolve(self.olga), options.options())
        self.sender = next(iter(NewMessageForm(senders).senders))
        self.browsers = {}
        self.read_people = Read(Recipient, "message", "address", "status")
        self.read_messages = Read(Message, *COLUMNS)
        self.read_events = Read(MessageEvent, "pk", "message", "kind", "by")
        self.read_attempts = Read(SendAttempt, "pk", "message")
        self.begin()

    def begin(self):
        """An empty queue."""
        with transaction.atomic(), connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"DELETE FROM messaging_{table}")
        self.messages, self.batches, self.faults, self.crowd = {}, {}, set(), []
        self.restored, self.swept = None, None
        if self.has_left:
            users.change(self.lea, BACK, by=self.ada)
            self.has_left = False
        self.choose_options(record=True, hold=True, sees_all=True)
        self.last_event = MessageEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        self.last_attempt = SendAttempt.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        self.events, self.attempts = [], []

    @property
    def now(self):
        return self.clock.now

    def browser(self, person):
        """One in which they are signed in, also after days, and when they have come back."""
        browser = self.browsers.setdefault(person.pk, Client())
        still_there()
        if not UserSession.objects.filter(user=person).exists():
            browser.force_login(person)
        return browser

    def next_number(self):
        self.number += 1
        return self.number

    def killing(self, work):
        """Do it in a process that may be killed: nothing that it holds is given back then."""
        try:
            return work()
        finally:
            self.server.is_killed = False

    def explained(self, pk):
        """In the model, the reason is the one in the row: it is the words of a server."""
        row, message = Message.objects.only("status", "reason", "reason_category").get(pk=pk), self.messages[pk]
        assert (row.reason is None) == (row.status == "sent"), (row.status, row.reason, row.reason_category)
        message.why, message.category = row.reason.key if row.reason else "", row.reason_category

    def later(self, pk):
        """When the row says that it is tried again: the gaps are not of equal length."""
        not_before = Message.objects.values_list("not_before", flat=True).get(pk=pk)
        assert not_before is not None and not_before > self.now
        return not_before

    def ask(self, pks):
        """Have messages refused in words that no one knows, until a person is asked."""
        number = self.next_number()
        letters = "".join(string.ascii_lowercase[int(digit)] for digit in str(number))
        options.save({"same_refusals": len(pks)}, by=None)
        Message.objects.filter(pk__in=pks).update(account=self.quentin, not_before=self.now)
        for row in Recipient.objects.filter(message__in=pks):
            self.server.rcpt[row.address] = "odd"
        self.server.fault, self.server.kill = False, ""
        REPLIES["odd"] = Reply(Stage.RCPT, 550, f"the stars are against {letters}")
        Lane(self.quentin.pk, clock=self.clock).run()
        options.save({"same_refusals": 0}, by=None)
        return open_questions().get()

    # --- The model ---------------------------------------------------------------------------------

    def change(self, pk, name, by=None, **values):
        """In the model, something happens to a message."""
        message = self.messages[pk]
        before, status = message.status, values.get("status", message.status)
        way = TRANSITIONS[name]
        assert (before, status) in way.pairs, f"{name}: from {before} to {status} is not in the table"
        for column, value in values.items():
            setattr(message, column, value)
        if name in ("claim", "restore") or (name == "send at once" and status == "sending"):
            message.fence += 1
        if status != before:
            message.sent_at = self.now if status == "sent" else None
        self.seen[name, before or "new", str(status)] += 1
        if way in ATTEMPTED:
            self.attempts.append(pk)
        elif way not in SILENT:
            self.events.append((pk, way.event, by.pk if by is not None else None))
        message.since = self.now

    def leave(self, pk, outcome=""):
        """In the model, a message leaves its batch."""
        message = self.messages[pk]
        batch = self.batches.get(message.batch)
        if batch is not None and batch.items[pk][1] == "":
            batch.items[pk] = (batch.items[pk][0], outcome or message.status)

    def anew(self, account, not_before, batch=None):
        return {
            "status": "queued", "account": account, "not_before": not_before, "batch": batch, "tries": 0,
            "is_immediate": False, "why": "", "category": "",
        }  # fmt: skip

    def sees(self, person, pk):
        return person == self.ada or self.company["sees_all"] or self.messages[pk].author == person.pk

    # --- What the rows say ---------------------------------------------------------------------------

    def check(self, *, whole=True):
        """All rows are what the model says, and all that happened is written down once; `whole`: so is what batches
        tell of them, and which of them wait.
        """
        rows = self.rows()
        for pk, message in self.messages.items():
            assert pk in rows, f"message {pk} is gone"
            for name, wanted, found in zip(FIELDS, message.columns(), rows[pk], strict=True):
                assert wanted == found, f"message {pk}: {name} is {found!r} and should be {wanted!r}"
        assert rows.keys() == self.messages.keys(), "there are other messages"
        assert not self.server.again, "a person who has it gets it again"
        found = self.read_events(self.last_event)
        assert Counter(row[1:] for row in found) == Counter(self.events)
        attempts = self.read_attempts(self.last_attempt)
        assert Counter(pk for _, pk in attempts) == Counter(self.attempts)
        self.last_event = max([self.last_event, *(row[0] for row in found)])
        self.last_attempt = max([self.last_attempt, *(row[0] for row in attempts)])
        self.events, self.attempts = [], []
        if whole:
            self.check_batches()
            self.check_waiting()

    def check_waiting(self):
        found = set(Message.objects.filter(waiting(self.now)).values_list("pk", flat=True))
        assert found == set(self.waiting())

    def rows(self):
        people = {}
        for pk, address, status in self.read_people():
            people.setdefault(pk, {})[address] = status
        found = {}
        for pk, owner, ends, why, *row in self.read_messages():
            assert bool(owner) == (ends is not None) == (row[0] == "sending")
            found[pk] = (why.key if why else "", bool(owner), people.get(pk, {}), *row)
        return found

    def check_batches(self):
        rows = {row.pk: row for row in Batch.objects.all()}
        assert rows.keys() == self.batches.keys()
        if not rows:
            return
        counts = batches.counts_of(rows.values())
        for pk, batch in self.batches.items():
            assert (rows[pk].status, rows[pk].account_id) == (batch.status, batch.account), f"batch {pk}"
            wanted = Counter(batch.results(pk, self.messages).values())
            assert Counter(counts[pk]) == wanted, f"batch {pk}: {counts[pk]} and should be {wanted}"
        for pk in list(self.batches)[-1:]:
            report = batches.report(rows[pk]).counts
            results = batch.results(pk, self.messages).values()
            assert (
                report["total"]
                == len(batch.items)
                == sum(report[name] for name in batches.RESULTS) + list(results).count("chosen")
            )
            assert all(report[name] == list(results).count(name) for name in batches.RESULTS)

    def waiting(self):
        return [
            pk
            for pk, message in self.messages.items()
            if message.place in ("waiting", "timed") and (message.not_before is None or message.not_before <= self.now)
        ]

    def everything(self):
        """All rows of all tables that an order may change."""
        names = ("message", "recipient", "batch", "batchitem", "messageevent", "sendattempt", "messageversion")
        found = []
        with connection.cursor() as cursor:
            for name in names:
                cursor.execute(f"SELECT * FROM messaging_{name} ORDER BY 1")
                found.append(cursor.fetchall())
        return found

    # --- Options -------------------------------------------------------------------------------------

    def choose_options(self, **values):
        if self.company | values == self.company:
            return
        self.company |= values
        options.save(
            {
                "record_mail": self.company["record"] or self.company["hold"], "hold_mail": self.company["hold"],
                "operators_see_all": self.company["sees_all"], "expire_days": EXPIRE_DAYS, "max_tries": TRIES,
                "retry_hours": 24 * 30, "same_refusals": 0,
            },
            by=None,
        )  # fmt: skip


class Read:
    """Columns of the rows of a table after a key, by a statement that Django makes once: it takes milliseconds."""

    def __init__(self, model, *names):
        query = model.objects.filter(pk__gt=0).order_by("pk").values_list(*names).query
        self.compiler = query.get_compiler("default")
        self.statement, _ = self.compiler.as_sql()
        self.converters = self.compiler.get_converters([column for column, *_ in self.compiler.select])

    def __call__(self, after=0):
        with connection.cursor() as cursor:
            cursor.execute(self.statement, [after])
            return list(map(tuple, self.compiler.apply_converters(cursor.fetchall(), self.converters)))


def raw(addresses, subject="Invoice"):
    to = ", ".join(addresses) or "undisclosed-recipients:;"
    return f"From: Office <{OFFICE}>\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nDear customer\r\n".encode()
