"""DKIM signatures (RFC 6376) that a message brings along, and which of them a change makes untrue.

A verifier treats a signature that fails as none (RFC 6376 6.1), so the message can go without; it must not go with one
that says something untrue.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from messaging import mime

_TAG = re.compile(r"\s*([a-z]\w*)\s*=\s*([^;]*)", re.IGNORECASE)


def still_true(before: bytes, after: bytes) -> tuple[bytes, tuple[str, ...]]:
    """`after` without the signatures that do not fit any more, as they did in `before`, and the domains they were of.

    Compared is what was signed, in the form in which it was; keys are not asked for. A body signed up to a length (l=)
    counts as changed wherever it was.
    """
    fields, body = mime.head(after)
    signatures = _signatures(fields)
    if not signatures:
        return after, ()
    given, given_body = mime.head(before)
    has_body = _body(before[given_body:]) == _body(after[body:])
    values = {relaxed: (_values(given, relaxed), _values(fields, relaxed)) for relaxed in (False, True)}
    kept, domains, position = [], [], 0
    for as_given, signature in zip(_signatures(given), signatures, strict=True):
        tags = {tag.lower(): value.strip() for tag, value in _TAG.findall(as_given.text)}
        names = [name.strip().lower() for name in tags.get("h", "").split(":")]
        earlier, later = values[tags.get("c", "").lower().startswith("relaxed")]
        has_fields = _signed(earlier, names) == _signed(later, names)
        if not (has_body and has_fields and _value(as_given) == _value(signature)):
            kept.append(after[position : signature.start])
            position = signature.stop
            domains.append(mime.displayable(tags.get("d", ""), 255))
    return b"".join([*kept, after[position:]]), tuple(domains)


def _signatures(fields: Iterable[mime.Field]) -> list[mime.Field]:
    return [field for field in fields if field.name == "dkim-signature"]


def _body(octets: bytes) -> bytes:
    return octets.replace(b"\r\n", b"\n").rstrip(b"\n")


Values = dict[str, list[bytes]]


def _values(fields: Iterable[mime.Field], is_relaxed: bool) -> Values:
    """The values of the fields, by their names."""
    values: Values = defaultdict(list)
    for field in fields:
        value = _value(field)
        values[field.name].append(b" ".join(value.split()) if is_relaxed else value)
    return values


def _signed(values: Values, names: Iterable[str]) -> list[bytes | None]:
    """The values that the names of h= choose: the last field of a name first, None for one that is missing (5.4.2)."""
    left = {name: iter(reversed(values.get(name, ()))) for name in set(names)}
    return [next(left[name], None) for name in names]


def _value(field: mime.Field) -> bytes:
    return field.value.replace(b"\r\n", b"\n")
