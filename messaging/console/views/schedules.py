"""Schedules (S14): when the queue is processed by itself, which messages, and as whom."""

from typing import Any

from django.contrib import messages as notes
from django.core.exceptions import ValidationError
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from messaging.audit import ChangedMeanwhile
from messaging.console.filters import ids_in
from messaging.console.forms.schedule import ScheduleForm
from messaging.console.presentation import schedule as presentation
from messaging.console.presentation.audit import change_lines, changes_so_far
from messaging.models import Schedule, ScheduleRun
from messaging.scheduling import schedules, timetable
from messaging.scheduling.timetable import BadTimetable
from messaging.wording import in_words

from .guard import admins_only, post_only, who

RUNS_SHOWN = 20
GONE = "This schedule is gone: another administrator deleted it."


@admins_only
@require_safe
def all_schedules(request: HttpRequest) -> HttpResponse:
    """Every schedule with its next and its last run."""
    now = timezone.now()
    latest = ScheduleRun.objects.filter(schedule=OuterRef("pk"), due_at__lte=now).order_by("-due_at").values("pk")[:1]
    rows_found = schedules.with_last(Schedule.objects.select_related("account"), now)
    found = list(rows_found.annotate(last_run=Subquery(latest)))
    runs = ScheduleRun.objects.select_related("batch", "by").in_bulk([row.last_run for row in found])
    rows = [presentation.schedule_row(schedule, runs.get(schedule.last_run)) for schedule in found]
    names = {schedule.pk: schedule.name for schedule in found}
    context = {"rows": rows} | changes_so_far(schedules.changes(), request.GET, names)
    return render(request, "schedules/list.html", context)


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make a schedule."""
    return _form_page(request, None)


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def schedule_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One schedule: change it, see what ran."""
    rows = schedules.with_last(Schedule.objects.select_related("account"), timezone.now())
    return _form_page(request, get_object_or_404(rows, pk=pk))


def _form_page(request: HttpRequest, schedule: Schedule | None) -> HttpResponse:
    """The form; POST saves it or, without JavaScript, shows what it would do."""
    is_post = request.method == "POST"
    form = ScheduleForm(request.POST if is_post else None, schedule=schedule)
    is_preview = "preview" in request.POST
    if is_post and form.is_valid() and not is_preview:
        try:
            saved = form.save(who(request))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            notes.success(request, f"Saved. “{saved.name}” is {'on' if saved.is_on else 'off'}.")
            return redirect("setup-schedule", saved.pk)
    context: dict[str, Any] = {
        "form": form,
        "schedule": schedule,
        "preview": _preview(form) if is_post else presentation.preview(schedule) if schedule is not None else None,
        "overtaken": change_lines(form.overtaken),
    }
    if schedule is not None:
        context |= _standing(schedule, request.GET)
    return render(request, "schedules/detail.html", context, status=422 if form.errors else 200)


def _standing(schedule: Schedule, asked: QueryDict) -> dict[str, Any]:
    return {
        "words": timetable.in_words(schedule),
        "wrong": presentation.wrong(schedule),
        "overdue": schedules.overdue(schedule, timezone.now()),
        "runs": schedule.runs.select_related("batch", "by")[:RUNS_SHOWN],
        **changes_so_far(schedules.changes(schedule), asked),
    }


@admins_only
@post_only
def preview(request: HttpRequest) -> HttpResponse:
    """What the form as it is filled in would do; asked for while someone types."""
    form = ScheduleForm(request.POST)
    form.is_valid()
    return render(request, "schedules/_preview.html", {"preview": _preview(form)})


def _preview(form: ScheduleForm) -> presentation.Preview:
    """Of a form that was validated; what is wrong with anything but times and filter does not matter here."""
    concerned = ("kind", "minutes", "times", "days", "crontab", "time_zone", "q", "sender", "reason")
    wrong = [str(error) for name in concerned for error in form.errors.get(name, [])]
    if wrong:
        return presentation.Preview(wrong=" ".join(wrong))
    return presentation.preview(Schedule(**form.when(), filter=form.query()))


# --- Actions ---------------------------------------------------------------------------------------------


@admins_only
@post_only
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a schedule on, as it was shown, or off, whatever it is by now."""
    schedule = get_object_or_404(Schedule.objects.select_related("account"), pk=pk)
    is_on = request.POST.get("on") == "1"
    why = schedules.why_never(schedule.account) if is_on else ""
    try:
        if why:
            notes.error(request, f"“{schedule.name}” stays off: {why}")
        else:
            seen = _seen(request) if is_on else None
            schedules.save(schedule.pk, {"is_on": is_on}, by=who(request), seen=seen)
            notes.success(request, f"“{schedule.name}” is {'on' if is_on else 'off'}.")
    except BadTimetable as bad:
        notes.error(request, f"“{schedule.name}” stays as it is: {bad}")
    except ChangedMeanwhile:
        return _look_again(request, pk)
    return redirect("setup-schedules")


@admins_only
@post_only
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """Run a schedule at this moment, whether it is on or not, as it was shown."""
    schedule = get_object_or_404(Schedule, pk=pk)
    try:
        done = schedules.run_now(schedule, by=who(request), seen=_seen(request))
    except ChangedMeanwhile:
        return _look_again(request, pk)
    if done.batch is not None:
        return redirect(done.batch)
    words = f"“{schedule.name}”: {done.get_outcome_display().lower()}. {in_words(done.remarks)}".strip()
    (notes.error if done.outcome == ScheduleRun.Outcome.REFUSED else notes.info)(request, words)
    return redirect("setup-schedule", schedule.pk)


@admins_only
@post_only
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a schedule away; its batches stay."""
    schedule = get_object_or_404(Schedule, pk=pk)
    try:
        schedules.delete(schedule, by=who(request), seen=_seen(request))
    except ChangedMeanwhile:
        return _look_again(request, pk)
    notes.info(request, f"“{schedule.name}” is deleted. Its batches stay.")
    return redirect("setup-schedules")


def _seen(request: HttpRequest) -> int:
    """The version that the page showed; 0, which none has, where the form does not say."""
    return next(iter(ids_in([request.POST.get("version", "")])), 0)


def _look_again(request: HttpRequest, pk: int) -> HttpResponse:
    """To the schedule as it is by now, which is another one than was shown, or to the list where it is gone."""
    schedule = Schedule.objects.filter(pk=pk).first()
    if schedule is None:
        notes.warning(request, GONE)
        return redirect("setup-schedules")
    words = f"“{schedule.name}” was changed after this page was loaded, and nothing was done. Look at it again."
    notes.warning(request, words)
    return redirect("setup-schedule", pk)
