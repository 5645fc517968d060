"""Every form that is posted says whose it is (kept_forms.py); a template writes {% csrf_token %}, as ever."""

from typing import cast

from django import template
from django.contrib.auth.models import AnonymousUser, User
from django.template import Context
from django.template.defaulttags import CsrfTokenNode
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from messaging import kept_forms

register = template.Library()


@register.simple_tag(takes_context=True)
def csrf_token(context: Context) -> SafeString:
    field = mark_safe(CsrfTokenNode().render(context))  # noqa: S308  (Django's own, which escapes its value)
    user = cast(User | AnonymousUser | None, context.get("user"))
    if user is None or not user.is_authenticated:
        return field
    whose = kept_forms.signed(user)
    return format_html('{}<input type="hidden" name="{}" value="{}">', field, kept_forms.OWNER, whose)
