"""A new message: written, and sent or queued once."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.contrib import messages as notes
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from messaging import send_at_once
from messaging.admission import AdmissionEnded
from messaging.company.options import options
from messaging.compose import form_submissions
from messaging.compose.letters import Letter, as_typed, raw_of
from messaging.console import promise_field, shown
from messaging.console.filters import ids_in
from messaging.console.forms.compose import NewMessageForm, senders_of
from messaging.console.presentation.outcome import not_sent, result_of
from messaging.console.session_end import typed_again
from messaging.intake import gate
from messaging.models import CompanyOptions, FormSubmission, Message, Phrase, Reason
from messaging.queue import actions, promises
from messaging.queue.promises import Going, NotAsPromised, Promise
from messaging.setup.layers import EmailSetup, resolve
from messaging.submit import Outcome, State
from messaging.wording import in_words

from .guard import operators_only, who
from .letter_files import LetterFiles, place

SEND, QUEUE, AT, OPEN, INSTEAD = "send", "queue", "at", "open", "instead"


@dataclass
class _Writing:
    """One request of a person who writes: what the page depends on."""

    request: HttpRequest
    user: User
    setup: EmailSetup
    company: CompanyOptions

    @classmethod
    def of(cls, request: HttpRequest) -> "_Writing":
        return cls(request, who(request), resolve(who(request)), options())

    def senders(self) -> list[Any]:
        return senders_of(self.user, self.setup, self.company)

    @cached_property
    def goes(self) -> Going:
        """How it leaves the queue."""
        return promises.from_queue(self.user, holds=self.company.hold_mail)

    @cached_property
    def ways(self) -> dict[str, str]:
        """What may be done with the message, the main one first, each with its promise.

        While the company holds mail no one sends past the queue (S1).
        """
        found = {QUEUE: f"{QUEUE}:{self.goes.promise}"}
        if self.setup.is_mapi:
            found = {OPEN: f"{OPEN}:"} | found
        elif not self.company.hold_mail:
            found = {SEND: f"{SEND}:{Promise.AT_ONCE}"} | found
        return found if self.setup.problems() else found | {AT: promise_field.zone(AT)}

    def promise(self, do: str) -> Promise | None:
        """What becomes of the message; None: it is opened in a mail program. Raises NotAsPromised."""
        button = QUEUE if do == INSTEAD else do
        if self.ways.get(button) not in promise_field.of(self.request.POST):
            raise NotAsPromised
        return {SEND: Promise.AT_ONCE, QUEUE: self.goes.promise, AT: Promise.OWN}.get(button)

    def earlier(self) -> actions.Replaced | None:
        """The record of the refusal that this form was shown with, if it was recorded."""
        found = ids_in([self.said("earlier")])
        message = Message.objects.filter(pk__in=found, author=self.user).first() if found else None
        return actions.Replaced(message, shown.of(self.request)) if message is not None else None

    def said(self, name: str) -> str:
        """What the form said in a hidden field, also where it is filled in again after a sign-in."""
        given: str = self.request.POST.get(name, "")
        return given or next(iter(typed_again(self.request, name)), "")

    def show(self, form: NewMessageForm, files: LetterFiles, *, status: int = 200, **more: Any) -> HttpResponse:
        context = {
            "form": form,
            "files": files,
            "ways": self.ways,
            "goes": self.goes,
            "holds": self.company.hold_mail,
            "is_mapi": self.setup.is_mapi,
            "no_time": "" if self.setup.is_mapi else " ".join(map(in_words, self.setup.problems())),
            "zone": timezone.get_current_timezone_name(),
            "key": form_submissions.new_key(),
            "earlier": self.said("earlier"),
            "shown": self.said("shown"),
            **more,
        }
        return render(self.request, "compose/new.html", context, status=status)


@operators_only
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The form, and what is done with it; a refusal keeps everything that was typed and picked (422)."""
    writing = _Writing.of(request)
    if request.method == "POST":
        return _post(writing)
    # No one who finds a form filled in remembers a hidden field of it: the page says what it stands for.
    earlier = writing.earlier()
    replaces = earlier.message if earlier is not None else None
    return writing.show(NewMessageForm(writing.senders()), LetterFiles.again(request), replaces=replaces)


def _post(writing: _Writing) -> HttpResponse:
    request, user = writing.request, writing.user
    do = request.POST.get("do", "")
    key = _key(request.POST.get("key", ""))
    form = NewMessageForm(writing.senders(), request.POST, wants_time=do == AT)
    files = LetterFiles.of(request)
    before = FormSubmission.objects.filter(key=key).select_related("message").first()
    if before is not None:
        return _again(writing, before, form, files)
    try:
        promise = writing.promise(do)
    except NotAsPromised:
        return writing.show(form, files.keep(), status=409, has_changed=True)
    if not form.is_valid() or files.error:
        return writing.show(form, files.keep(), status=422)
    given = form.cleaned_data
    letter = Letter(
        form.senders[given["sender"]], given["to"], given["cc"], given["bcc"], given["subject"], given["text"],
        files.read(),
    )  # fmt: skip
    row = form_submissions.begin(key, by=user)
    if row is None:
        before = FormSubmission.objects.filter(key=key).select_related("message").first()
        return _again(writing, before, form, files)
    try:
        return _hand_in(writing, row, letter, do, promise, form, files)
    except AdmissionEnded:
        form_submissions.withdraw(row)
        raise
    except NotAsPromised:
        form_submissions.withdraw(row)
        return _Writing.of(request).show(form, files.keep(), status=409, has_changed=True)
    except actions.NotReplaced as error:
        form_submissions.withdraw(row)
        form.add_error(None, str(error))
        now = shown.named(actions.shown_of(error.message))
        return _Writing.of(request).show(form, files.keep(), record=error.message, shown=now, status=422)
    except (gate.Refused, actions.NotPossible) as error:
        form_submissions.withdraw(row)
        place(error, form, files)
        return _Writing.of(request).show(form, files.keep(), status=422)
    except Exception:
        form_submissions.break_off(row)
        raise


def _key(text: str) -> str:
    try:
        return UUID(text).hex
    except ValueError:
        return form_submissions.new_key()


def _hand_in(
    writing: _Writing,
    row: FormSubmission,
    letter: Letter,
    do: str,
    promise: Promise | None,
    form: NewMessageForm,
    files: LetterFiles,
) -> HttpResponse:
    at: datetime | None = form.cleaned_data["at"]
    submission = gate.Submission(
        raw_of(letter), letter.sender.address, letter.recipients, author=writing.user, not_before=at, via="console"
    )
    if promise is None:
        return _open(writing, row, submission)
    return _send(writing, row, submission, do, promise, form, files)


def _send(
    writing: _Writing,
    row: FormSubmission,
    submission: gate.Submission,
    do: str,
    promise: Promise,
    form: NewMessageForm,
    files: LetterFiles,
) -> HttpResponse:
    def stored(message: Message) -> None:
        form_submissions.link(row, message)

    def keep(outcome: Outcome) -> None:
        form_submissions.end(row, FORM_STATES[outcome.state], result_of(outcome))

    def break_off(error: Exception) -> None:
        if isinstance(error, gate.Refused | actions.NotPossible | AdmissionEnded):
            why = Phrase(Reason.SAID, words=str(error))
            form_submissions.end(row, FormSubmission.State.NOT_SENT, Phrase("form-not-sent", why=why))
        else:
            form_submissions.break_off(row)

    outcome = send_at_once.submit_watched(
        submission, stored, keep, break_off, queue_instead=do in (QUEUE, INSTEAD), promised=promise,
        in_place_of=writing.earlier(), has_gone=writing.request.META.get("waitress.client_disconnected", lambda: False),
    )  # fmt: skip
    if outcome is None:
        return redirect("message-submitted", key=UUID(row.key))
    message = outcome.message if outcome.is_recorded else None
    if outcome.state == State.FAILED or (outcome.state == State.PARTLY and message is None):
        writing = _Writing.of(writing.request)  # a mail server takes its time
        form = NewMessageForm(writing.senders(), _left(writing.request.POST, form, outcome))
        refused = {"earlier": "", "shown": ""}
        if message is not None:
            refused = {"earlier": str(message.pk), "shown": shown.named(actions.shown_of(message))}
        return writing.show(form, files.keep(), refusal=not_sent(outcome), status=422, **refused)
    if message is None:
        return redirect("message-submitted", key=UUID(row.key))
    level = notes.SUCCESS if outcome.state in (State.SENT, State.QUEUED) else notes.WARNING
    notes.add_message(writing.request, level, in_words(result_of(outcome)))
    return redirect(message)


def _open(writing: _Writing, row: FormSubmission, submission: gate.Submission) -> HttpResponse:
    """To the person's own mail program (S11)."""
    with transaction.atomic():
        if (earlier := writing.earlier()) is not None:
            actions.write_again(earlier.message, by=writing.user, seen=earlier.seen, to=submission.recipients)
        message = gate.accept(submission)
        actions.open_in_mail_program(message, by=writing.user)
        form_submissions.link(row, message)
    told = Phrase("form-handed-over")
    form_submissions.end(row, FormSubmission.State.HANDED_OVER, told)
    notes.success(writing.request, in_words(told))
    return redirect(message)


FORM_STATES = {
    State.QUEUED: FormSubmission.State.QUEUED,
    State.SENT: FormSubmission.State.SENT,
    State.PARTLY: FormSubmission.State.PARTLY,
    State.UNKNOWN: FormSubmission.State.UNKNOWN,
    State.FAILED: FormSubmission.State.NOT_SENT,
}


def _left(data: QueryDict, form: NewMessageForm, outcome: Outcome) -> QueryDict:
    """The form's data without those who have the message already."""
    left = data.copy()
    for name in ("to", "cc", "bcc") if outcome.accepted else ():
        left[name] = as_typed(each for each in form.cleaned_data[name] if each.address not in outcome.accepted)
    return left


# --- The same form again -------------------------------------------------------------------------------


def _again(writing: _Writing, before: FormSubmission | None, form: NewMessageForm, files: LetterFiles) -> HttpResponse:
    """Nothing is sent: what became of the form when it was sent first."""
    if before is None or before.by_id != writing.user.pk:
        return writing.show(
            form, files.keep(), status=409, again="Nothing was sent, because this page was out of date. Send it again."
        )
    if (message := form_submissions.message_to_show(before)) is not None:
        notes.info(writing.request, "You had already sent this form, and it was not sent again. Here is its message.")
        return redirect(message)
    state, told = form_submissions.what_became(before)
    if state == FormSubmission.State.NOT_SENT:
        again = f"You had already sent this form, so nothing was done now. {in_words(told)} What you typed is below."
        return writing.show(form, files.keep(), status=409, again=again)
    return redirect("message-submitted", key=UUID(before.key))
