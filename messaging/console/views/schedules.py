"""When the queue is processed by itself (seed row S14): one schedule, off until somebody switches it on."""

from django.conf import settings
from django.contrib import messages as notes
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from messaging.console.forms.schedule import ScheduleForm, account_arguments, initial_of
from messaging.models import Batch
from messaging.setup.layers import resolve

from .guard import admins_only

NAME = "Batch Message Processing"
TASK = "messaging.tasks.process_queue"


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def schedules(request: HttpRequest) -> HttpResponse:
    """The schedule as a form, when it ran last and what came of it."""
    task = _task()
    form = ScheduleForm(request.POST) if request.method == "POST" else ScheduleForm(initial=initial_of(task))
    if request.method == "POST" and form.is_valid():
        form.save_to(task)
        notes.success(request, "Saved. The schedule is on." if task.enabled else "Saved. The schedule is off.")
        return redirect("setup-schedules")
    context = {
        "form": form,
        "task": task,
        "time_zone": settings.TIME_ZONE,
        "problems": resolve(None).problems(),
        "last_batch": Batch.objects.filter(source="schedule").first(),
    }
    return render(request, "messaging/setup_schedules.html", context, status=422 if form.errors else 200)


def _task() -> PeriodicTask:
    found = PeriodicTask.objects.select_related("interval", "crontab").filter(name=NAME).first()
    if found is not None:
        return found
    interval, _ = IntervalSchedule.objects.get_or_create(every=15, period=IntervalSchedule.MINUTES)
    task, _ = PeriodicTask.objects.get_or_create(
        name=NAME,
        defaults={"task": TASK, "interval": interval, "enabled": False, "kwargs": account_arguments(None)},
    )
    return task
