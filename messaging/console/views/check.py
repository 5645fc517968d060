"""*Check connection* and *Send test message* (Email Setup): a page that comes step by step while the work is done."""

import logging
from collections.abc import Iterator
from contextlib import closing
from typing import Literal

from django.contrib.auth.models import User
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string

from messaging import connection_check
from messaging.access import roles
from messaging.admission import AdmissionEnded
from messaging.console.forms.email_setup import TestMessageForm
from messaging.delivery.smtp.steps import Step
from messaging.intake.errors import Refused

from .guard import operators_only, post_only, who
from .target import Target, of_target

log = logging.getLogger(__name__)

What = Literal["check", "test"]
PAGE = "setup/check.html"
MARKER = "<!--here-->"  # stands in the page where the steps come, and again where the conclusion does
BUSY = "Other people are checking at the moment. Try again in a minute."
BROKEN_OFF = (
    "The check could not be finished, because of an error on this server. Ask an administrator to look at the log."
)


@of_target
@operators_only
@post_only
def check(request: HttpRequest, *, target: Target, what: What) -> HttpResponseBase:
    """The page, streamed; at once when the recipient is none (422) or there is no room for another check (429)."""
    by = who(request)
    form = TestMessageForm(request.POST if what == "test" else None, initial={"recipient": by.email})
    context: dict[str, object] = {
        "what": what,
        "account": target.account,
        "marker": MARKER,
        "test_form": form,
        "check_url": target.url("check"),
        "test_url": target.url("test"),
        "back_url": target.url(),
    }
    if what == "check" or form.is_valid():
        try:
            if what == "check":
                progress = connection_check.check_connection(target.account, may_try_ports=roles.is_admin(by))
            else:
                progress = connection_check.send_test_message(target.account, form.cleaned_data["recipient"], by)
        except Refused as error:
            form.add_error(None, str(error))
        except connection_check.Busy:
            return render(request, PAGE, context | {"trouble": BUSY}, status=429)
        else:
            page = render_to_string(PAGE, context | {"streams": True}, request)
            return StreamingHttpResponse(
                _pieces(page, progress, target.account),
                # X-Accel-Buffering: nginx would keep the steps back.
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            )
    return render(request, PAGE, context, status=422)


def _pieces(page: str, progress: connection_check.Progress, account: User | None) -> Iterator[str]:
    """The page up to the steps, each step when it is done, then the conclusion and the rest of the page."""
    head, between, rest = page.split(MARKER)
    try:
        with closing(progress):
            yield head
            for event in progress:
                if event is None:
                    yield "\n"  # so that a browser that left is noticed
                elif isinstance(event, Step):
                    yield render_to_string("setup/_check_step.html", {"step": event})
                else:
                    yield between + render_to_string("setup/_check_end.html", {"end": event})
    except AdmissionEnded as error:
        yield between + render_to_string("setup/_check_end.html", {"trouble": str(error)})
    except Exception:
        log.exception("check of the settings of %s", account or "the company")
        yield between + render_to_string("setup/_check_end.html", {"trouble": BROKEN_OFF})
    yield rest
