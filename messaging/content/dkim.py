"""Signatures of a domain that a message brings along (DKIM, RFC 6376; ARC; DomainKeys), and what makes them untrue.

A verifier treats a signature that fails as none (RFC 6376 6.1), so the message can go without; it must not go with one
that says something untrue.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from messaging.content import mime

DKIM, ARC, DOMAINKEY = "dkim-signature", "arc-message-signature", "domainkey-signature"
SIGNATURES = frozenset((DKIM, ARC, DOMAINKEY))
_TAG = re.compile(r"[a-z]\w*", re.IGNORECASE)


def still_true(before: bytes, after: bytes) -> tuple[bytes, tuple[str, ...]]:
    """`after` without the signatures that do not fit any more as they did in `before`, and the domains they were of."""
    fields, body = mime.head(after)
    if not any(field.name in SIGNATURES for field in fields):
        return after, ()
    given_body = mime.head(before)[1]
    has_body = _body(before[given_body:]) == _body(after[body:])
    header, domains = header_still_true(before[:given_body], after[:body], has_body=has_body)
    return header + after[body:], domains


def header_still_true(before: bytes, after: bytes, *, has_body: bool) -> tuple[bytes, tuple[str, ...]]:
    """The same of two headers; `has_body` says that what both are of has the same body.

    Compared is what was signed, in the form in which it was; keys are not asked for. A body signed up to a length (l=)
    counts as changed wherever it was. A signature over others goes with any of them. An ARC chain (RFC 8617 5.2) fails
    with its newest message signature, so it goes as a whole.
    """
    fields = mime.head(after)[0]
    if not any(field.name in SIGNATURES for field in fields):
        return after, ()
    given = mime.head(before)[0]
    values = {relaxed: (_values(given, relaxed), _values(fields, relaxed)) for relaxed in (False, True)}
    gone: list[mime.Field] = []
    for as_given, signature in zip(_signatures(given), _signatures(fields), strict=True):
        tags = _tags(as_given)
        # What DomainKeys signs without naming it is all that follows (RFC 4870 3.3).
        names = _names(tags) if "h" in tags else [*values[False][0], *values[False][1]]
        earlier, later = values[signature.name != DOMAINKEY and tags.get("c", "").lower().startswith("relaxed")]
        has_fields = _signed(earlier, names) == _signed(later, names)
        if not (has_body and has_fields and _value(as_given) == _value(signature)):
            gone.append(signature)
    gone = _with_those_over_them(gone, _signatures(fields))
    domains = dict.fromkeys(mime.displayable(_tags(each).get("d", ""), 255) for each in gone)
    if any(each.name == ARC for each in gone):
        gone = [each for each in fields if each in gone or each.name.startswith("arc-")]
    kept, position = [], 0
    for each in gone:
        kept.append(after[position : each.start])
        position = each.stop
    return b"".join([*kept, after[position:]]), tuple(domains)


def _with_those_over_them(gone: list[mime.Field], signatures: Sequence[mime.Field]) -> list[mime.Field]:
    """Those that are gone, and each that signs one of these, in their order."""
    names = {field.name for field in gone}
    more = [field for field in signatures if field in gone or names & set(_names(_tags(field)))]
    return more if len(more) == len(gone) else _with_those_over_them(more, signatures)


def _signatures(fields: Iterable[mime.Field]) -> list[mime.Field]:
    return [field for field in fields if field.name in SIGNATURES]


def _tags(field: mime.Field) -> dict[str, str]:
    pairs = (each.partition("=") for each in field.text.split(";"))
    return {
        tag.strip().lower(): value.strip() for tag, equals, value in pairs if equals and _TAG.fullmatch(tag.strip())
    }


def _names(tags: Mapping[str, str]) -> list[str]:
    """The names of h=, which may be folded anywhere (RFC 6376 3.2)."""
    return "".join(tags.get("h", "").split()).lower().split(":")


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
