"""Which of the messages are meant by a filter: in the lists, in a schedule, in an export."""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, time

import django_filters
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone

from messaging.models import Category, Message, Recipient

from . import offboarding
from .actions import NotPossible

ALL = "all"
LAST_ID = 2**63 - 1
MOST_CHARACTERS = 200
MOST_WORDS = 10  # each is looked for in the subject, the sender and all recipients of every message
NAMES = ("q", "sender", "reason")  # what a schedule filters by: each run looks again, so days make no sense
# Beyond these years time zone arithmetic or the database gives up; no one means them.
YEARS = "Enter a day from 1990 to 2199."
DAYS = [MinValueValidator(date(1990, 1, 1), YEARS), MaxValueValidator(date(2199, 12, 31), YEARS)]
NUMBERS = [MinValueValidator(1), MaxValueValidator(LAST_ID)]


def words_of(text: str) -> list[str]:
    """What a search looks for, each word once."""
    return list(dict.fromkeys(text.split()))


def few_words(text: str) -> None:
    """Raises ValidationError: there are more than are looked for."""
    if len(words_of(text)) > MOST_WORDS:
        raise ValidationError(f"Use at most {MOST_WORDS} words.")


class Selection(django_filters.FilterSet):
    """What is asked for of messages that wait: in a list, in a schedule.

    A value that makes no sense narrows nothing, and is told by `problems`.
    """

    q = django_filters.CharFilter(label="Search", max_length=MOST_CHARACTERS, method="search", validators=[few_words])
    sender = django_filters.CharFilter(label="From", max_length=MOST_CHARACTERS, method="by_sender")
    reason = django_filters.ChoiceFilter(
        label="Reason", field_name="reason_category", choices=Category.choices, empty_label="Any"
    )
    date_from = django_filters.DateFilter(label="Queued from", method="since", validators=DAYS)
    date_to = django_filters.DateFilter(label="Queued until", method="until", validators=DAYS)

    authors: Sequence[int] = ()  # who is called as `sender` asks for, once `qs` was asked for

    class Meta:
        model = Message
        fields: list[str] = []

    def search(self, messages: QuerySet[Message], name: str, value: str) -> QuerySet[Message]:
        """Those with every word in subject, recipients or sender."""
        for word in words_of(value):
            messages = messages.filter(
                Q(subject__icontains=word) | Q(recipients_text__icontains=word) | Q(from_header__icontains=word)
            )
        return messages

    def by_sender(self, messages: QuerySet[Message], name: str, value: str) -> QuerySet[Message]:
        """Those whose sender or author is called so."""
        names = Q(username__icontains=value) | Q(first_name__icontains=value) | Q(last_name__icontains=value)
        self.authors = sorted(User.objects.filter(names).values_list("pk", flat=True))
        theirs = Q(author__in=self.authors)
        return messages.filter(Q(from_header__icontains=value) | Q(reverse_path__icontains=value) | theirs)

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

    def meaning(self, *, sees_all: bool) -> str:
        """What the words of the filter stand for, beside the messages, as a form names it: who is called so, when a
        day begins, and whether these are the messages of everyone.
        """
        self.qs  # noqa: B018 (it asks who is called so)
        asked = self.form.cleaned_data
        zone = timezone.get_current_timezone_name() if asked.get("date_from") or asked.get("date_to") else ""
        return hashlib.sha256(repr((sees_all, zone, [*self.authors])).encode()).hexdigest()[:16]

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the status is asked for."""
        return any(value for name, value in self.form.cleaned_data.items() if name != "status")

    @property
    def all_that_match(self) -> QuerySet[Message]:
        """For an order. Raises NotPossible where something was left out: it must not reach more than was meant."""
        if self.problems:
            raise NotPossible(f"Nothing was changed, because the filter was not understood. {' '.join(self.problems)}")
        found: QuerySet[Message] = self.qs
        return found


class AnyStatus(Selection):
    """What is asked for of all messages, whatever their status."""

    status = django_filters.ChoiceFilter(
        label="Status", choices=[(ALL, "All"), *Message.Status.choices], method="of_status"
    )
    batch = django_filters.NumberFilter(label="Batch", method="in_batch", validators=NUMBERS)
    alike = django_filters.NumberFilter(label="Refused alike", method="refused_alike", validators=NUMBERS)
    account = django_filters.NumberFilter(label="In the name of", method="in_name_of", validators=NUMBERS)

    def of_status(self, messages: QuerySet[Message], name: str, value: str) -> QuerySet[Message]:
        return messages if value == ALL else messages.filter(status=value)

    def in_batch(self, messages: QuerySet[Message], name: str, value: int) -> QuerySet[Message]:
        return messages.filter(batch_items__batch_id=int(value))

    def refused_alike(self, messages: QuerySet[Message], name: str, value: int) -> QuerySet[Message]:
        return messages.filter(pk__in=Recipient.objects.filter(streak=int(value)).values("message_id"))

    def in_name_of(self, messages: QuerySet[Message], name: str, value: int) -> QuerySet[Message]:
        return messages.filter(offboarding.in_name_of(int(value)))


def matching(messages: QuerySet[Message], query: str) -> QuerySet[Message]:
    """Those that fit a query string of NAMES, for a schedule; none where it is not understood by now."""
    asked = QueryDict(query)
    found = Selection({name: asked.get(name, "") for name in NAMES}, queryset=messages)
    return messages.none() if found.problems else found.qs


def in_words(query: str) -> str:
    """What a query string of NAMES chooses: “messages with “invoice” from “anna””."""
    asked = QueryDict(query)
    words = [f"with “{asked['q']}”"] if asked.get("q") else []
    words += [f"from “{asked['sender']}”"] if asked.get("sender") else []
    if asked.get("reason"):
        words.append(f"with the reason “{dict(Category.choices).get(asked['reason'], asked['reason'])}”")
    return f"messages {' '.join(words)}" if words else "everything that waits"
