"""After a restore: what happened, and the two answers of which one lets sending resume."""

from django.contrib import messages as notes
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from messaging.access import roles
from messaging.models import Message, Reason, Restore
from messaging.queue import restores

from .guard import post_only, who

ANSWERS_SHOWN = 20


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """How it stands, and the restores so far."""
    unknown = roles.visible_messages(who(request)).filter(
        status=Message.Status.UNKNOWN, reason__key=Reason.SINCE_BACKUP
    )
    context = {
        "restore": restores.unanswered(),
        "unknown": unknown.count(),
        "history": Restore.objects.exclude(answer="").select_related("answered_by").order_by("-pk")[:ANSWERS_SHOWN],
        "admins": roles.admins().order_by("first_name", "username"),
    }
    return render(request, "sending/restores.html", context)


@post_only
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    """Say what became of the mail since; back to the page, which says what came of it."""
    if not roles.is_admin(who(request)):
        raise PermissionDenied("Only an administrator can say what happened to the mail since the backup.")
    restore = get_object_or_404(Restore, pk=pk)
    if request.POST.get("answer") not in Restore.Answer.values:
        raise Http404
    what = Restore.Answer(request.POST["answer"])
    try:
        number = restores.answer(restore, what, by=who(request))
    except restores.AnsweredMeanwhile:
        notes.info(request, "This has already been answered.")
        return redirect("restores")
    is_over = restores.unanswered() is None
    said = "The pause after the restore is over." if is_over else "Now answer for the earlier restore."
    if what == Restore.Answer.MOVED:
        one = "1 message is as it was before" if number == 1 else f"{number:,} messages are as they were before"
        notes.success(request, f"{one}. {said}")
    else:
        notes.success(request, f"{said} What is unknown waits for you to decide.")
    return redirect("restores")
