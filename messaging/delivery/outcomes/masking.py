"""The wording of a server's reply: what is left when all that differs from message to message is masked."""

import re
from collections.abc import Collection

MASK = "#"
LONGEST_TEXT = 16_384  # characters that are looked at
MOST_WORDS = 100
LONGEST_WORD = 40  # what is longer is an id, or the address of a page
# A word in quotes or brackets is someone's name.
_NAMED = re.compile(r"<[^<>\s]*>|'[^'\s]+'|\"[^\"\s]+\"|‘[^‘’\s]+’|“[^“”\s]+”|„[^„“\s]+“|«[^«»\s]+»")
# What parts words. Not the signs within addresses, domains, dates and ids.
_BETWEEN = re.compile(r"[\s,;<>()\[\]{}\"'`|*]+")
_AROUND = ".:=!?-_/+&%$~^\\„“”‚‘’«»…"
_DATE_WORDS = re.compile(  # RFC 5322 3.3, and in full
    "mon(day)?|tue(sday)?|wed(nesday)?|thu(rsday)?|fri(day)?|sat(urday)?|sun(day)?|jan(uary)?|feb(ruary)?|mar(ch)?|"
    "apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|nov(ember)?|dec(ember)?|am|pm|utc|gmt|"
    "januar|februar|ma?erz|märz|mai|juni|juli|okt(ober)?|dez(ember)?|(mon|diens|donners|frei|sams|sonn)tag|mittwoch|"
    "janvier|f[eé]vrier|mars|avril|juin|juillet|ao[uû]t|septembre|octobre|novembre|d[eé]cembre|lundi|mardi|mercredi|"
    "jeudi|vendredi|samedi|dimanche|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|"
    "diciembre|lunes|martes|mi[eé]rcoles|jueves|viernes|s[aá]bado|domingo|gennaio|febbraio|aprile|maggio|giugno|luglio|"
    "settembre|ottobre|dicembre|luned[iì]|marted[iì]|mercoled[iì]|gioved[iì]|venerd[iì]|sabato|domenica"
)
_TELLTALE = frozenset(f"@.:={MASK}")
_CAMEL = re.compile("[a-z][A-Z]")
_HEX = re.compile("[0-9a-f]{8,}")


def masked(text: str, names: Collection[str] = ()) -> str:
    """The words of a reply in lower case, with "#" for addresses, domains, numbers, dates and ids; linear in time.

    `names` are whom it is about, in lower case: a server may name them without their domain. Masking once more changes
    nothing. Line breaks and the signs around words do not count.
    """
    words: list[str] = []
    for word in _BETWEEN.split(_NAMED.sub(f" {MASK} ", text[:LONGEST_TEXT])):
        bare = word.strip(_AROUND).casefold()
        if bare in names or _differs(word, bare):
            bare = MASK
        if bare and not (bare == MASK and words[-1:] == [MASK]):
            words.append(bare)
        if len(words) == MOST_WORDS:
            break
    return " ".join(words)


def _differs(word: str, bare: str) -> bool:
    """Whether a word looks like one that differs from message to message."""
    return (
        len(bare) > LONGEST_WORD
        or _DATE_WORDS.fullmatch(bare) is not None
        or not _TELLTALE.isdisjoint(bare)
        or any(char.isdigit() for char in bare)
        or _CAMEL.search(word) is not None
        or _HEX.fullmatch(bare) is not None
    )
