"""Parts of a message exchanged in its bytes; what is not exchanged stays octet for octet.

Header fields, the text with the HTML that was made from it, and attachments at the top level of a multipart/mixed.
"""

import secrets
from collections.abc import Collection, Sequence
from email import policy
from email.message import EmailMessage

from django.utils.html import escape

from messaging.compose import letters
from messaging.compose.letters import attach, html_of, plain
from messaging.compose.links import unlinked
from messaging.content import address_list, assembly, charsets, mime, transfer_encoding
from messaging.content.charsets import Reading
from messaging.content.signed_or_encrypted import is_sealed, is_text_sealed
from messaging.content.uploads import File
from messaging.intake import addresses, own_mail
from messaging.intake.addresses import Mailbox
from messaging.intake.errors import BadAddress, Refused

LONGEST_EDITED = 2 * 2**20  # octets of a text; the form could not be sent with much more
OF_THE_BODY = ("content-", "mime-version")
SEALED_WORDS = "The message is signed or encrypted, and a change would break that."
OTHER_VERSION = (
    "The message has another version of the text, which mail programs may show in its place and which would stay as it "
    "is. Change it where it was written."
)
STAYS_WORDS = (
    "It is sent as it came; saving it here would damage it. Everything else can be changed. To change the text, "
    "correct it where it was written, or write a new message."
)


# --- Header ------------------------------------------------------------------------------------------


def with_field(raw: bytes, name: str, field: bytes) -> bytes:
    """`field` (with its line end; b"" for none) in the place of the header field of that name, or at the end."""
    fields, _ = mime.head(raw)
    present = [each for each in fields if each.name == name.lower()]
    if present:
        edits = [(each.start, each.stop, field if each is present[0] else b"") for each in present]
        return transfer_encoding.apply(raw, edits)
    end = fields[-1].stop if fields else 0
    return raw[:end] + field + raw[end:]


def with_mailboxes(
    raw: bytes,
    name: str,
    new: Sequence[Mailbox],
    *,
    before: bytes,
    kept: Collection[Mailbox],
    others: Collection[str] = (),
) -> bytes:
    """Other mailboxes in the address field of that name; the `kept` ones stay as they are written in `before`.

    `others`, as they are written, follow: who is named and not sent to.
    """
    as_written = named(before, "To", "Cc")
    known = set(map(same, kept))
    values = [
        as_written[mailbox.address]
        if same(mailbox) in known and mailbox.address in as_written
        else own_mail.address_value([mailbox])
        for mailbox in new
    ]
    values += others
    return with_field(raw, name, (f"{name}: " + ",\r\n ".join(values) + "\r\n").encode() if values else b"")


def same(mailbox: Mailbox) -> tuple[str, str]:
    """What of a mailbox comes back from a form that shows it."""
    if not mailbox.name or (mailbox.name.isascii() and mailbox.name.isalnum()):
        return mailbox
    try:
        [back] = letters.read_mailboxes(letters.as_typed([mailbox]))
    except (BadAddress, ValueError):
        back = mailbox
    return " ".join(back.name.split()), mailbox.address


def named(raw: bytes, *names: str) -> dict[str, str]:
    """How each address stands in the fields of these names, with its name and comments.

    Those beyond the effort for one message are not found.
    """
    found: dict[str, str] = {}
    effort = addresses.Effort()
    for field in mime.head(raw)[0]:
        if field.name in map(str.lower, names):
            value = field.value.decode("utf-8", "replace")  # as the gate made it, folds included
            for text in (text for listed in address_list.split(value) for text in listed.mailboxes):
                for mailbox in addresses.mailboxes(text, effort):
                    found.setdefault(_comparable(mailbox.address), text)
    return found


def _comparable(address: str) -> str:
    try:
        return addresses.envelope_address(address)
    except BadAddress:
        return address


# --- Text --------------------------------------------------------------------------------------------


def why_text_stays(raw: mime.Raw) -> str:
    """Why the text cannot be changed here; "" when it can."""
    if is_sealed(raw):
        return SEALED_WORDS
    found = assembly.texts(raw)
    if not found:
        return "The message has no text, only what is attached."
    if sum(part.stop - part.body for part in found) > LONGEST_EDITED:
        return f"The text is longer than {LONGEST_EDITED >> 20} MB. Change it where it was written."
    if any(is_text_sealed(assembly.text_of(part)) for part in found):
        return SEALED_WORDS
    kinds = [part.content_type for part in found]
    if kinds == ["text/plain"] or (kinds == ["text/plain", "text/html"] and _is_made_from(found[1], found[0])):
        return OTHER_VERSION if _has_other_version(raw, found) else _why_unreadable(found[0], assembly.read(found[0]))
    if "text/html" in kinds:
        return "The text has a layout (HTML) that was not made here. Change it where it was written."
    return "The text is in several parts. Change it where it was written."


def _has_other_version(raw: mime.Raw, texts: Sequence[mime.Part]) -> bool:
    """Whether a multipart/alternative around one of the texts has anything else in it (RFC 2046 5.1.4)."""
    parts = list(mime.walk(raw))
    known = {part.start for part in texts}
    return any(
        part.is_leaf and part.start not in known and around.start < part.start < around.stop
        for around in parts
        if around.content_type == "multipart/alternative" and any(around.start < start < around.stop for start in known)
        for part in parts
    )


def _why_unreadable(part: mime.Part, reading: Reading) -> str:
    """Why a text cannot be changed although nothing else stands against it: a change writes all of it again."""
    if reading.is_whole:
        return ""
    if part.encoding not in mime.ENCODINGS:
        why = f"It is encoded in a way that is not known here ({mime.displayable(part.encoding, 40)})"
    elif charsets.read(part.data, part.label).is_whole:
        why = "It is damaged"
    else:
        said = mime.displayable(part.label, 40)
        named = f"the character set that it names ({said})" if said else "any character set, and it names none"
        why = f"Not all of it can be read in {named}"
    return f"{why}. {STAYS_WORDS}"


def _is_made_from(html: mime.Part, text: mime.Part) -> bool:
    """Links make no difference: an earlier version set others, and they take long to find in some texts."""
    made = html_of(assembly.text_of(text), escape)
    return unlinked(assembly.text_of(html)).strip() == made.strip()


def text_in(raw: mime.Raw) -> str:
    """The text that can be changed."""
    return assembly.text_of(assembly.texts(raw)[0])


def with_text(raw: bytes, text: str) -> bytes:
    """Another text, in its HTML version too; only where `why_text_stays` says nothing."""
    made = EmailMessage(policy=policy.SMTP)
    for part in reversed(assembly.texts(raw)):  # from the end: positions before it stay
        made.clear_content()
        if part.content_type == "text/html":
            made.set_content(html_of(text), subtype="html")
        else:
            made.set_content(plain(text))
        entity = made.as_bytes()
        if _has_delimiter(entity, raw, part):
            made.set_content(made.get_content(), subtype=made.get_content_subtype(), cte="base64")
            entity = made.as_bytes()
        raw = _with_entity(raw, part, entity)
    return raw


def _has_delimiter(entity: bytes, raw: bytes, part: mime.Part) -> bool:
    """Whether a multipart around the part would take a line of the entity for its delimiter (RFC 2046 5.1.1)."""
    around = [each.boundary for each in mime.walk(raw) if each.boundary and each.start <= part.start < each.stop]
    return any(line.startswith(tuple(b"--" + each for each in around)) for line in entity.splitlines())


def _with_entity(raw: bytes, part: mime.Part, entity: bytes) -> bytes:
    """The header fields about the body and the body, in the place of a leaf's own."""
    fields, body = mime.head(entity)
    is_root = part.start == 0
    is_marked = any(each.name == "mime-version" for each in part.fields)
    wanted = [each for each in fields if each.name != "mime-version" or (is_root and not is_marked)]
    new = b"".join(entity[each.start : each.stop] for each in wanted)
    gone = [each for each in part.fields if each.name in ("content-type", "content-transfer-encoding", "content-md5")]
    end = part.fields[-1].stop if part.fields else part.start
    header = raw[part.start : end]
    for each in reversed(gone):
        header = header[: each.start - part.start] + header[each.stop - part.start :]
    return raw[: part.start] + header + new + b"\r\n" + entity[body:] + raw[part.stop :]


# --- Attachments -------------------------------------------------------------------------------------


def removable(raw: mime.Raw) -> set[int]:
    """The numbers of the attachments that can be taken out."""
    if is_sealed(raw):
        return set()
    spans = {(part.start, part.stop) for part in _mixed(raw)}
    return {number for number, part in enumerate(assembly.attached(raw), start=1) if (part.start, part.stop) in spans}


def _mixed(raw: mime.Raw) -> list[mime.Part]:
    """The parts right within the message, where it is a multipart/mixed."""
    parts = mime.walk(raw)
    root = next(parts)
    if root.content_type != "multipart/mixed" or root.is_leaf:
        return []
    found: list[mime.Part] = []
    for part in parts:
        if not found or part.start >= found[-1].stop:
            found.append(part)
    return found


def with_files(raw: bytes, removed: Collection[int], added: Sequence[File]) -> bytes:
    """Attachments taken out, by their numbers (all of them `removable`), and others added at the end.

    Raises:
        Refused: nothing would be left.
    """
    if not removed and not added:
        return raw
    attached = assembly.attached(raw)
    gone = {attached[number - 1].start for number in removed}
    within = _mixed(raw)
    if not within:
        raw = _wrapped(raw)
        within = _mixed(raw)
    kept = [raw[part.start : part.stop] for part in within if part.start not in gone]
    kept += map(_entity, added)
    if not kept:
        raise Refused("The message would be empty: it has no text. Leave one attachment in, or add another.")
    root = next(mime.walk(raw))
    delimiter = b"--" + root.boundary
    first = raw.rfind(delimiter, 0, within[0].start)
    tail = raw[within[-1].stop : root.stop]
    if delimiter + b"--" not in tail:
        tail = b"\r\n" + delimiter + b"--\r\n"
    body = b"\r\n".join(delimiter + b"\r\n" + part for part in kept)
    return raw[:first] + body + tail


def _entity(file: File) -> bytes:
    mail = EmailMessage(policy=policy.SMTP)
    attach(mail, file)
    return next(iter(mail.iter_parts())).as_bytes(policy=policy.SMTP)


def _wrapped(raw: bytes) -> bytes:
    """The message as the first part of a multipart/mixed."""
    boundary = f"=_{secrets.token_hex(16)}"
    fields, body = mime.head(raw)
    outer = b"".join(raw[each.start : each.stop] for each in fields if not each.name.startswith(OF_THE_BODY))
    inner = b"".join(raw[each.start : each.stop] for each in fields if each.name.startswith("content-"))
    own = f'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="{boundary}"\r\n'
    return (
        outer + own.encode() + f"\r\n--{boundary}\r\n".encode() + inner + b"\r\n" + raw[body:]
        + f"\r\n--{boundary}--\r\n".encode()
    )  # fmt: skip
