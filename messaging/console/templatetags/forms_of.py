"""Every form that is posted says whose it is, and of which page (kept_forms.py).

A template writes {% csrf_token %}, as ever.
"""

from typing import cast
from urllib.parse import unquote, urlsplit

from django import template
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.template import Context
from django.template.defaulttags import CsrfTokenNode
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from messaging.access import kept_forms
from messaging.console.session_end import page_of

register = template.Library()


@register.simple_tag(takes_context=True)
def csrf_token(context: Context) -> SafeString:
    field = mark_safe(CsrfTokenNode().render(context))  # noqa: S308  (Django's own, which escapes its value)
    user = cast(User | AnonymousUser | None, context.get("user"))
    if user is None or not user.is_authenticated:
        return field
    whose = kept_forms.signed(user, _page(context["request"]))
    return format_html('{}<input type="hidden" name="{}" value="{}">', field, kept_forms.OWNER, whose)


def _page(request: HttpRequest) -> str:
    """The path of the page that is made, or that htmx makes a part of."""
    is_part = request.headers.get("HX-Request") == "true"
    return unquote(urlsplit(page_of(request)).path) if is_part else request.path
