"""The bytes of a message: taken apart for keeping, put together for sending, decoded for reading.

Kept are a skeleton (everything but the attachments) in the database and each attachment's encoded body in a file.
What is sent is the skeleton with the bodies put back where they were: byte for byte what was accepted.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from django.db.models import Sum

from messaging.content import address_list, blobs, file_types, flowed, mime, skeletons
from messaging.content.charsets import Reading
from messaging.content.octets import CHUNK, Octets, Span
from messaging.models import Attachment, Message
from messaging.system_errors import words_of

BODY_TYPES = ("text/plain", "text/html")
UNFIT_FOR_A_NAME = str.maketrans(dict.fromkeys('\\/:*?"<>|', " "))
LONGEST_NAME = 100
MOST_SHOWN = 2**20  # octets of a message's texts that are read to be shown
MOST_FIELDS, LONGEST_FIELD = 500, 10_000  # header fields that are shown, and characters of each
MOST_NOTED, LONGEST_LABEL = 3, 40  # character sets that are named wrongly, and characters of each
ADDRESSES_SHOWN = 50  # of a header field, and so many more that open in their place
OTHERS_LOOKED_AT = 50  # attachments, where one is missing
MOST_COUNTED = 500_000  # characters of address lists whose addresses are counted
ADDRESS_FIELDS = {"from", "reply-to", "to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc"}


MISSING = (
    "The attachment {attachment} is missing from the disk or was changed there, so the message cannot be sent whole. "
    "Restore the attachment files from the backup and try again, or have the message written again."
)


class MissingContent(Exception):
    """The file of an attachment is gone or no longer what was accepted, so the message cannot be sent whole."""

    def __init__(self, attachment: Attachment) -> None:
        super().__init__(MISSING.format(attachment=attachment))
        self.attachment = attachment


class UnreadableContent(Exception):
    """The file of an attachment cannot be read at this moment; its `__cause__` is the OSError that says why."""


@dataclass(frozen=True)
class Cut:
    """One attachment: its `body`, still encoded, belongs at `offset` of the skeleton; `size` is in octets, decoded."""

    offset: int
    body: bytes
    encoding: str
    size: int
    filename: str
    content_type: str
    content_id: str
    is_inline: bool


@dataclass(frozen=True)
class HeaderField:
    """A header field, decoded. A long list of addresses is cut after some: `more` come behind these, which are `rest`
    where they are few. `is_cut` says that there is more of it, and that no one counted what.
    """

    name: str
    value: str
    rest: str = ""
    more: int = 0
    is_cut: bool = False


@dataclass(frozen=True)
class Body:
    """A document of HTML, with the text that says the same; or a text alone. Empty strings for what there is not."""

    text: str
    html: str


@dataclass(frozen=True)
class Bodies:
    """What a person reads: `parts`, one below the other. `headers` are in the order of the message.

    `is_guess` says that some of the text is not what it says it is, and is shown as well as it can be; `is_cut` that
    there is more of it. `mislabelled` are the first character sets that texts name, and those that they are in, where
    a mail program that goes by the name shows another text.
    """

    parts: list[Body]
    headers: list[HeaderField]
    is_guess: bool = False
    is_cut: bool = False
    mislabelled: Sequence[tuple[str, str]] = ()

    @property
    def documents(self) -> list[str]:
        """Those of HTML."""
        return [each.html for each in self.parts if each.html]


def split(raw: bytes) -> tuple[bytes, list[Cut]]:
    """Cut every leaf part that is not a text to be read (attachments, images, reports, attached messages).

    Putting each cut's body back at its offset of the returned skeleton gives `raw` again, whatever `raw` is.
    """
    kept: list[bytes] = []
    cuts: list[Cut] = []
    position = skeleton_size = 0
    for part in attached(raw):
        kept.append(raw[position : part.body])
        skeleton_size += part.body - position
        position = part.stop
        cuts.append(_cut(part, skeleton_size))
    kept.append(raw[position:])
    return b"".join(kept), cuts


def is_one_text(fields: Mapping[str, str]) -> bool:
    """Whether a message is for certain nothing but a text to be read, by its header fields (name -> unfolded text)."""
    kind = fields.get("content-type", BODY_TYPES[0]).partition(";")[0]
    return kind in BODY_TYPES and "content-disposition" not in fields


def attached(raw: mime.Raw) -> list[mime.Part]:
    """The parts that are attachments, in the order of their numbers."""
    return [part for part in mime.leaves(raw) if not is_body(part)]


def texts(raw: mime.Raw) -> list[mime.Part]:
    """The parts that are texts to be read."""
    return [part for part in mime.leaves(raw) if is_body(part)]


def assemble(message: Message, attachments: list[Attachment] | None = None) -> Octets:
    """The message as it goes over the wire (CRLF line ends, no dot-stuffing).

    Args:
        attachments: its rows, where they were read already and no one edits it meanwhile.

    Raises:
        MissingContent: before the first octet when an attachment's file is missing, or its size or hash changed; later
            when that happened meanwhile.
        OSError: a large text found no room on the disk.
    """
    if attachments is None:
        attachments = list(message.attachments.all()) if message.attachment_count else []
    skeleton = skeletons.read(message, message.size - sum(attachment.encoded_size for attachment in attachments))
    return put_together(skeleton, attachments)


def put_together(skeleton: Octets, attachments: list[Attachment]) -> Octets:
    """The same from rows that need not be stored. Raises MissingContent as `assemble` does."""
    for attachment in attachments:
        if not blobs.is_intact(attachment.sha256, attachment.encoded_size):
            raise MissingContent(attachment)
    return _interleaved(skeleton, attachments) if attachments else skeleton


def is_store_away(missing: Attachment) -> bool:
    """Whether the file of a stored attachment is missing because none is there: MEDIA_ROOT is not mounted, say."""
    before = Attachment.objects.filter(pk__lt=missing.pk).exclude(sha256=missing.sha256).order_by("-pk")
    others = set(before.values_list("sha256", flat=True)[:OTHERS_LOOKED_AT])
    # Those that came since may have been stored in what is there in its place.
    return not any(map(blobs.is_there, others)) if others else not blobs.has_any()


def skeleton_of(message: Message) -> Octets:
    """The message without its attachments. Raises OSError as `assemble` does."""
    stored = message.attachments.aggregate(octets=Sum("encoded_size"))["octets"] if message.attachment_count else 0
    return skeletons.read(message, message.size - int(stored or 0))


def open_attachment(attachment: Attachment) -> Iterator[bytes]:
    """The attachment decoded, piece by piece. Raises MissingContent before the first octet."""
    if not blobs.is_intact(attachment.sha256, attachment.encoded_size):
        raise MissingContent(attachment)
    return mime.decode(blobs.read(attachment.sha256), attachment.encoding)


def bodies(message: Message) -> Bodies:
    """Text, HTML and header fields decoded for display. Never raises, however broken the message is."""
    return bodies_of(skeleton_of(message))


def bodies_of(raw: mime.Raw) -> Bodies:
    """The same of a skeleton, or of a whole message."""
    found: list[tuple[mime.Part, str]] = []
    is_guess = is_cut = False
    mislabelled: dict[tuple[str, str], None] = {}
    left = MOST_SHOWN
    for part in texts(raw):
        part, is_longer = _shortened(part, left)
        left -= len(part.encoded)
        reading = read(part)
        found.append((part, reading.text))
        is_guess = is_guess or not (reading.is_whole or is_longer)
        is_cut = is_cut or is_longer
        if reading.is_whole and not reading.is_as_named and len(mislabelled) < MOST_NOTED:
            mislabelled[mime.displayable(part.label, LONGEST_LABEL), reading.charset] = None
    return Bodies(_one_below_the_other(found), _header_fields(raw), is_guess, is_cut, list(mislabelled))


def _one_below_the_other(found: Iterable[tuple[mime.Part, str]]) -> list[Body]:
    """Parts with their texts as mail programs show them: each document of HTML apart.

    A text goes with the HTML that is another version of it (RFC 2046 5.1.4); other texts that follow each other are
    one.
    """
    given = [(part, text, part.content_type == "text/html") for part, text in found]
    html: dict[int, dict[int, int]] = defaultdict(dict)  # alternative -> which of its versions -> the first HTML in it
    for part, text, is_html in given:
        for alternative, version in part.choices if is_html and text else ():
            html[alternative].setdefault(version, part.start)
    said: dict[int, list[str]] = defaultdict(list)  # by the HTML that says the same
    shown: list[tuple[str, list[str]]] = []
    for part, text, is_html in given:
        others = (html[each] for each, version in part.choices if each in html and version not in html[each])
        versions = next(others, {})
        if is_html:
            shown += [(text, said[part.start])] if text else []
        elif versions:
            said[next(iter(versions.values()))].append(text)
        elif shown and not shown[-1][0]:
            shown[-1][1].append(text)
        else:
            shown.append(("", [text]))
    bodies = (Body("\n".join(texts), document) for document, texts in shown)
    return [each for each in bodies if each.html or each.text.strip()]


def _header_fields(raw: mime.Raw) -> list[HeaderField]:
    fields, left = [], MOST_COUNTED
    for field in mime.head(raw)[0][:MOST_FIELDS]:
        name, text = _name_as_written(raw, field), field.text
        end, more = len(text), 0
        if field.name in ADDRESS_FIELDS and len(text) <= left:
            left -= len(text)
            end, more = address_list.cut(text, ADDRESSES_SHOWN)
        rest = text[end:].lstrip(", ") if more <= ADDRESSES_SHOWN else ""
        is_cut = max(end, len(rest)) > LONGEST_FIELD
        shown, rest = (mime.decoded_words(each[:LONGEST_FIELD]) for each in (text[:end], rest))
        fields.append(HeaderField(name, shown, rest, more, is_cut))
    return fields


def subject_of(raw: mime.Raw) -> str:
    """The whole Subject, decoded; "" for none."""
    subjects = (field.text for field in mime.head(raw)[0] if field.name == "subject")
    return mime.decoded_words(next(subjects, ""))


def _name_as_written(raw: mime.Raw, field: mime.Field) -> str:
    return raw[field.start : field.stop].partition(b":")[0].decode().strip()


def _shortened(part: mime.Part, most: int) -> tuple[mime.Part, bool]:
    """The part with no more of its body than that, up to the end of a line where there is one."""
    if part.stop - part.body <= most:
        return part, False
    end = part.raw[part.body : part.body + most].rfind(b"\n") + 1 or most
    return mime.Part(part.raw, part.start, part.body + end, part.default_type, len(part.fields)), True


def charset_of(skeleton: mime.Raw, offset: int) -> str:
    """The character set that an attachment declares, by where its body belongs; "" for none."""
    return next((part.charset for part in mime.leaves(skeleton) if part.body == offset), "")


def is_body(part: mime.Part) -> bool:
    """A text to be read. A multipart without its boundaries counts too, so that someone can see what is in it.

    What has a name is attached, but not where mail programs show it whatever its name is: as the message, the first
    part of it, or a version of it.
    """
    if part.content_type.startswith("multipart/"):
        return True
    is_text = part.content_type in BODY_TYPES and part.disposition != "attachment"
    return is_text and (part.is_version or not part.filename)


def _cut(part: mime.Part, offset: int) -> Cut:
    body = part.encoded
    encoding = part.encoding[:20]
    return Cut(
        offset=offset,
        body=body,
        encoding=encoding,
        size=mime.decoded_size(_chunks(body), encoding),
        filename=_safe_filename(part.filename),
        content_type=mime.displayable(part.content_type, 255),
        content_id=mime.displayable(part.content_id, 255),
        is_inline=bool(part.content_id) and part.disposition != "attachment",
    )


def _safe_filename(name: str) -> str:
    """For display and download only: no folder, nothing deceptive, at most 255 characters with the ending kept."""
    name = mime.displayable(name.replace("\\", "/"), len(name)).rpartition("/")[2].strip()
    if name in (".", ".."):
        return ""
    suffix = PurePosixPath(name).suffix
    return name if len(name) <= 255 else name[: 255 - len(suffix)] + suffix if len(suffix) < 20 else name[:255]


def name_to_save(attachment: Attachment, head: bytes) -> str:
    """With an ending, by which a person's computer knows what to open it with; `head` is how the octets begin.

    Without a name an attached message has its subject, others their number.
    """
    stem = attachment.filename
    if "." in stem:
        return stem
    ending = file_types.ending(attachment.content_type, head)
    if not stem and ending == ".eml":
        stem = _subject_of(head)
    return (stem or f"part-{attachment.number}") + ending


def _subject_of(raw: bytes) -> str:
    message = mime.Part(raw, 0, len(raw))
    subjects = (field.text_in(message.charset) for field in message.fields if field.name == "subject")
    return file_stem(mime.decoded_words(next(subjects, "")))


def file_stem(text: str) -> str:
    """A text, such as a subject, as the name of a file that every system takes; "" when nothing of it can stay."""
    words = mime.displayable(text, len(text)).translate(UNFIT_FOR_A_NAME).split()
    return " ".join(words)[:LONGEST_NAME].strip(". ")


def text_of(part: mime.Part) -> str:
    """A text part decoded, with line feeds only."""
    return read(part).text


def read(part: mime.Part) -> Reading:
    """The same, and whether the text is certain."""
    reading = part.read()
    text = reading.text.replace("\r\n", "\n").replace("\x00", "")
    if part.is_flowed:
        text = flowed.joined(text, delsp=part.has_delsp)
    return reading._replace(text=text)


def _interleaved(skeleton: Octets, attachments: list[Attachment]) -> Octets:
    spans: list[Span] = []
    position = 0
    for attachment in attachments:
        spans += skeleton.spans(position, attachment.offset)
        spans.append(Span(_Stored(attachment), 0, attachment.encoded_size))
        position = attachment.offset
    return Octets([*spans, *skeleton.spans(position, len(skeleton))])


class _Stored:
    """The file of an attachment, which was as it should be a moment ago.

    One that changes meanwhile must not end as a shortened but accepted message.
    """

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        attachment, position = self._attachment, start
        try:
            for chunk in blobs.read(attachment.sha256, start):
                yield chunk[: stop - position]
                position += len(chunk)
                if position >= stop and stop < attachment.encoded_size:
                    return
        except FileNotFoundError as error:
            raise MissingContent(attachment) from error
        except OSError as error:
            raise UnreadableContent(f"{attachment}: {words_of(error)}") from error
        if position != attachment.encoded_size:
            raise MissingContent(attachment)


def _chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]
