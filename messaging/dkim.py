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
    """`after` without the signatures that `before` has and that do not fit any more, and the domains they were of.

    Compared is what was signed, in the form in which it was; keys are not asked for. A body signed up to a length (l=)
    counts as changed wherever it was.
    """
    fields, body = mime.head(after)
    signatures = [field for field in fields if field.name == "dkim-signature"]
    if not signatures:
        return after, ()
    given, given_body = mime.head(before)
    is_same_body = _body(before[given_body:]) == _body(after[body:])
    untrue, domains = [], []
    for signature in signatures:
        tags = {tag.lower(): value.strip() for tag, value in _TAG.findall(signature.text)}
        signed = [name.strip().lower() for name in tags.get("h", "").split(":")]
        is_relaxed = tags.get("c", "").lower().startswith("relaxed")
        if not is_same_body or _signed(given, signed, is_relaxed) != _signed(fields, signed, is_relaxed):
            untrue.append(signature)
            domains.append(mime.displayable(tags.get("d", ""), 255))
    for signature in reversed(untrue):
        after = after[: signature.start] + after[signature.stop :]
    return after, tuple(domains)


def _body(octets: bytes) -> bytes:
    return octets.replace(b"\r\n", b"\n").rstrip(b"\n")


def _signed(fields: Iterable[mime.Field], names: Iterable[str], is_relaxed: bool) -> list[bytes | None]:
    """The values that the names of h= choose: the last field of a name first, None for one that is missing (5.4.2)."""
    values: dict[str, list[bytes]] = defaultdict(list)
    for field in fields:
        value = field.value.replace(b"\r\n", b"\n")
        values[field.name].append(b" ".join(value.split()) if is_relaxed else value)
    return [values[name].pop() if values.get(name) else None for name in names]
