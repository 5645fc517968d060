"""An HTML body made fit for its sandboxed frame.

The frame's Content-Security-Policy and its sandbox are the wall: no scripts, no forms, nothing from anywhere. Behind it
nh3 keeps what a newsletter is made of and nothing else. What is done here makes the mail readable (inline images, links
that open a new window, style sheets) and closes what a policy does not cover (DNS prefetching, meta refresh, base).
"""

import base64
import re
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from html import escape, unescape
from urllib.parse import unquote

import nh3

from messaging.console import html_weight
from messaging.console.html_allowed import ATTRIBUTES, PROPERTIES, SCHEMES, TAGS, WITH_TEXT, WITHOUT_CONTENT
from messaging.content import file_types

MAX_HTML = 256 * 1024  # characters; beyond that the text is shown, and the source offered
MOST_GROWTH = 4  # times as long as it was, before inline images come in
ROOM = 2_000  # characters that any document may grow by

# With a host right behind two slashes: a browser reads "http:/x", "http:x" and the like as addresses of the console.
_LINK = re.compile(r"[\x00-\x20]*(?:https?://[^\x00-\x20/\\?#]|mailto:|tel:|#)", re.IGNORECASE)
_IMAGE = re.compile(r"[\x00-\x20]*(?:(?:https?:)?//|cid:|data:image/)", re.IGNORECASE)
# What a browser takes for an address elsewhere: "\\x" is "//x" for it, and "https:x" at times "https://x".
_ELSEWHERE = r"(?:https?:|[/\\]{2})"
_REMOTE = re.compile(rf"[\x00-\x20]*{_ELSEWHERE}", re.IGNORECASE)
_REMOTE_IN_SET = re.compile(rf"(?:\A|[\s,]){_ELSEWHERE}", re.IGNORECASE)
_REMOTE_URL = re.compile(rf"url\(\s*+[\"']?[\x00-\x20]*+{_ELSEWHERE}", re.IGNORECASE)
_REMOTE_TEXT = re.compile(rf"[\"'][\x00-\x20]*+{_ELSEWHERE}", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})(?:\r\n|[ \t\n\r\f])?|(\r\n|[\n\r\f])|(.))", re.IGNORECASE)
_NO_LINE_ENDS = dict.fromkeys(map(ord, "\t\r\n"))  # a URL has none for a browser (URL Standard 4.4)
_ATTRIBUTE = re.compile(r' ([^ =]+)="([^"]*)"')
_CID = re.compile(r"cid:([^\"'\s)>;,]+)", re.IGNORECASE)
_MEDIA = re.compile(r"[\w\s(),:.-]{1,200}")
_IMPORT = re.compile(r"@(?:import|charset|namespace)\b[^;{}]*+;?", re.IGNORECASE)
_SHEET = re.compile(r'<style(?: media="([^"]*)")?>')
_DOCTYPE = re.compile(r"\s*+<!doctype\s++html(?:\s[^<>]{0,300})?>", re.IGNORECASE)

_MARKUP = re.compile(r"<[^>]*+>?")
UNSEEN = WITHOUT_CONTENT - WITH_TEXT
UNSEEN_IN_SVG = UNSEEN | {"desc", "metadata"}
FOREIGN = ("svg", "math")  # whose elements end by themselves where "/>" says so

NOT_IMAGES = ("text/", "message/", "multipart/", "audio/", "video/")

FindImage = Callable[[str], str]


class NotShown(ValueError):
    """The body is too long, or takes too long to read."""


@dataclass(frozen=True)
class Clean:
    """A body that is safe to show. `cids` are what stands in it for inline images: their marks and Content-IDs.

    It is partial where text was left out that other programs may show.
    """

    document: str
    cids: dict[str, str]
    has_remote_images: bool
    is_partial: bool


def clean(html: str) -> Clean:
    """The body as a document for the frame, without its inline images. Raises NotShown."""
    if len(html) > MAX_HTML:
        raise NotShown
    try:
        html_weight.check(html)
    except html_weight.TooHeavy as error:
        raise NotShown from error
    cleaner = _Cleaner()
    document = cleaner.document(html)
    if len(document) > MOST_GROWTH * len(html) + ROOM:
        raise NotShown
    return Clean(document, cleaner.cids, cleaner.has_remote_images, _leaves_out_text(html))


def framed(found: Clean, find_image: FindImage) -> str:
    """The document with its images; `find_image` gives the data: URI of a Content-ID, or ""."""
    pieces = re.split(r"cid:([0-9a-f]{16}-[0-9]+)", found.document)
    images = [find_image(found.cids[mark]) if mark in found.cids else "" for mark in pieces[1::2]]
    images = [image or f"cid:{mark}" for image, mark in zip(images, pieces[1::2], strict=True)]
    kept = [piece for pair in zip(pieces[::2], [*images, ""], strict=True) for piece in pair]
    return "".join(kept)


class _Cleaner:
    """Keeps what it may, and notes what images it met."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self.cids: dict[str, str] = {}
        self.has_remote_images = False

    def document(self, html: str) -> str:
        doctype = _DOCTYPE.match(html)
        body = self._kept(html)
        sheets = "".join(self._sheets(html))
        tags = dict.fromkeys(("html", "body"), "")
        for tag in html_weight.tags(html):
            if not tag.is_end and not tag.is_raw and not tags.get(tag.name, "done"):
                tags[tag.name] = self._attributes(tag.source)
            if tags["body"] or tag.name in html_weight.BLOCKS or tag.name == "table":
                break
        opened = f"<html{tags['html']}><body{tags['body']}>"
        self.has_remote_images |= any(map(_has_remote_image, html_weight.tags(opened + body)))
        head = '<meta charset="utf-8"><meta name="color-scheme" content="light"><base target="_blank">'
        return (
            f"{'<!doctype html>' if doctype else ''}<html{tags['html']}><head>{head}{sheets}</head>"
            f"<body{tags['body']}>{body}</body></html>"
        )

    def _kept(self, html: str, tags: frozenset[str] = TAGS) -> str:
        return nh3.clean(
            html,
            tags=set(tags),
            clean_content_tags=set(WITHOUT_CONTENT),
            attributes={"*": set(ATTRIBUTES), "a": {"href"}, "area": {"href"}},
            attribute_filter=self._attribute,
            generic_attribute_prefixes={"aria-"},
            url_schemes=set(SCHEMES),
            link_rel="noopener noreferrer",
            set_tag_attribute_values={
                "a": {"target": "_blank"},
                "area": {"target": "_blank", "rel": "noopener noreferrer"},
            },
            filter_style_properties=set(PROPERTIES),
        )

    def _attributes(self, source: str) -> str:
        """Those of a tag, which a fragment of HTML cannot have in it: they are read as if it were another."""
        opened = "<div" + source[5:]
        kept = self._kept(opened, frozenset(("div",)))
        return kept.removeprefix("<div").removesuffix("></div>") if kept.startswith("<div ") else ""

    def _attribute(self, tag: str, name: str, value: str) -> str | None:
        if name == "href":
            return value if _LINK.match(value) else None
        if name == "src" or name == "background":
            return self._marked(value) if _IMAGE.match(value) else None
        return self._marked(value) if name == "style" else value

    def _marked(self, text: str) -> str:
        """With a mark for each inline image, which no text can have by chance."""

        def mark(found: re.Match[str]) -> str:
            name = f"{self.token}-{len(self.cids)}"
            self.cids[name] = unquote(found[1])
            return f"cid:{name}"

        return _CID.sub(mark, text)

    def _sheets(self, html: str) -> list[str]:
        """The style sheets as the parser sees them: nothing else is left as markup, so each ends where it says.

        Whatever is in one, it cannot end it; and of what it names the policy lets in nothing but images.
        """
        if "<style" not in html.lower():
            return []
        plain = nh3.clean(
            html,
            tags={"style"},
            clean_content_tags=set(WITHOUT_CONTENT - {"style"}),
            attributes={"style": {"media"}},
            attribute_filter=lambda tag, name, value: value if _MEDIA.fullmatch(value) else None,
        )
        found = _SHEET.split(plain)[1:]
        sheets = []
        for media, rest in zip(found[::2], found[1::2], strict=True):
            css = _IMPORT.sub("", rest.partition("</style>")[0]).replace("<!--", "").replace("-->", "")
            self.has_remote_images |= _has_remote_url(css)
            css = self._marked(css.replace("<", r"\3c "))
            sheets.append(f"<style{f' media={chr(34)}{escape(media)}{chr(34)}' if media else ''}>{css}</style>")
        return sheets


def _leaves_out_text(html: str) -> bool:
    within, depth, opened = "", 0, ""  # the outermost element of WITH_TEXT, and the tag before, if it opens one
    for tag in html_weight.tags(html):
        unseen = UNSEEN_IN_SVG if within == "svg" else UNSEEN
        # In a noscript the markup is text, too.
        if within and opened not in unseen and _MARKUP.sub("", tag.text).strip():
            return True
        if tag.is_raw:
            continue
        ends_itself = (within in FOREIGN or tag.name in FOREIGN) and tag.source.endswith("/>")
        opened = "" if tag.is_end or ends_itself else tag.name
        if ends_itself:
            continue
        if not within and opened in WITH_TEXT:
            within = tag.name
        if tag.name == within:
            depth += -1 if tag.is_end else 1
            within = within if depth else ""
    return False


def _has_remote_image(tag: html_weight.Tag) -> bool:
    """Whether a tag of what was kept has one."""
    for name, value in _ATTRIBUTE.findall(tag.source):
        if name == "style" and _has_remote_url(unescape(value)):
            return True
        if name in ("src", "background") and _REMOTE.match(value):
            return True
        if name == "srcset" and _REMOTE_IN_SET.search(unescape(value)):
            return True
    return False


def _has_remote_url(css: str) -> bool:
    """Whether a style or a style sheet has one, its letters as they are or escaped (CSS Syntax 3, 4.3.7)."""
    read = _ESCAPE.sub(_unescaped, css).translate(_NO_LINE_ENDS)
    has_set = "image-set(" in read.lower()  # its addresses may be mere texts
    return bool(_REMOTE_URL.search(read) or (has_set and _REMOTE_TEXT.search(read)))


def _unescaped(found: re.Match[str]) -> str:
    number = int(found[1] or "0", 16)
    return chr(number) if found[1] and number <= sys.maxunicode else found[3] or ""


class InlineImages:
    """Finds an inline image by its Content-ID and gives it as a data: URI, within limits.

    What it is its octets say, whatever it is declared as; an image that is made of text (SVG) is none here.
    """

    MAX_EACH = 5 * 2**20
    MAX_ALL = 25 * 2**20

    def __init__(self, by_id: dict[str, tuple[str, int, Callable[[], bytes]]]) -> None:
        """`by_id` maps a Content-ID to (content type, octets, how to read it). A `cid:` is read percent-decoded, and
        so is a Content-ID that the gate encoded.
        """
        self.by_id = {unquote(content_id): image for content_id, image in by_id.items()} | by_id
        self.uris: dict[str, str] = {}
        self.given = 0

    def __call__(self, content_id: str) -> str:
        content_type, size, read = self.by_id.get(content_id, ("", 0, bytes))
        if content_type.startswith(NOT_IMAGES) or size > self.MAX_EACH or self.given + size > self.MAX_ALL:
            return ""
        if content_id not in self.uris:
            data = read()
            kind = file_types.kind_of(data, content_type)
            uri = f"data:{kind};base64,{base64.b64encode(data).decode()}" if kind in file_types.IMAGES else ""
            self.uris[content_id] = uri
        self.given += size if self.uris[content_id] else 0
        return self.uris[content_id]
