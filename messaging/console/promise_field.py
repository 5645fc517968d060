"""What a page says that its buttons do, as its forms name it in one hidden field: that is done, or it is asked again.

A promise is one word, of a button and of what it does: "queue:waits", "at:Europe/Berlin". What a form does not name was
not promised, so a page of another version and a program are asked as well.
"""

from collections.abc import Mapping

from django.utils import timezone

FIELD = "promised"


def of(data: Mapping[str, str]) -> frozenset[str]:
    """The promises that a form names."""
    return words(data.get(FIELD, ""))


def words(*values: str) -> frozenset[str]:
    """The promises in values of the field."""
    return frozenset(" ".join(values).split())


def zone(field: str) -> str:
    """The promise that a time typed into a field is one of the time zone that the page names."""
    return f"{field}:{timezone.get_current_timezone_name()}"
