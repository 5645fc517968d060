"""A message corrected before it is sent, and the versions it had before."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib import messages as notes
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from messaging import content, editing, queue, versions
from messaging.console.filters import ids_in
from messaging.console.forms.edited import EditedForm, shown
from messaging.console.history import RECIPIENTS
from messaging.console.paging import page_of_list
from messaging.intake.errors import Refused
from messaging.models import Attachment, Message, MessageVersion
from messaging.octets import Octets
from messaging.queue import NotPossible
from messaging.wording import changes_in_words, moment, person

from .content import streamed
from .guard import operators_only, who
from .letter_files import LetterFiles, place

TITLES = {"to": "To", "cc": "Cc", "bcc": "Bcc", "subject": "Subject", "text": "Text"}


STAYS_FAILED = (
    " It stays failed, because its recipients were refused for good. Correct their addresses; or, if they are right, "
    "Retry."
)


@dataclass
class _Editing:
    """One request of a person who edits: the message as it is now, and as the form was shown with it (`base`)."""

    request: HttpRequest
    message: Message
    now: versions.Current
    base: versions.Current
    form: EditedForm
    files: LetterFiles

    @classmethod
    def of(cls, request: HttpRequest, message: Message, files: LetterFiles | None = None) -> "_Editing":
        """Raises NotPossible when an attachment is missing from the disk."""
        now = versions.current(message)
        if request.method != "POST":
            return cls(request, message, now, now, EditedForm(now), LetterFiles.again(request))
        seen = next(iter(ids_in([request.POST.get("version", "")])), 0)
        base = now if seen == now.version else versions.as_of(message, seen, now)
        return cls(request, message, now, base, EditedForm(now, base, request.POST), files or LetterFiles.of(request))

    @cached_property
    def counterparts(self) -> dict[int, int]:
        return versions.counterparts(self.base, self.now)

    @cached_property
    def taken_out(self) -> set[int]:
        """The numbers, in `base`, of the attachments that this person takes out."""
        if self.request.method != "POST":
            return set()
        return self.base.removable - set(ids_in(self.request.POST.getlist("stay")))

    @property
    def removed(self) -> frozenset[int]:
        """The same in `now`: what another user took out as well is not among them."""
        return frozenset(self.counterparts[number] for number in self.taken_out & self.counterparts.keys())

    @property
    def is_overtaken(self) -> bool:
        """Whether something of this person's is to be put together with what others saved."""
        mine = self.form.touched or self.removed or self.replaced or self.files.kept or self.files.picked
        return self.base is not self.now and bool(mine)

    def edit(self) -> editing.Edit:
        given = self.form.cleaned_data
        text = given["text"] if "text" in self.form.touched and not self.now.why_text_stays else None
        return editing.Edit(
            given["to"], given["cc"], given["bcc"], given["subject"], text, self.removed, self.files.read()
        )

    @cached_property
    def added(self) -> set[int]:
        """The numbers, in `now`, of what others attached."""
        return {row.number for row in self.now.attachments} - set(self.counterparts.values())

    @cached_property
    def replaced(self) -> set[int]:
        """Those of them that have the name or the content of an attachment that both took out."""
        gone = [row for row in self.base.attachments if row.number in self.taken_out - self.counterparts.keys()]
        names, contents = {row.filename for row in gone}, {row.sha256 for row in gone}
        return {
            row.number
            for row in self.now.attachments
            if row.number in self.added and (row.filename in names or row.sha256 in contents)
        }

    def attachments(self) -> list[tuple[Attachment, bool, bool, str]]:
        """Each with whether it may be taken out, whether it stays, and what others did with it."""
        notes = dict.fromkeys(self.added, "attached meanwhile")
        notes |= dict.fromkeys(self.replaced, "attached meanwhile in the place of the one that you took out")
        return [
            (row, row.number in self.now.removable, row.number not in self.removed, notes.get(row.number, ""))
            for row in self.now.attachments
        ]

    def show(self, *, status: int = 200, obstacle: str = "") -> HttpResponse:
        theirs = versions.since(self.message, self.base.version) if self.is_overtaken else []
        context: dict[str, Any] = {
            "message": self.message,
            "current": self.now,
            "form": self.form,
            "files": self.files.keep(),
            "attachments": self.attachments(),
            "obstacle": obstacle,
            "meanwhile": [f"{_by(version)}: {changes_in_words(version.changes)}." for version in theirs],
            "conflicts": [self._conflict(name, theirs) for name in self.form.conflicts],
        }
        return render(self.request, "messaging/message_edit.html", context, status=status)

    def _conflict(self, name: str, since: list[MessageVersion]) -> dict[str, str]:
        """A field that both changed: what the other person wrote, and who that was."""
        theirs = [each for each in since if any(change["field"] == name for change in each.changes)]
        by = _by(theirs[-1]) if theirs else ""
        return {"name": name, "title": TITLES[name], "by": by, "theirs": shown(self.now)[name]}


def _by(version: MessageVersion) -> str:
    return f"{person(version.by, 'A deleted user')} {moment(version.at)}"


@operators_only
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """The form, and what it changes; what was typed is kept whatever stands against it (409, 422)."""
    message = get_object_or_404(queue.visible_to(who(request)).select_related("handed_to", "content", "author"), pk=pk)
    obstacle = editing.why_not(message)
    try:
        opened = _Editing.of(request, message)
    except NotPossible as error:
        notes.warning(request, str(error))
        return redirect(message)
    if request.method == "POST":
        return opened.show(status=409, obstacle=obstacle) if obstacle else _save(opened)
    if obstacle:
        notes.warning(request, f"It cannot be edited. {obstacle}")
        return redirect(message)
    return opened.show()


def _save(opened: _Editing) -> HttpResponse:
    request, message, form, files = opened.request, opened.message, opened.form, opened.files
    is_valid = form.is_valid()
    if opened.is_overtaken:
        return opened.show(status=409)
    if not is_valid or files.error:
        return opened.show(status=422)
    was_failed = message.status == Message.Status.FAILED
    try:
        changes = editing.apply(message, opened.edit(), by=who(request), seen=opened.now.version)
    except NotPossible as error:
        return opened.show(status=409, obstacle=str(error))
    except editing.EditedMeanwhile:
        message.refresh_from_db()
        return _save(_Editing.of(request, message, files))
    except Refused as error:
        place(error, form, files)
        return opened.show(status=422)
    more = ""
    if was_failed:
        more = STAYS_FAILED if message.status == Message.Status.FAILED else " It is back in the queue."
    notes.success(request, f"Saved.{more}" if changes else "Nothing was changed.")
    return redirect(message)


@require_safe
def version(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """A message as it was before an edit."""
    row = _version(request, pk, number)
    context = {
        "version": row,
        "message": row.message,
        "subject": row.fields.get("subject") or "(no subject)",
        "words": changes_in_words(row.changes),
        "recipients": page_of_list(row.recipients, request.GET.get("page"), size=RECIPIENTS),
        "bodies": content.bodies_of(bytes(row.skeleton)),
    }
    return render(request, "messaging/message_version.html", context)


@require_safe
def version_eml(request: HttpRequest, pk: int, number: int) -> HttpResponseBase:
    """It as a file, octet for octet."""
    row = _version(request, pk, number)
    try:
        skeleton = Octets.of(bytes(row.skeleton))
        body = content.put_together(skeleton, [Attachment(**columns) for columns in row.attachments])
    except content.MissingContent as error:
        return render(request, "messaging/missing.html", {"explanation": str(error), "pk": pk}, status=410)
    return streamed(body, "application/octet-stream", f"message-{pk}-version-{number}.eml", saved=True)


def _version(request: HttpRequest, pk: int, number: int) -> MessageVersion:
    found = MessageVersion.objects.filter(message__in=queue.visible_to(who(request)))
    return get_object_or_404(found.select_related("message", "by"), message_id=pk, number=number)
