"""A message corrected before it is sent, and the versions it had before."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib import messages as notes
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from messaging.access import roles
from messaging.compose import editing, versions
from messaging.console import promise_field
from messaging.console.filters import ids_in
from messaging.console.forms.edited import EditedForm, shown
from messaging.console.history import ATTACHMENTS, RECIPIENTS
from messaging.console.paging import page_of_list
from messaging.console.session_end import form_again
from messaging.content import assembly
from messaging.content.octets import Octets
from messaging.intake.errors import Refused
from messaging.models import Attachment, Message, MessageVersion
from messaging.queue.actions import NotPossible
from messaging.queue.promises import NotAsPromised
from messaging.wording import changes_in_words, moment, person

from .content import streamed
from .guard import operators_only, who
from .letter_files import LetterFiles, place

SAVE = "save:"  # begins what is promised
TITLES = {"to": "To", "cc": "Cc", "bcc": "Bcc", "subject": "Subject", "text": "Text"}


STAYS_FAILED = (
    " It stays failed, because its recipients were refused for good. Correct their addresses; or, if they are right, "
    "Retry."
)


@dataclass
class _Editing:
    """One request of a person who edits: the message as it is now, and as the form was shown with it (`base`).

    `given` is what the form says: sent now, or kept over a sign-in; None: it is opened.
    """

    request: HttpRequest
    message: Message
    now: versions.Current
    base: versions.Current
    given: QueryDict | None
    form: EditedForm
    files: LetterFiles

    @classmethod
    def of(cls, request: HttpRequest, message: Message, files: LetterFiles | None = None) -> "_Editing":
        """Raises NotPossible when an attachment is missing from the disk."""
        now = versions.current(message)
        is_sent = request.method == "POST"
        given = request.POST if is_sent else form_again(request)
        if given is None:
            return cls(request, message, now, now, None, EditedForm(now), LetterFiles())
        seen = next(iter(ids_in([given.get("version", "")])), 0)
        base = now if seen == now.version else versions.as_of(message, seen, now)
        files = files or (LetterFiles.of(request) if is_sent else LetterFiles.again(request))
        return cls(request, message, now, base, given, EditedForm(now, base, given), files)

    @cached_property
    def counterparts(self) -> dict[int, int]:
        return versions.counterparts(self.base, self.now)

    @cached_property
    def taken_out(self) -> set[int]:
        """The numbers, in `base`, of the attachments that this person takes out: of those that were listed what is not
        to stay, and of the others what was taken out on another page of them.
        """
        given = self.given
        if given is None:
            return set()
        rows = self.base.attachments
        if "files_page" in given:
            rows = page_of_list(rows, given.get("files_page"), size=ATTACHMENTS).rows
        listed = {row.number for row in rows}
        gone = set(ids_in(given.get("gone", "").split(","))) - listed
        return self.base.removable & (gone | listed - set(ids_in(given.getlist("stay"))))

    @property
    def removed(self) -> frozenset[int]:
        """The same in `now`: what another user took out as well is not among them."""
        return frozenset(self.counterparts[number] for number in self.taken_out & self.counterparts.keys())

    @property
    def is_overtaken(self) -> bool:
        """Whether something of this person's is to be put together with what others saved."""
        mine = self.form.touched or self.removed or self.replaced or self.files.kept or self.files.picked
        return self.base is not self.now and bool(mine)

    def promised(self) -> set[str]:
        """What the page of the form said that saving does."""
        named = promise_field.of(self.given or {})
        return {each.removeprefix(SAVE) for each in named if each.startswith(SAVE)}

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
        of_both = self.taken_out - self.counterparts.keys()
        gone = [row for row in self.base.attachments if row.number in of_both]
        names, contents = {row.filename for row in gone}, {row.sha256 for row in gone}
        return {
            row.number
            for row in self.now.attachments
            if row.number in self.added and (row.filename in names or row.sha256 in contents)
        }

    def attachments(self) -> list[tuple[Attachment, bool, bool, str]]:
        """Each with whether it may be taken out, whether it stays, and what others did with it."""
        notes = dict.fromkeys(self.added, "attached in the meantime")
        notes |= dict.fromkeys(self.replaced, "attached in the meantime in place of the one that you removed")
        return [
            (row, row.number in self.now.removable, row.number not in self.removed, notes.get(row.number, ""))
            for row in self.now.attachments
        ]

    def show(self, *, status: int = 200, obstacle: str = "", has_changed: bool = False) -> HttpResponse:
        goes = editing.going(self.message, who(self.request))
        promise = editing.promise(self.message, goes)
        theirs = versions.since(self.message, self.base.version) if self.is_overtaken else []
        given = self.given or QueryDict()
        listed = page_of_list(self.attachments(), given.get("files_to", given.get("files_page")), size=ATTACHMENTS)
        gone = sorted(self.removed - {row.number for row, *_ in listed.rows})
        context: dict[str, Any] = {
            "message": self.message,
            "current": self.now,
            "form": self.form,
            "files": self.files.keep(),
            "attachments": listed,
            "gone": gone,
            "obstacle": obstacle,
            "goes": goes,
            "promised": f"{SAVE}{promise}",
            "has_changed": has_changed or (self.given is not None and promise not in self.promised()),
            "meanwhile": [f"{_by(version)}: {changes_in_words(version.changes)}." for version in theirs],
            "conflicts": [self._conflict(name, theirs) for name in self.form.conflicts],
        }
        return render(self.request, "compose/edit.html", context, status=status)

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
    message = get_object_or_404(
        roles.visible_messages(who(request)).select_related("handed_to", "content", "author"), pk=pk
    )
    obstacle = editing.why_not(message)
    try:
        opened = _Editing.of(request, message)
    except NotPossible as error:
        notes.warning(request, str(error))
        return redirect(message)
    if obstacle and opened.given is not None:
        return opened.show(status=409, obstacle=obstacle)
    if request.method == "POST":
        if "files_to" in request.POST:  # another page of the attachments
            return opened.show(status=409 if opened.is_overtaken else 200)
        return _save(opened)
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
        changes = editing.apply(
            message, opened.edit(), by=who(request), seen=opened.now.version, promised=opened.promised()
        )
    except NotAsPromised:
        return opened.show(status=409, has_changed=True)
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
    bodies = assembly.bodies_of(bytes(row.skeleton))
    with_text = [body for body in bodies.parts if body.text.strip()]
    context = {
        "version": row,
        "message": row.message,
        "subject": row.fields.get("subject") or "(no subject)",
        "words": changes_in_words(row.changes),
        "recipients": page_of_list(row.recipients, request.GET.get("page"), size=RECIPIENTS),
        "attachments": page_of_list(row.attachments, request.GET.get("attachments_page"), size=ATTACHMENTS),
        "bodies": bodies,
        "html_alone": "" if len(with_text) == len(bodies.parts) else "some" if with_text else "all",
    }
    return render(request, "messages/version.html", context)


@require_safe
def version_eml(request: HttpRequest, pk: int, number: int) -> HttpResponseBase:
    """It as a file, octet for octet."""
    row = _version(request, pk, number)
    try:
        skeleton = Octets.of(bytes(row.skeleton))
        body = assembly.put_together(skeleton, [Attachment(**columns) for columns in row.attachments])
    except assembly.MissingContent as error:
        return render(request, "messages/missing_file.html", {"explanation": str(error), "pk": pk}, status=410)
    return streamed(body, "application/octet-stream", f"message-{pk}-version-{number}.eml", saved=True)


def _version(request: HttpRequest, pk: int, number: int) -> MessageVersion:
    found = MessageVersion.objects.filter(message__in=roles.visible_messages(who(request)))
    return get_object_or_404(found.select_related("message", "by"), message_id=pk, number=number)
