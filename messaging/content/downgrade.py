"""A message for a server without SMTPUTF8 (RFC 6531), where only some of its addresses need it (RFC 6857).

An address of To or Cc that is not ASCII becomes a group without members whose name tells it: those who get the message
still reads who else did. The fields that answers go by cannot be written so.
"""

from messaging.content import address_list, mime
from messaging.content.transfer_encoding import Edit, apply

RECIPIENTS = frozenset(("to", "cc", "resent-to", "resent-cc"))
SENDERS = frozenset(("from", "sender", "reply-to", "resent-from", "resent-sender", "resent-reply-to"))


def to_ascii_header(raw: bytes) -> bytes | None:
    """The message with a header in ASCII; None where that would lose an address to answer to.

    A message whose header is ASCII stays as it is.
    """
    fields, body = mime.head(raw)
    if raw[:body].isascii():
        return raw
    edits: list[Edit] = []
    for field in fields:
        whole = raw[field.start : field.stop]
        if whole.isascii():
            continue
        value = _value(field)
        if value is None:
            return None
        name = whole.partition(b":")[0].decode("ascii").strip()
        edits.append((field.start, field.stop, f"{name}: {value}\r\n".encode()))
    return apply(raw, edits)


def _value(field: mime.Field) -> str | None:
    if field.name in SENDERS:
        return None
    if field.name not in RECIPIENTS:
        return mime.encoded_words(field.text, field=field.name)
    members: list[str | None] = []
    for group, mailboxes in address_list.split(field.text):
        others = [_as_group(each) for each in mailboxes if not each.isascii()]
        if group is None:
            members += others or mailboxes
        else:
            plain = ",\r\n ".join(filter(str.isascii, mailboxes))
            members += [f"{group}:\r\n {plain};" if group.isascii() else None, *others]
    return None if None in members else ",\r\n ".join(filter(None, members))


def _as_group(mailbox: str) -> str | None:
    """`Jörg <jörg@example.com>` as the name of an empty group; None for what is no simple mailbox."""
    bare, comments = address_list.without_comments(mailbox)
    name, bracket, address = bare.rpartition("<")
    if bracket and not address.endswith(">"):
        return None
    plain_name = mime.decoded_words(name.strip().strip('"'))
    if any(character in name.strip().strip('"') + address for character in '":;'):
        return None  # quotes within
    told = f"{plain_name} <{address[:-1]}>" if plain_name else address.removesuffix(">")
    return mime.encoded_words(" ".join([told, *(f"({mime.decoded_words(each)})" for each in comments)])) + " :;"
