"""For load balancers and monitors: no sign-in, no secrets, and no wait for what hangs."""

import hmac
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache

from messaging import health
from messaging.health import Finding


@login_not_required
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """The process is up; asks no one."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """This web process can serve: the database answers and has the tables of this version. Otherwise 503.

    Worker and beat do not count: the console is needed most when they are away.
    """
    found = health.find(health.READY)
    ready = all(each.is_well for each in found.values())
    checks = {name: each.is_well for name, each in found.items()}
    return JsonResponse({"ready": ready, "checks": checks}, status=200 if ready else 503)


@login_not_required
@never_cache
def overall(request: HttpRequest) -> HttpResponse:
    """Everything; 503 when something is wrong. What it is, is for people who signed in and for HEALTH_TOKEN."""
    found = _everything(request)
    is_well = all(each.is_well for each in found.values())
    told: dict[str, object] = {"healthy": is_well}
    person = getattr(request, "user", None)  # no one was looked for yet, where the middleware answers
    if _has_token(request) or (person is not None and person.is_authenticated):
        told["checks"] = {name: each.is_well for name, each in found.items()}
        told["details"] = {name: each.words for name, each in found.items() if each.words}
        told["opt_files_at_fault"] = list(found["opt_files"].files)
    return JsonResponse(told, status=200 if is_well else 503)


class HealthMiddleware:
    """Answers monitors before anyone looks who asks, by which name: that is in the database, and may never answer.

    Stands before the session's middleware. With a session `/health/` gets to its view, when the database answers.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        match request.path_info:
            case "/healthz":
                return healthz(request)
            case "/readyz":
                return readyz(request)
            case "/health/" if not (_names_a_session(request) and _everything(request)["database"].is_well):
                return overall(request)
        return self.get_response(request)


def _everything(request: HttpRequest) -> dict[str, Finding]:
    """Found once for a request."""
    found: dict[str, Finding] | None = getattr(request, "found", None)
    if found is None:
        found = request.found = health.find(health.CHECKS)  # type: ignore[attr-defined]
    return found


def _names_a_session(request: HttpRequest) -> bool:
    return settings.SESSION_COOKIE_NAME in request.COOKIES


def _has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not settings.HEALTH_TOKEN or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(token.strip().encode(), settings.HEALTH_TOKEN.encode())
