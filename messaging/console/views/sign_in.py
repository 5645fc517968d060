"""Sign in with Microsoft for a layer of Email Setup: a code to enter there, and then the refresh token is kept here."""

from django.contrib import messages as notes
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from messaging import concurrency
from messaging.access import policy
from messaging.delivery.outcomes.reply import sign_in_failed
from messaging.delivery.outcomes.verdict import judge
from messaging.setup import changes
from messaging.setup.layers import resolve
from messaging.setup.oauth import device
from messaging.setup.oauth.device import DeviceSignIn, NotDone, begin_device_sign_in, finish_device_sign_in
from messaging.setup.oauth.grants import SignInFailed
from messaging.wording import advice, in_words

from .guard import is_part, operators_only, who
from .target import Target, of_target


class Busy(concurrency.Busy):
    """Too many people wait for the sign-in server, and it was not asked."""


# Each takes a thread of the web server for as long as the sign-in server takes.
TURNS = concurrency.ConcurrencyLimit(at_once=3, waiting=0, seconds=0.0, error=Busy)
BUSY = "Others are waiting for the sign-in server at the moment. Open this page again in a minute."
NOT_YET = "Microsoft has not recorded the sign-in yet. Enter the code there and finish the sign-in, then continue here."


@of_target
@operators_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest, *, target: Target) -> HttpResponse:
    """GET shows the page, with the code where one was asked for; POST asks for one (`begin`) or asks about it."""
    account = target.account
    if not policy.may_edit(who(request), account):
        raise PermissionDenied("Your administrator has not allowed users to change their own email settings.")
    setup = resolve(account)
    key = f"device sign-in of {account.pk if account else 'company'}"
    here, back_url = target.url("sign-in"), target.url()
    context: dict[str, object] = {
        "account": account,
        "here": here,
        "back_url": back_url,
        "obstacles": device.obstacles(setup),
    }
    status = 200
    refused = 422 if request.method == "POST" and not is_part(request) else 200  # htmx shows no part that is an error
    try:
        if context["obstacles"]:
            status = refused
        elif request.method == "POST" and "begin" in request.POST:
            with TURNS.one(str(who(request).pk)):
                request.session[key] = begin_device_sign_in(setup).state
            return redirect(here)
        elif request.method == "POST":
            with TURNS.one(str(who(request).pk)):
                found = finish_device_sign_in(setup, request.session.get(key, ""))
            if not isinstance(found, DeviceSignIn):
                device.check_place(resolve(account), found.place)  # the provider may have taken its time
                del request.session[key]
                changes.save(account, {"refresh_token": found.refresh_token}, by=who(request), meant_for=found.place)
                notes.success(
                    request, "Signed in. Mail is sent with this sign-in from now on; try it with a test message."
                )
                return HttpResponseClientRedirect(back_url) if is_part(request) else redirect(back_url)
            is_slower = found.interval > device.read(request.session[key]).interval
            request.session[key] = found.state
            if is_part(request) and not is_slower:
                return HttpResponse(status=204)
            context |= {"begun": found, "note": "" if is_part(request) else NOT_YET}
        elif key in request.session:
            context["begun"] = device.read(request.session[key])
    except Busy:
        if is_part(request):  # it asks again by itself
            return HttpResponse(status=204)
        context["trouble"] = {"explanation": BUSY}
        status = 429
    except SignInFailed as failed:
        request.session.pop(key, None)
        context["trouble"] = _explained(failed)
        status = refused
    template = "setup/_microsoft.html" if is_part(request) else "setup/microsoft.html"
    return render(request, template, context, status=status)


def _explained(failed: SignInFailed) -> dict[str, str]:
    """What went wrong, in plain words first."""
    if isinstance(failed, NotDone):
        return {"explanation": failed.words}
    reply = sign_in_failed(failed)
    reason = judge(reply).reason
    return {"explanation": in_words(reason), "words": reply.said, "advice": advice(reason, is_over=True)}
