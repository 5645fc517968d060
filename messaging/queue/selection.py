"""Which of the messages people mean by the words of a filter: in the lists, and in a schedule."""

from django.db.models import Q, QuerySet
from django.http import QueryDict

from messaging.models import Category, Message

MOST_WORDS = 10  # each is looked for in the subject, the sender and all recipients of every message
NAMES = ("q", "sender", "reason")  # what a schedule filters by: each run looks again, so days make no sense


def words_of(text: str) -> list[str]:
    """What a search looks for, each word once."""
    return list(dict.fromkeys(text.split()))


def why_not(text: str) -> str:
    """Why no one is offered to search for it, as a sentence; "" if nothing is wrong."""
    return f"Use at most {MOST_WORDS} words." if len(words_of(text)) > MOST_WORDS else ""


def search(messages: QuerySet[Message], text: str) -> QuerySet[Message]:
    """Those with every word in subject, recipients or sender."""
    for word in words_of(text):
        messages = messages.filter(
            Q(subject__icontains=word) | Q(recipients_text__icontains=word) | Q(from_header__icontains=word)
        )
    return messages


def by_sender(messages: QuerySet[Message], text: str) -> QuerySet[Message]:
    """Those whose sender or author is called so."""
    author = Q(author__username__icontains=text) | Q(author__first_name__icontains=text)
    return messages.filter(
        Q(from_header__icontains=text) | Q(reverse_path__icontains=text) | author | Q(author__last_name__icontains=text)
    )


def matching(messages: QuerySet[Message], query: str) -> QuerySet[Message]:
    """Those that fit a query string of NAMES; other names, and empty ones, narrow nothing."""
    asked = QueryDict(query)
    if asked.get("q"):
        messages = search(messages, asked["q"])
    if asked.get("sender"):
        messages = by_sender(messages, asked["sender"])
    if asked.get("reason"):
        messages = messages.filter(reason_category=asked["reason"])
    return messages


def in_words(query: str) -> str:
    """What a query string of NAMES chooses: “messages with “invoice” from “anna””."""
    asked = QueryDict(query)
    words = [f"with “{asked['q']}”"] if asked.get("q") else []
    words += [f"from “{asked['sender']}”"] if asked.get("sender") else []
    if asked.get("reason"):
        words.append(f"with the reason “{dict(Category.choices).get(asked['reason'], asked['reason'])}”")
    return f"messages {' '.join(words)}" if words else "everything that waits"
