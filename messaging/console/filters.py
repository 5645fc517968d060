"""The toolbar over the lists: django-filter reads the URL, crispy-forms draws it.

A value that makes no sense is left out and said so; it never fails the page.
"""

from collections.abc import Iterable
from typing import Any

from crispy_forms.helper import FormHelper
from crispy_forms.layout import HTML, Div, Field, Layout
from django import forms
from django.db import connection
from django.db.models import QuerySet
from django.http import QueryDict

from messaging.console.session_end import KEPT
from messaging.models import Message
from messaging.queue import selection
from messaging.queue.selection import ALL, LAST_ID

Status = Message.Status
DIGITS = 19  # of it; a number of thousands of digits Python refuses to read
MOST_COUNTED = 100_000


class DateInput(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


def _line(placeholder: str) -> forms.TextInput:
    return forms.TextInput(attrs={"placeholder": placeholder, "autocomplete": "off", "type": "search"})


def _draw(filters: dict[str, Any]) -> None:
    """How each is asked for; what no one types stays as a link named it."""
    widgets = {
        "q": _line("Subject, recipient or sender"),
        "sender": _line("Sender or author"),
        "date_from": DateInput(),
        "date_to": DateInput(),
    }
    for name, each in filters.items():
        if name != "reason":
            each.extra["widget"] = widgets.get(name) or forms.HiddenInput()


class WaitingFilter(selection.Selection):
    """The filters that make sense for messages waiting to be chosen for a batch."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _draw(self.filters)


class MessageFilter(selection.AnyStatus):
    """The filters of the message list; the status comes last, so that each status can be counted."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _draw(self.filters)

    any_status: QuerySet[Message]

    def of_status(self, messages: QuerySet[Message], name: str, value: str) -> QuerySet[Message]:
        return messages

    def filter_queryset(self, queryset: QuerySet[Message]) -> QuerySet[Message]:
        self.any_status = super().filter_queryset(queryset)
        return self.any_status if self.shown == ALL else self.any_status.filter(status=self.shown)

    @property
    def shown(self) -> str:
        """The status shown: one of Message.Status or "all"; queued unless asked otherwise."""
        return self.form.cleaned_data.get("status") or Status.QUEUED

    def counts(self) -> dict[str, int]:
        """Messages by status under the other filters, and in `all`, in one statement.

        Each status is counted to MOST_COUNTED and no further: a history of millions must not slow the list down.
        """
        parts, values = [], []
        for status in Status.values:
            rows = self.any_status.filter(status=status).order_by().values("pk")[:MOST_COUNTED]
            sql, parameters = rows.query.sql_with_params()
            parts.append(f"SELECT %s, COUNT(*) FROM ({sql}) AS found")  # noqa: S608 (the ORM wrote it)
            values += [status, *parameters]
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(parts), values)
            found = dict(cursor.fetchall())
        return {ALL: sum(found.values())} | found


def toolbar(form: forms.Form, url: str, target: str) -> FormHelper:
    """How crispy draws a filter form: one row, the rarer filters folded away on a narrow screen.

    With JavaScript a change swaps only `target`; without, Enter or the button loads the page.
    """
    helper = FormHelper()
    helper.form_id = "filters"
    helper.form_method = "get"
    helper.form_action = url
    helper.form_class = "toolbar"
    helper.form_show_errors = False
    helper.disable_csrf = True
    helper.attrs = {
        "role": "search",
        "hx-get": url,
        "hx-target": target,
        "hx-swap": "outerHTML",
        "hx-trigger": "submit, change, input delay:350ms from:#id_q, input delay:350ms from:#id_sender",
        "hx-sync": "this:queue last",
    }
    is_narrowed = any(form.data.get(name) for name in ("sender", "reason", "date_from", "date_to"))
    helper.layout = Layout(
        Field("q", wrapper_class="tool tool-search"),
        *(Field(name) for name in ("status", "batch", "alike", "account") if name in form.fields),
        Div(
            Field("sender", wrapper_class="tool tool-sender"),
            Field("reason", wrapper_class="tool"),
            Field("date_from", wrapper_class="tool"),
            Field("date_to", wrapper_class="tool"),
            template="messages/_more_filters.html",
            open=is_narrowed,
        ),
        HTML('<div class="tool tool-apply"><button class="btn btn-quiet" type="submit">Apply</button></div>'),
    )
    return helper


def ids_in(values: Iterable[str]) -> list[int]:
    """Primary keys that a form names; what can be none is left out."""
    numbers = [int(value) for value in values if value.isascii() and value.isdigit() and len(value) <= DIGITS]
    return [number for number in numbers if number <= LAST_ID]


def query_of(data: QueryDict, *leave_out: str) -> str:
    """The query string of a request for links that keep the filter: without what is empty, without some names, and
    without the form that was filled in again, which it is only once.
    """
    kept = QueryDict(mutable=True)
    for name, values in data.lists():
        if name not in (KEPT, *leave_out) and any(values):
            kept.setlist(name, values)
    return kept.urlencode()
