"""An HTML body made fit for its sandboxed frame.

The frame's Content-Security-Policy is the wall: no scripts, no forms, nothing from anywhere. What is done here makes
the mail readable within it (inline images, links that open a new window) and closes what a policy does not cover
(DNS prefetching, meta refresh, base).
"""

import base64
import re
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from urllib.parse import unquote

from messaging import magic

MAX_HTML = 2_000_000  # characters; beyond that the frame says so
DROPPED = {"base", "meta", "link", "script", "object", "embed", "applet", "iframe", "frame", "frameset"}
WITHOUT_CONTENT = {"script", "object", "applet", "iframe"}
LINKS = {"a", "area"}
SAFE_LINK = re.compile(r"\s*(https?:|mailto:|tel:|#)", re.IGNORECASE)
CID = re.compile(r"cid:([^\"'\s)>]+)", re.IGNORECASE)
REMOTE = re.compile(
    r"""(?:\b(?:src|srcset|background|poster)\s*=\s*["']?|url\(\s*["']?)\s*(?:https?:)?//""", re.IGNORECASE
)

NOT_IMAGES = ("text/", "message/", "multipart/", "audio/", "video/")

FindImage = Callable[[str], str]


def has_remote_images(html: str) -> bool:
    """Whether the body asks for anything from elsewhere that could be shown."""
    return REMOTE.search(html[:MAX_HTML]) is not None


def framed(html: str, find_image: FindImage) -> str:
    """The body as a document for the frame; `find_image` gives the data: URI of a Content-ID, or ""."""
    if len(html) > MAX_HTML:
        return "<!doctype html><p>This HTML body is too long to be shown here. Save the message as a file to read it."
    rewriter = _Rewriter(find_image)
    rewriter.feed(html)
    rewriter.close()
    head = '<meta charset="utf-8"><meta name="color-scheme" content="light"><base target="_blank">'
    return f"{rewriter.doctype}{head}{''.join(rewriter.kept)}"


class _Rewriter(HTMLParser):
    """Copies what it reads, less DROPPED and comments; links and inline images are rewritten."""

    def __init__(self, find_image: FindImage) -> None:
        super().__init__(convert_charrefs=False)
        self.find_image = find_image
        self.kept: list[str] = []
        self.doctype = ""
        self.skipping = ""
        self.in_style = False

    def handle_decl(self, decl: str) -> None:
        if decl.lower().startswith("doctype") and not self.doctype:
            self.doctype = f"<!{escape(decl, quote=False)}>"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.skipping or tag in DROPPED:
            self.skipping = self.skipping or (tag if tag in WITHOUT_CONTENT else "")
            return
        self.in_style = tag == "style"
        words = [tag, *(self._attribute(name, value) for name, value in self._attributes(tag, attrs))]
        self.kept.append(f"<{' '.join(words)}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in DROPPED:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self.skipping:
            self.skipping = "" if tag == self.skipping else self.skipping
        elif tag not in DROPPED:
            self.in_style = False
            self.kept.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.skipping:
            self.kept.append(self._with_images(data) if self.in_style else data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")

    def _attributes(self, tag: str, attrs: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
        kept = [(name, value) for name, value in attrs if re.fullmatch(r"[a-z][a-z0-9:_-]*", name)]
        kept = [(name, value) for name, value in kept if not name.startswith("on")]
        if tag not in LINKS:
            return kept
        kept = [
            (name, value)
            for name, value in kept
            if name not in ("target", "rel", "ping") and not (name == "href" and not SAFE_LINK.match(value or ""))
        ]
        return [*kept, ("target", "_blank"), ("rel", "noopener noreferrer")]

    def _attribute(self, name: str, value: str | None) -> str:
        if value is None:
            return name
        if name in ("src", "background", "style", "srcset"):
            value = self._with_images(value)
        return f'{name}="{escape(value)}"'

    def _with_images(self, text: str) -> str:
        return CID.sub(lambda found: self.find_image(unquote(found[1])) or found[0], text)


class InlineImages:
    """Finds an inline image by its Content-ID and gives it as a data: URI, within limits.

    What it is its octets say, whatever it is declared as; an image that is made of text (SVG) is none here.
    """

    MAX_EACH = 5 * 2**20
    MAX_ALL = 25 * 2**20

    def __init__(self, by_id: dict[str, tuple[str, int, Callable[[], bytes]]]) -> None:
        """`by_id` maps a Content-ID to (content type, octets, how to read it)."""
        self.by_id = by_id
        self.uris: dict[str, str] = {}
        self.given = 0

    def __call__(self, content_id: str) -> str:
        content_type, size, read = self.by_id.get(content_id, ("", 0, bytes))
        if content_type.startswith(NOT_IMAGES) or size > self.MAX_EACH or self.given + size > self.MAX_ALL:
            return ""
        if content_id not in self.uris:
            data = read()
            kind = magic.kind_of(data, content_type)
            uri = f"data:{kind};base64,{base64.b64encode(data).decode()}" if kind in magic.IMAGES else ""
            self.uris[content_id] = uri
        self.given += size if self.uris[content_id] else 0
        return self.uris[content_id]
