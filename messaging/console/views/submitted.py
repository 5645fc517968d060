"""What became of a form of a new message, where no message is recorded."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from messaging.compose import form_submissions
from messaging.models import FormSubmission
from messaging.wording import in_words

from .guard import operators_only, who


@operators_only
@require_safe
def submitted(request: HttpRequest, key: UUID) -> HttpResponse:
    """What became of a form where no message is recorded, also while it is being sent."""
    row = get_object_or_404(FormSubmission.objects.select_related("message"), key=key.hex, by=who(request))
    if (message := form_submissions.message_to_show(row)) is not None:
        return redirect(message)
    state, told = form_submissions.what_became(row)
    context = {"words": in_words(told), "is_sent": state == FormSubmission.State.SENT}
    return render(request, "compose/submitted.html", context)
