"""A message corrected before it is sent, and the versions it had before."""

from typing import Any

from django.contrib import messages as notes
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from messaging import content, editing, queue
from messaging.composing import as_typed
from messaging.console.filters import ids_in
from messaging.console.forms.compose import LetterForm
from messaging.intake.errors import Refused
from messaging.models import Attachment, Message, MessageVersion
from messaging.queue import NotPossible
from messaging.wording import changes_in_words, moment, person

from .content import streamed
from .guard import operators_only, who
from .letter_files import LetterFiles, place


@operators_only
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """The form, and what it changes; what was typed is kept whatever stands against it (409, 422)."""
    message = get_object_or_404(queue.visible_to(who(request)).select_related("handed_to", "content", "author"), pk=pk)
    obstacle = editing.why_not(message)
    try:
        current = editing.current(message)
    except NotPossible as error:
        notes.warning(request, str(error))
        return redirect(message)
    if request.method == "POST":
        return _save(request, message, current, obstacle)
    if obstacle:
        notes.warning(request, f"It cannot be edited. {obstacle}")
        return redirect(message)
    form = LetterForm(
        initial={
            "to": as_typed(current.to),
            "cc": as_typed(current.cc),
            "bcc": as_typed(current.bcc),
            "subject": current.subject,
            "no_subject": not current.subject,
            "text": current.text,
        }
    )
    return _show(request, message, current, form, LetterFiles())


def _save(request: HttpRequest, message: Message, current: editing.Current, obstacle: str) -> HttpResponse:
    form, files = LetterForm(request.POST), LetterFiles.of(request)
    if obstacle:
        return _show(request, message, current, form, files.keep(), status=409, obstacle=obstacle)
    if not form.is_valid() or files.error:
        return _show(request, message, current, form, files.keep(), status=422)
    given = form.cleaned_data
    wanted = editing.Edit(
        given["to"],
        given["cc"],
        given["bcc"],
        given["subject"],
        None if current.why_text_stays else given["text"],
        frozenset(current.removable - set(_stay(request))),
        files.read(),
    )
    was_failed = message.status == Message.Status.FAILED
    seen = next(iter(ids_in([request.POST.get("version", "")])), -1)
    try:
        changes = editing.apply(message, wanted, by=who(request), seen=seen)
    except NotPossible as error:
        return _show(request, message, current, form, files.keep(), status=409, obstacle=str(error))
    except editing.EditedMeanwhile as error:
        message.refresh_from_db()
        fresh = editing.current(message)
        return _show(request, message, fresh, form, files.keep(), status=409, meanwhile=error.versions)
    except Refused as error:
        place(error, form, files)
    else:
        back = " It is back in the queue." if was_failed else ""
        notes.success(request, f"Saved.{back}" if changes else "Nothing was changed.")
        return redirect(message)
    return _show(request, message, current, form, files.keep(), status=422)


def _stay(request: HttpRequest) -> list[int]:
    return ids_in(request.POST.getlist("stay"))


def _show(
    request: HttpRequest,
    message: Message,
    current: editing.Current,
    form: LetterForm,
    files: LetterFiles,
    *,
    status: int = 200,
    obstacle: str = "",
    meanwhile: list[MessageVersion] | None = None,
) -> HttpResponse:
    stay = set(_stay(request)) if request.method == "POST" else current.removable
    context: dict[str, Any] = {
        "message": message,
        "current": current,
        "form": form,
        "files": files,
        "attachments": [
            (row, row.number in current.removable, row.number in stay) for row in message.attachments.all()
        ],
        "obstacle": obstacle,
        "meanwhile": [
            f"{person(version.by, 'Somebody')} {moment(version.at)}: {changes_in_words(version.changes)}."
            for version in meanwhile or []
        ],
    }
    return render(request, "messaging/message_edit.html", context, status=status)


@require_safe
def version(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """A message as it was before an edit."""
    row = _version(request, pk, number)
    context = {
        "version": row,
        "message": row.message,
        "subject": row.fields.get("subject") or "(no subject)",
        "words": changes_in_words(row.changes),
        "bodies": content.bodies_of(bytes(row.skeleton)),
    }
    return render(request, "messaging/message_version.html", context)


@require_safe
def version_eml(request: HttpRequest, pk: int, number: int) -> HttpResponseBase:
    """It as a file, octet for octet."""
    row = _version(request, pk, number)
    try:
        body = content.put_together(bytes(row.skeleton), [Attachment(**columns) for columns in row.attachments])
    except content.MissingContent as error:
        return render(request, "messaging/missing.html", {"explanation": str(error), "pk": pk}, status=410)
    return streamed(body, "application/octet-stream", f"message-{pk}-version-{number}.eml", saved=True)


def _version(request: HttpRequest, pk: int, number: int) -> MessageVersion:
    found = MessageVersion.objects.filter(message__in=queue.visible_to(who(request)))
    return get_object_or_404(found.select_related("message", "by"), message_id=pk, number=number)
