"""Words for people: names, times, and the sentences that rows stand for by a key. Nothing decides by them."""

from .pauses import ended_by, paused_by
from .people_and_times import at, changed, dated, moment, person, sentence
from .sentences import (
    advice,
    banner,
    by_whom,
    change_in_words,
    changes_in_words,
    event,
    in_words,
    kept,
    state,
    waits,
    whom,
)

__all__ = [
    "advice",
    "at",
    "banner",
    "by_whom",
    "change_in_words",
    "changed",
    "changes_in_words",
    "dated",
    "ended_by",
    "event",
    "in_words",
    "kept",
    "moment",
    "paused_by",
    "person",
    "sentence",
    "state",
    "waits",
    "whom",
]
