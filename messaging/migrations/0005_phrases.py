"""Rows keep what is told as a key and its parameters; the words are made when they are shown.

What v0.1.0 kept as sentences is carried over (see _v0_1_0_sentences.py), so that every page says what it said before.
There is no way back for rows: sentences are not made again.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.exceptions import IrreversibleError

from . import _v0_1_0_sentences as sentences

CHUNK = 5000
FEW = 200  # of rows that may be large: an attempt holds a reply per recipient, a version a whole message
TEXTS = [
    ("message", "reason"),
    ("message", "reason_before"),
    ("message", "doubt"),
    ("batchitem", "reason"),
    ("noticeitem", "reason"),
    ("heartbeat", "note"),
]


def carry_over(apps, schema_editor):
    """Make phrases of all sentences."""
    for part in (_messages, _recipients, _attempts, _pauses, _events, _versions, _items, _runs, _forms, _notices, _notes):
        part(apps)
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.connection.check_constraints()  # now: a table with checks to come cannot be altered


# --- Each table ------------------------------------------------------------------------------------------


def _messages(apps):
    columns = ("status", "reason_category", "reason_text", "reason_before_text", "doubt_text", "handed_to_id")
    wanted = ~models.Q(reason_text="", doubt_text="", reason_before_text="") | models.Q(status="held")
    for rows in _chunks(apps, "Message", columns, wanted):
        done = _done(apps, [row for row in rows if row["status"] in ("held", "cancelled")])
        _write(apps, "Message", rows, lambda row: _message(row, done.get(row["pk"], [])))


def _message(row, events):
    """Of a message: `events` are the texts of what was done to it, in their order."""
    status, category, text = row["status"], row["reason_category"], row["reason_text"]
    values = {"doubt": sentences.doubt_of(row["doubt_text"])}
    if status == "held" and _is_in_mail_program(row, events):
        before = row["reason_before_text"]
        was_held = before and not category and not _is_known(before, events)  # a person's reason has no category
        return values | {
            "hold_kind": "mail-program",
            "reason": sentences.reason_of(text),
            "status_before": "held" if was_held else "",  # the others: _statuses_before
            "reason_before": _by_person(before) if was_held else sentences.reason_of(before, category),
        }
    if status == "held":
        reason = sentences.reason_of(text) if _is_known(text, events) else _by_person(text)
        return values | {"hold_kind": "hold", "reason": reason}
    if status == "cancelled" and not _is_ours(text, "Cancelled", events):
        return values | {"reason": _by_person(text)}
    return values | {"reason": sentences.reason_of(text, category)}


def _by_person(text):
    return sentences.said(text) if text else None


def _is_in_mail_program(row, events):
    """Also where its user was deleted: then only what was done to the message tells it from a person's own words."""
    if row["handed_to_id"] is not None:
        return True
    found = sentences.HANDED_OVER.fullmatch(row["reason_text"])
    return found is not None and _is_ours(row["reason_text"], "Held", events)


def _is_known(text, events):
    """Whether a reason is v0.1.0's own: one of its sentences, and not what a person gave as the reason of a hold."""
    return sentences.is_known(text) and f"Held: {text}"[:500] not in events


def _is_ours(text, order, events):
    """Whether a text is what v0.1.0 did last, and not what a person gave as the reason of an order."""
    last = next((what for what in reversed(events) if what == text or what.startswith(order)), "")
    return bool(text) and last == text


def _done(apps, rows):
    found = {}
    events = apps.get_model("messaging", "MessageEvent").objects.filter(message__in=[row["pk"] for row in rows])
    for message, what in events.order_by("pk").values_list("message_id", "what_text"):
        found.setdefault(message, []).append(what)
    return found


def _statuses_before(apps):
    """A draft that was not sent goes back to the queue as long as a recipient is left, as v0.1.0 had it."""
    drafts = apps.get_model("messaging", "Message").objects.filter(hold_kind="mail-program", status_before="")
    left = apps.get_model("messaging", "Recipient").objects.filter(message=models.OuterRef("pk"), status="pending")
    drafts.filter(models.Exists(left)).update(status_before="queued")
    drafts.filter(status_before="").update(status_before="failed")


def _recipients(apps):
    _statuses_before(apps)
    wanted = models.Q(reply_code=None) & ~models.Q(reply_text="")
    for rows in _chunks(apps, "Recipient", ("status", "reply_text"), wanted):
        _write(apps, "Recipient", rows, _recipient)


def _recipient(row):
    text = row["reply_text"]
    said = sentences.decided_by(text) if row["status"] == "accepted" else sentences.local_error(None, text)
    return {"said": said, "reply_text": ""} if said is not None else {}


def _attempts(apps):
    columns = ("explanation", "advice", "reply_code", "reply_text", "recipients")
    for rows in _chunks(apps, "SendAttempt", columns, number=FEW):
        _write(apps, "SendAttempt", rows, _attempt)


def _attempt(row):
    reason = sentences.judged(row["explanation"], row["advice"])
    values = {"reason": reason}
    said = _local(row["reply_code"], row["reply_text"], reason)
    if said is not None:
        values |= {"said": said, "reply_text": ""}
    replies = [_reply(reply, reason) for reply in row["recipients"]]
    return values | ({"recipients": replies} if replies != row["recipients"] else {})


def _reply(reply, reason):
    said = _local(reply.get("reply_code"), reply.get("reply_text", ""), reason)
    return reply | {"reply_text": "", "said": said} if said is not None else reply


def _local(code, text, reason):
    said = sentences.local_error(code, text)
    if said is not None and said["key"] == "no auth" and reason == {"key": "no-token-sign-in"}:
        said["key"] = "no token sign-in"
    return said


def _pauses(apps):
    for rows in _chunks(apps, "AccountPause", ("kind", "explanation", "advice", "reply_text")):
        _write(apps, "AccountPause", rows, _pause)


def _pause(row):
    said = sentences.local_error(None, row["reply_text"])
    reason = sentences.paused(row["kind"], row["explanation"], row["advice"])
    return {"reason": reason} | ({"said": said, "reply_text": ""} if said is not None else {})


def _events(apps):
    for rows in _chunks(apps, "MessageEvent", ("message_id", "at", "by_id", "what_text")):
        edits = _edits(apps, [row["message_id"] for row in rows if row["what_text"].startswith("Edited: ")])
        _write(apps, "MessageEvent", rows, lambda row: _event(row, edits))


def _edits(apps, messages):
    """The number of each version that an edit made, by message and time, and how the edit was told."""
    versions = apps.get_model("messaging", "MessageVersion").objects.filter(message__in=messages)
    return {
        (message, at): (number, f"Edited: {sentences.changes_in_words(changes)}")
        for message, at, number, changes in versions.values_list("message_id", "at", "number", "changes")
    }


def _event(row, edits):
    kind, params = sentences.event_of(row["what_text"], by_person=row["by_id"] is not None)
    number, words = edits.get((row["message_id"], row["at"]), (None, ""))
    if kind == "edited" and words == row["what_text"]:
        params = {"version": number}
    return {"kind": kind, "params": params}


def _versions(apps):
    for rows in _chunks(apps, "MessageVersion", ("changes", "fields"), number=FEW):
        _write(apps, "MessageVersion", rows, _version)


def _version(row):
    fields = row["fields"]
    category = fields.get("reason_category", "")
    phrases = {"reason": sentences.reason_of(fields.get("reason", ""), category)}
    phrases["doubt"] = sentences.doubt_of(fields.get("doubt", ""))
    return {"changes": sentences.changes_of(row["changes"]), "fields": fields | phrases}


def _items(apps):
    company = apps.get_model("messaging", "CompanyOptions").objects.values_list("time_zone", flat=True).first()
    zone = _zone(company) or _zone(settings.TIME_ZONE) or UTC
    columns = ("state", "reason_text", "message__sent_at", "message__reason_category")
    for rows in _chunks(apps, "BatchItem", columns, ~models.Q(reason_text="")):
        _write(apps, "BatchItem", rows, lambda row: {"reason": _item(row, zone)})


def _item(row, zone):
    if row["state"] != "skipped":
        return sentences.reason_of(row["reason_text"], row["message__reason_category"])
    sent_at = row["message__sent_at"]
    # A time that was told in another zone or language stays as it was told.
    told_as = f"{sent_at.astimezone(zone):%-d %b %Y, %H:%M}" if sent_at else ""
    return sentences.skipped(row["reason_text"], sent_at.isoformat() if sent_at else "", told_as)


def _zone(name):
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, OSError):  # not known here
        return None


def _runs(apps):
    columns = ("words", "due_at", "schedule__time_zone")
    for rows in _chunks(apps, "ScheduleRun", columns, ~models.Q(words="")):
        _write(apps, "ScheduleRun", rows, lambda row: {"remarks": _remarks(row)})


def _remarks(row):
    zone, due_at = _zone(row["schedule__time_zone"]) or UTC, row["due_at"]

    def time_of(words):
        """The last time before the run that was told so."""
        for year in (due_at.astimezone(zone).year, due_at.astimezone(zone).year - 1):
            try:
                found = datetime.strptime(f"{words} {year}", "%d %b %H:%M %Y").replace(tzinfo=zone)
            except ValueError:  # 29 February, or another language
                continue
            if found <= due_at and f"{found:%-d %b %H:%M}" == words:
                return found.isoformat()
        return None

    return sentences.remarks_of(row["words"], time_of)


def _forms(apps):
    for rows in _chunks(apps, "Submitted", ("words",), ~models.Q(words="")):
        _write(apps, "Submitted", rows, _form)


def _form(row):
    state, told = sentences.form_of(row["words"])
    return {"state": state, "told": told}


def _notices(apps):
    columns = ("kind", "subject", "reason_text", "message__reason_category")
    for rows in _chunks(apps, "NoticeItem", columns):
        _write(apps, "NoticeItem", rows, _notice)


def _notice(row):
    if row["kind"] != "paused":
        return {"reason": sentences.reason_of(row["reason_text"], row["message__reason_category"] or "")}
    account = row["subject"].removeprefix("Sending as ")
    return {
        "subject": "" if account == "the company" else account,
        "reason": sentences.told_of_pause(row["reason_text"]),
    }


def _notes(apps):
    for rows in _chunks(apps, "Heartbeat", ("note_text",), ~models.Q(note_text="")):
        _write(apps, "Heartbeat", rows, lambda row: {"note": _note(row["note_text"])})


def _note(text):
    lines = (line.partition(": ") for line in text.splitlines())
    errors = [{"key": "opt error", "file": file, "problem": sentences.told(words)} for file, _, words in lines]
    return {"key": "opt errors", "errors": errors}


# --- Rows ------------------------------------------------------------------------------------------------


def _chunks(
    apps, model: str, columns: tuple[str, ...], wanted: models.Q = models.Q(), number: int = CHUNK
) -> Iterator[list[dict]]:
    """The rows of a table in the order of their keys, some at a time, as dicts with "pk"."""
    rows = apps.get_model("messaging", model)._base_manager.filter(wanted).order_by("pk")
    last = None
    while found := list((rows if last is None else rows.filter(pk__gt=last)).values("pk", *columns)[:number]):
        yield found
        last = found[-1]["pk"]


def _write(apps, model: str, rows: list[dict], values_of: Callable[[dict], dict]) -> None:
    """Give each row its values: a statement for all of a chunk that get the same."""
    alike: dict[str, tuple[dict, list]] = {}
    for row in rows:
        values = values_of(row)
        if values:
            alike.setdefault(repr(values), (values, []))[1].append(row["pk"])
    for values, keys in alike.values():
        apps.get_model("messaging", model)._base_manager.filter(pk__in=keys).update(**values)


def go_back_only_without_rows(apps, schema_editor):
    """Refuse to go back before anything is lost."""
    for model in ("Message", "AccountPause", "Notice", "Heartbeat", "ScheduleRun", "Submitted"):
        if apps.get_model("messaging", model)._base_manager.exists():
            raise IrreversibleError("Version 0.1.0 kept sentences, which are not made again: restore the backup.")


# --- Columns ---------------------------------------------------------------------------------------------


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0004_company_options"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        *(migrations.RenameField(model, name, f"{name}_text") for model, name in TEXTS),
        migrations.RenameField("messageevent", "what", "what_text"),
        migrations.AddField(
            'message', 'reason',
            models.JSONField(blank=True, help_text='By Reason, or by the meaning of what a server said.', null=True),
        ),
        migrations.AddField(
            'message', 'reason_before',
            models.JSONField(blank=True, help_text='With a hold of MAIL_PROGRAM: the reason before that.', null=True),
        ),
        migrations.AddField(
            'message', 'doubt',
            models.JSONField(blank=True, help_text='Why an address cannot be right, known before it is sent.', null=True),
        ),
        migrations.AddField(
            'message', 'hold_kind',
            models.CharField(blank=True, choices=[('hold', 'Held until its time or until released'), ('mail-program', "In a person's mail program as a draft (send types 0 and 1)")], db_default='', help_text='With held: what kind of hold it is.', max_length=12),
        ),
        migrations.AddField(
            'message', 'status_before',
            models.CharField(blank=True, db_default='', help_text='With a hold of MAIL_PROGRAM: the status before that.', max_length=10),
        ),
        migrations.AddField(
            'recipient', 'said',
            models.JSONField(blank=True, help_text="In the place of a server's words: this machine's error, or who decided.", null=True),
        ),
        migrations.AddField(
            'sendattempt', 'said',
            models.JSONField(blank=True, help_text="This machine's error, in the place of a server's words or beside them.", null=True),
        ),
        migrations.AddField(
            'sendattempt', 'reason',
            models.JSONField(blank=True, help_text='What it means, by delivery/reply_table.py.', null=True),
        ),
        migrations.AddField(
            'batchitem', 'reason',
            models.JSONField(blank=True, help_text='Why skipped, or why it failed here.', null=True),
        ),
        migrations.AddField(
            'accountpause', 'said',
            models.JSONField(blank=True, help_text="This machine's error, as in SendAttempt.", null=True),
        ),
        migrations.AddField(
            'accountpause', 'reason',
            models.JSONField(blank=True, help_text="By Reason or by the meaning of what a server said; a person's own words.", null=True),
        ),
        migrations.AddField(
            'schedulerun', 'remarks',
            models.JSONField(blank=True, help_text='What is to be said of it, such as why it was refused.', null=True),
        ),
        migrations.AddField(
            'submitted', 'told',
            models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            'submitted', 'state',
            models.CharField(choices=[('sending', 'Being sent'), ('queued', 'Queued'), ('sent', 'Sent'), ('partly', 'Sent to some only'), ('not-sent', 'Not sent'), ('unknown', 'Outcome unknown'), ('handed-over', 'Handed over to a mail program'), ('broken-off', 'Broken off by an error')], default='sending', max_length=12),
        ),
        migrations.AddField(
            'noticeitem', 'reason',
            models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            'heartbeat', 'note',
            models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            'messageevent', 'kind',
            models.CharField(choices=[('queued', 'Accepted into the queue'), ('taken-at-once', 'Taken to be sent at once'), ('ended-early', 'Not sent at once, before a server was asked'), ('held', 'Held'), ('hold-ended', 'Hold ended by itself'), ('released', 'Released'), ('cancelled', 'Cancelled'), ('expired', 'Waited too long'), ('retry', 'Retry ordered'), ('try-now', 'Try now ordered'), ('marked-as-sent', 'Marked as sent'), ('send-again', 'Send again ordered'), ('edited', 'Edited'), ('written-again', 'Written again'), ('not-written-again', 'Not written again'), ('handed-over', 'Handed over to a mail program'), ('sent-from-mail-program', 'Sent from a mail program'), ('put-back', 'Put back, not sent from a mail program'), ('rescued', 'Back in the queue after its worker stopped'), ('stopped', 'Not sent at once, because its process stopped'), ('rerouted', 'Given to an account that works'), ('told', 'Told by a version that kept sentences')], max_length=24, default='told'),
            preserve_default=False,
        ),
        migrations.AddField(
            'messageevent', 'params',
            models.JSONField(blank=True, default=dict, help_text='What the words of the kind need, as in Phrase.'),
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        *(migrations.RemoveField(model, f"{name}_text") for model, name in TEXTS),
        migrations.RemoveField("messageevent", "what_text"),
        migrations.RemoveField("sendattempt", "explanation"),
        migrations.RemoveField("sendattempt", "advice"),
        migrations.RemoveField("accountpause", "explanation"),
        migrations.RemoveField("accountpause", "advice"),
        migrations.RemoveField("schedulerun", "words"),
        migrations.RemoveField("submitted", "words"),
        migrations.RemoveField("notice", "subject"),
        migrations.RemoveField("notice", "text"),
        migrations.RemoveField("messageversion", "why"),
        migrations.AlterField(
            'batch', 'source',
            models.CharField(choices=[('console', 'Console'), ('command', 'Command'), ('schedule', 'Schedule')], default='console', max_length=60),
        ),
        migrations.AlterField(
            'message', 'handed_to',
            models.ForeignKey(blank=True, db_index=False, help_text='With a hold of MAIL_PROGRAM: whose it is; empty when their account was deleted.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            'messageversion', 'changes',
            models.JSONField(default=list, help_text='What was changed then: [{"field": "subject", "before": …, "after": …}, …].'),
        ),
        migrations.AlterField(
            'sendattempt', 'reply_text',
            models.TextField(blank=True, help_text="The server's own words, or those of the operating system."),
        ),
        migrations.RunPython(migrations.RunPython.noop, go_back_only_without_rows),
    ]
