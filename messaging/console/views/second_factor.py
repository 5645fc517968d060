"""The second step of signing in, and one's own second factor at Preferences > Sign-in and security."""

import re
from urllib.parse import quote

from django.conf import settings
from django.contrib import messages as notes
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from messaging.access import roles, second_factor, sessions
from messaging.console import half_signed_in
from messaging.console.forms.second_factor import CodeForm, ProofForm, SetUpForm
from messaging.setup.secrets import LostKey, decrypt, encrypt

from .guard import SECURITY, post_only, who

KEY = "second_factor_key"  # in the session, encrypted: the key that is being set up


# --- The second step of signing in --------------------------------------------------------------------------


@login_not_required
@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """Ask for a code, once the password was right; POST signs in."""
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    half = half_signed_in.read(request)
    user = half_signed_in.user_of(half) if half is not None else None
    app = second_factor.app_of(user) if user is not None else None
    if half is None or user is None or app is None:
        return _start_over(request, half, "That took too long. Sign in again.")
    form = CodeForm(request.POST if request.method == "POST" else None, user=user, request=request)
    if form.is_valid():
        if half_signed_in.enter(request, user, app):
            return redirect(half.next or settings.LOGIN_REDIRECT_URL)
        return _start_over(request, half, "Your second factor was changed in the meantime. Sign in again.")
    if form.is_wrong and half_signed_in.count_wrong(request, half):
        return _start_over(request, half, "There were too many wrong codes. Sign in again.")
    return render(request, "sign_in/code.html", {"form": form})


def _start_over(request: HttpRequest, half: half_signed_in.HalfSignedIn | None, words: str) -> HttpResponse:
    """Back to the password."""
    half_signed_in.end(request)
    if half is None:
        return redirect("login")
    notes.warning(request, words)
    return redirect(f"{reverse('login')}?{urlencode({'next': half.next})}" if half.next else "login")


# --- One's own second factor --------------------------------------------------------------------------------


@never_cache
@require_http_methods(["GET", "HEAD"])
def overview(request: HttpRequest) -> HttpResponse:
    """Whether there is one, how many recovery codes are left, and what can be changed."""
    return _overview(request)


def _overview(request: HttpRequest, **forms: ProofForm) -> HttpResponse:
    user = who(request)
    context = {
        "is_on": roles.has_second_factor(user),
        "is_required": second_factor.is_required(user),
        "codes_left": _codes_left(request),
        "codes_form": forms.get("codes") or ProofForm(user=user, request=request, prefix="codes"),
        "off_form": forms.get("off") or ProofForm(user=user, request=request, prefix="off"),
    }
    return render(request, "second_factor/overview.html", context, status=422 if forms else 200)


def _codes_left(request: HttpRequest) -> int | None:
    """None: they cannot be read."""
    try:
        return second_factor.codes_left(who(request))
    except LostKey:
        return None


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def set_up(request: HttpRequest) -> HttpResponse:
    """Show a key for an app; POST confirms with its first code, and shows the recovery codes this one time.

    Who has a second factor moves it to another app here. Whose role needs one, and who has none, sees nothing else.
    """
    user, key = who(request), _key(request)
    has_one = roles.has_second_factor(user)
    form = SetUpForm(request.POST if request.method == "POST" else None, user=user, request=request)
    if form.is_valid():
        try:
            first = form.cleaned_data["first"]
            codes = second_factor.switch_on(user, key, first, replaces=has_one, here=sessions.row_of(request))
        except second_factor.WrongCode:
            words = (
                "This code is wrong. Enter the one that the app shows now, and check that the phone’s clock is right."
            )
            form.add_error("first", words)
        except second_factor.Overtaken:
            form.add_error("first", "Your second factor was changed in another window. Open this page again.")
        else:
            del request.session[KEY]
            return _codes_shown_once(request, codes, _safe_next(request))
    context = {
        "form": form,
        "key_in_groups": " ".join(re.findall("....", key)),
        "picture": second_factor.picture(user, key),
        "is_on": has_one,
        "next": _safe_next(request),
    }
    return render(request, "second_factor/set_up.html", context, status=422 if form.errors else 200)


def _key(request: HttpRequest) -> str:
    """The same for as long as the session lasts, or until it is confirmed: the app may have it already."""
    try:
        key = str(decrypt(request.session.get(KEY, "")))
    except LostKey:
        key = ""
    if not key:
        key = second_factor.new_key()
        request.session[KEY] = encrypt(key)
    return key


def _safe_next(request: HttpRequest) -> str:
    """Where a user wanted to go before they were led here; a page of ours, or ""."""
    wanted = request.POST.get("next", request.GET.get("next", ""))
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if is_ours else ""


@never_cache
@sensitive_post_parameters()
@post_only
def new_codes(request: HttpRequest) -> HttpResponse:
    """Recovery codes in place of the old ones, shown this one time."""
    if not roles.has_second_factor(who(request)):
        return redirect(SECURITY)
    form = ProofForm(request.POST, user=who(request), request=request, prefix="codes")
    if not form.is_valid():
        return _overview(request, codes=form)
    return _codes_shown_once(request, second_factor.renew_codes(who(request), here=sessions.row_of(request)), "")


@never_cache
@sensitive_post_parameters()
@post_only
def switch_off(request: HttpRequest) -> HttpResponse:
    """Sign in with the password alone from now on; not for a role that needs a second factor."""
    user = who(request)
    if second_factor.is_required(user) or not roles.has_second_factor(user):
        notes.info(request, "Nothing was changed.")
        return redirect(SECURITY)
    form = ProofForm(request.POST, user=user, request=request, prefix="off")
    if not form.is_valid():
        return _overview(request, off=form)
    second_factor.switch_off(user, here=sessions.row_of(request))
    notes.success(request, "The second factor is off. You sign in with your password alone.")
    return redirect(SECURITY)


def _codes_shown_once(request: HttpRequest, codes: list[str], next_page: str) -> HttpResponse:
    """Nothing shows them again: what is kept is encrypted, and no page reads it."""
    text = f"Outtray recovery codes of {who(request).get_username()}\nEach works once.\n\n" + "\n".join(codes) + "\n"
    context = {
        "codes": codes,
        "file": f"data:text/plain;charset=utf-8,{quote(text)}",
        "next": next_page or resolve_url(SECURITY),
    }
    return render(request, "second_factor/recovery_codes.html", context)
