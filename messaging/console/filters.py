"""The toolbar over the lists: django-filter reads the URL, crispy-forms draws it.

A value that makes no sense is left out and said so; it never fails the page.
"""

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any

import django_filters
from crispy_forms.helper import FormHelper
from crispy_forms.layout import HTML, Div, Field, Layout
from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import connection
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone

from messaging.console.signed_out import KEPT
from messaging.models import Category, Message, Recipient
from messaging.queue import leaving, selection
from messaging.queue.actions import NotPossible

Status = Message.Status
ALL = "all"
LAST_ID = 2**63 - 1
DIGITS = 19  # of it; a number of thousands of digits Python refuses to read
MOST_COUNTED = 100_000


class DateInput(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


def _text(label: str, placeholder: str, **options: Any) -> django_filters.CharFilter:
    widget = forms.TextInput(attrs={"placeholder": placeholder, "autocomplete": "off", "type": "search"})
    return django_filters.CharFilter(label=label, max_length=200, widget=widget, **options)


def few_words(text: str) -> None:
    """Raises ValidationError: more than are looked for."""
    if why := selection.why_not(text):
        raise ValidationError(why)


def _date(label: str, **options: Any) -> django_filters.DateFilter:
    # Beyond these years time zone arithmetic or the database gives up; no one means them.
    words = "Enter a day from 1990 to 2199."
    limits = [MinValueValidator(date(1990, 1, 1), words), MaxValueValidator(date(2199, 12, 31), words)]
    return django_filters.DateFilter(label=label, widget=DateInput(), validators=limits, **options)


class WaitingFilter(django_filters.FilterSet):
    """The filters that make sense for messages waiting to be chosen for a batch."""

    q = _text("Search", "Subject, recipient or sender", method="search", validators=[few_words])
    sender = _text("From", "Sender or author", method="by_sender")
    reason = django_filters.ChoiceFilter(
        label="Reason", field_name="reason_category", choices=Category.choices, empty_label="Any"
    )
    date_from = _date("Queued from", method="since")
    date_to = _date("Queued until", method="until")

    class Meta:
        model = Message
        fields: list[str] = []

    def search(self, messages: QuerySet[Message], name: str, value: str) -> QuerySet[Message]:
        return selection.search(messages, value)

    def by_sender(self, messages: QuerySet[Message], name: str, value: str) -> QuerySet[Message]:
        return selection.by_sender(messages, value)

    def since(self, messages: QuerySet[Message], name: str, value: date) -> QuerySet[Message]:
        return messages.filter(created_at__gte=timezone.make_aware(datetime.combine(value, time.min)))

    def until(self, messages: QuerySet[Message], name: str, value: date) -> QuerySet[Message]:
        return messages.filter(created_at__lte=timezone.make_aware(datetime.combine(value, time.max)))

    @property
    def problems(self) -> list[str]:
        """What was not understood and left out, in plain words."""
        words = []
        for name, errors in self.form.errors.items():
            label = self.filters[name].label or name
            words += [f"“{label}” was left out: {error}" for error in errors]
        return words

    @property
    def all_that_match(self) -> QuerySet[Message]:
        """For an order. Raises NotPossible where something was left out: it must not reach more than was meant."""
        if self.problems:
            raise NotPossible(f"Nothing was changed, because the filter was not understood. {' '.join(self.problems)}")
        found: QuerySet[Message] = self.qs
        return found

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the status is asked for."""
        return any(value for name, value in self.form.cleaned_data.items() if name != "status")


class MessageFilter(WaitingFilter):
    """The filters of the message list; the status comes last, so that each status can be counted."""

    status = django_filters.ChoiceFilter(
        choices=[(ALL, "All"), *Status.choices], method="not_yet", label="Status", widget=forms.HiddenInput()
    )
    batch = django_filters.NumberFilter(
        label="Batch",
        method="in_batch",
        validators=[MinValueValidator(1), MaxValueValidator(LAST_ID)],
        widget=forms.HiddenInput(),
    )

    alike = django_filters.NumberFilter(
        label="Refused alike",
        method="refused_alike",
        validators=[MinValueValidator(1), MaxValueValidator(LAST_ID)],
        widget=forms.HiddenInput(),
    )

    account = django_filters.NumberFilter(
        label="In the name of",
        method="in_name_of",
        validators=[MinValueValidator(1), MaxValueValidator(LAST_ID)],
        widget=forms.HiddenInput(),
    )

    any_status: QuerySet[Message]

    def not_yet(self, messages: QuerySet[Message], name: str, value: str) -> QuerySet[Message]:
        return messages

    def in_batch(self, messages: QuerySet[Message], name: str, value: int) -> QuerySet[Message]:
        return messages.filter(batch_items__batch_id=int(value))

    def refused_alike(self, messages: QuerySet[Message], name: str, value: int) -> QuerySet[Message]:
        return messages.filter(pk__in=Recipient.objects.filter(streak=int(value)).values("message_id"))

    def in_name_of(self, messages: QuerySet[Message], name: str, value: int) -> QuerySet[Message]:
        return messages.filter(leaving.in_name_of(int(value)))

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
        HTML(f'<details class="more-tools"{" open" if is_narrowed else ""}><summary>More filters</summary>'),
        Div(
            Field("sender", wrapper_class="tool tool-sender"),
            Field("reason", wrapper_class="tool"),
            Field("date_from", wrapper_class="tool"),
            Field("date_to", wrapper_class="tool"),
            css_class="tools",
        ),
        HTML("</details>"),
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
