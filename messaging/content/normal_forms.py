"""Unicode's normal forms in time linear in the text.

unicodedata sorts the marks of each letter, in time that grows with the square of their number, and holds the
interpreter meanwhile: 100,000 of them take a minute.
"""

import unicodedata
from functools import lru_cache
from typing import Literal

MOST_MARKS = 30  # of a letter; no language has more (UAX #15, Stream-Safe Text Format)

Form = Literal["NFC", "NFKC", "NFKD"]


def normalize(form: Form, text: str) -> str:
    """A normal form of a text, in which no letter keeps more than MOST_MARKS."""
    return text if text.isascii() else unicodedata.normalize(form, _with_few_marks(text))


def _with_few_marks(text: str) -> str:
    kept, marks = [], 0
    for letter in text:
        marks = marks + _marks(letter) if _is_mark(letter) else 0
        if marks <= MOST_MARKS:
            kept.append(letter)
    return "".join(kept) if len(kept) < len(text) else text


@lru_cache(maxsize=4096)
def _is_mark(letter: str) -> bool:
    """Whether it is sorted among the marks of the letter before it."""
    return unicodedata.combining(unicodedata.normalize("NFKD", letter)[0]) != 0


@lru_cache(maxsize=4096)
def _marks(letter: str) -> int:
    return len(unicodedata.normalize("NFKD", letter))
