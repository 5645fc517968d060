"""For load balancers and monitors: no sign-in, no secrets, and no wait for what hangs."""

import hmac
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache

from messaging import health
from messaging.access import sessions
from messaging.access.roles import RoleBackend, company_of
from messaging.access.sessions.store import SessionStore
from messaging.health import NotWell


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
    found = health.find(health.CHECKS)
    is_well = all(each.is_well for each in found.values())
    told: dict[str, object] = {"healthy": is_well}
    if _has_token(request) or (found["database"].is_well and _is_signed_in(request)):
        told["checks"] = {name: each.is_well for name, each in found.items()}
        told["details"] = {name: each.words for name, each in found.items() if each.words}
        told["opt_files_at_fault"] = list(found["opt_files"].files)
    return JsonResponse(told, status=200 if is_well else 503)


class HealthMiddleware:
    """Answers monitors before anyone looks by which name they ask, and notes who: a note may wait for what others have
    locked, and `/readyz` with it, because they share their threads.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = PAGES.get(request.path_info, self.get_response)
        return answer(request)


PAGES = {"/healthz": healthz, "/readyz": readyz, "/health/": overall}


def _is_signed_in(request: HttpRequest) -> bool:
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    return cookie is not None and health.is_well("session", lambda: _find_user(cookie))


def _find_user(cookie: str) -> None:
    """Reads alone. Django's own way of asking may write: it ends a session, or gives it another cookie.

    Raises NotWell where no one is signed in with this cookie.
    """
    session = SessionStore(cookie)
    user = RoleBackend().get_user(session.get(SESSION_KEY))
    if user is None or session.row is None:
        raise NotWell("There is no such session.")
    is_as_begun = constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
    now = timezone.now()
    if not is_as_begun or sessions.ends_at(session.row, company_of(user), now) <= now:
        raise NotWell("The session is over.")


def _has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not settings.HEALTH_TOKEN or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(token.strip().encode(), settings.HEALTH_TOKEN.encode())
