"""What each message and each batch should be, written down beside the product and compared with its rows."""

from dataclasses import dataclass, field, replace

from messaging.lifecycle.transitions import CLAIM, DELIVER, GIVE_BACK, LOSE, TABLE

# What a person may order for a message, by where it stands (see `place`).
OFFERED = {
    "hold": {"waiting", "timed", "in batch"},
    "cancel": {"waiting", "timed", "in batch", "held", "nobody's draft"},
    "release": {"held", "nobody's draft"},
    "try_now": {"timed", "in batch"},
    "retry": {"failed"},
    "mark_as_sent": {"unknown"},
    "send_again": {"unknown"},
    "sent_from_mail_program": {"in mail program"},
    "put_back": {"in mail program"},
    "hand_over": {"waiting", "timed", "held", "nobody's draft", "failed"},
    "edit": {"waiting", "timed", "held", "nobody's draft", "failed", "nobody named"},
}
IN_BULK = ("hold", "release", "cancel")
WRITTEN_AGAIN = {"failed", "nobody named"}  # by their author, with the form they were refused in
PLACES = (
    "waiting", "timed", "in batch", "held", "in mail program", "nobody's draft", "sending", "in data", "sent",
    "failed", "nobody named", "unknown", "cancelled",
)  # fmt: skip
REFUSALS = {(order, place) for order, places in OFFERED.items() for place in PLACES if place not in places}
REFUSALS |= {("write_again", place) for place in PLACES if place not in WRITTEN_AGAIN}
REFUSALS |= {(f"{order} in bulk", place) for order in IN_BULK for place in PLACES if place not in OFFERED[order]}

# What a transition leaves beside its event: an attempt, or nothing yet.
ATTEMPTED, SILENT = (DELIVER, LOSE), (CLAIM, GIVE_BACK)
TRANSITIONS = {transition.name: transition for transition in TABLE}
WAYS = {(each.name, source or "new", target) for each in TABLE for source, target in each.pairs}


@dataclass
class Expected:
    """A message: the columns that say how it stands, and its recipients' outcomes."""

    status: str
    author: int | None = None
    recipients: dict = field(default_factory=dict)
    account: int | None = None
    batch: int | None = None
    why: str = ""
    not_before: object = None
    held_until: object = None
    hold_kind: str = ""
    handed_to: int | None = None
    status_before: str = ""
    is_immediate: bool = False
    urgent: bool = False
    tries: int = 0
    is_leased: bool = False
    may_be_accepted: bool = False
    category: str = ""
    sent_at: object = None
    fence: int = 0
    # Not columns: since when it waits, the end of its lease, what was heard before the end of data, what was heard of
    # each address last, and what becomes of it if it comes back, because the person it goes out for left meanwhile.
    since: object = None
    why_before: str = ""
    lease_ends: object = None
    heard: dict = field(default_factory=dict)
    last: dict = field(default_factory=dict)
    recall: object = None
    versions: int = 0
    is_asked_about: bool = False

    @property
    def place(self):
        """Where it stands, as orders see it."""
        if self.status == "queued":
            return "in batch" if self.batch else "waiting" if self.not_before is None else "timed"
        if self.status == "held":
            if self.hold_kind == "mail-program":
                return "in mail program" if self.handed_to else "nobody's draft"
            return "held"
        if self.status == "sending":
            return "in data" if self.may_be_accepted else "sending"
        return "nobody named" if self.status == "failed" and not self.recipients else self.status

    def columns(self):
        return (
            self.why, self.is_leased, dict(self.recipients), self.status, self.author, self.account, self.batch,
            self.not_before, self.held_until, self.hold_kind, self.handed_to, self.status_before, self.is_immediate,
            self.urgent, self.tries, self.may_be_accepted, self.category, self.sent_at, self.fence,
        )  # fmt: skip

    def has(self, *outcomes):
        return any(outcome in outcomes for outcome in self.recipients.values())

    def allows(self, order, *, by_mapi):
        """Whether the order is carried out, given by a person whose settings open a mail program or send over SMTP."""
        if self.place not in OFFERED[order]:
            return False
        if order == "hand_over":
            return by_mapi and not self.has("accepted", "unknown")
        if order == "edit":
            return not self.has("accepted", "unknown")
        return not (by_mapi and order in ("retry", "send_again"))

    def offered(self, *, by_mapi):
        """What its page offers: all that is not refused, but what has a page of its own."""
        return {order for order in OFFERED if order != "edit" and self.allows(order, by_mapi=by_mapi)}

    def copy(self):
        return replace(self, recipients=dict(self.recipients), heard=dict(self.heard), last=dict(self.last))

    def refused_for_good(self, address):
        """An address whose mailbox a server does not know stays refused, whatever else is edited."""
        return self.recipients.get(address) == "failed" and self.last.get(address) == "no such mailbox"


FIELDS = (
    "why", "is leased", "recipients", "status", "author", "account", "batch", "not_before", "held_until", "hold_kind",
    "handed_to", "status_before", "is_immediate", "urgent", "tries", "may_be_accepted", "reason_category",
    "sent_at", "fence",
)  # fmt: skip


@dataclass
class ExpectedBatch:
    """A batch, and of each message chosen: (state, the outcome written down)."""

    created_by: int | None
    account: int | None
    status: str = "draft"
    is_retry: bool = False
    items: dict = field(default_factory=dict)

    def results(self, batch, messages):
        """Of each message, what the report says."""
        return {pk: self.result(batch, pk, messages[pk]) for pk in self.items}

    def result(self, batch, pk, message):
        state, outcome = self.items[pk]
        if state != "released":
            return state
        if outcome:
            return outcome
        if message.batch == batch and message.status == "queued":
            return "retrying" if message.tries else "waiting"
        return message.status
