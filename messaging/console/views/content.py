"""What is in a message, each on a route of its own: the HTML body for its frame, attachments, the whole message."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from messaging.access import roles
from messaging.compose import eml_draft
from messaging.console import html_reader
from messaging.console.html_body import InlineImages, NotShown, framed
from messaging.content import assembly, charsets, file_types
from messaging.content.octets import CHUNK
from messaging.models import Attachment, Message

from .guard import who

OPENS_IN_BROWSER = {file_types.PDF, "text/plain", *file_types.IMAGES}
TYPE = re.compile(r"(application|audio|font|image|model|text|video)/[\w.+-]+")
# What a browser might run if it ever ignored the disposition; such files leave as plain octets.
ACTIVE = re.compile(r"html|xml|svg|script", re.IGNORECASE)

FRAME_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src {images}; "
    "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
FILE_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@require_safe
@xframe_options_sameorigin
def html_body(request: HttpRequest, pk: int) -> HttpResponse:
    """The HTML body, or the next with `?body=2`; `?images=1` lets remote images in. Nothing in it can run, submit or
    reach the console.
    """
    message = get_object_or_404(roles.visible_messages(who(request)), pk=pk)
    if request.headers.get("Sec-Fetch-Dest", "iframe") != "iframe":  # a page of its own would speak for the console
        return redirect(message)
    documents = {str(number): html for number, html in enumerate(assembly.bodies(message).documents, start=1)}
    html = documents.get(request.GET.get("body", "1"))
    if html is None:
        raise Http404("This message has no such HTML body.")
    try:
        response = HttpResponse(
            framed(html_reader.clean(html, str(request.user.pk)), InlineImages(_inline_images(message)))
        )
    except NotShown as error:
        raise Http404("This HTML body is not shown.") from error
    images = "http: https: data:" if "images" in request.GET else "data:"
    # The middleware leaves a policy alone that is there already.
    response["Content-Security-Policy"] = FRAME_POLICY.format(images=images)
    response["Referrer-Policy"] = "no-referrer"
    response["X-DNS-Prefetch-Control"] = "off"
    response["Cache-Control"] = "private, no-store"
    return response


def _inline_images(message: Message) -> dict[str, tuple[str, int, Callable[[], bytes]]]:
    return {
        row.content_id: (row.content_type, row.size, partial(_read, row))
        for row in message.attachments.all()
        if row.content_id
    }


def _read(attachment: Attachment) -> bytes:
    try:
        return b"".join(assembly.open_attachment(attachment))
    except assembly.MissingContent:
        return b""


@require_safe
def attachment(request: HttpRequest, pk: int, number: int) -> HttpResponseBase:
    """One attachment, streamed: opened by the browser where that is safe, else (or with ?download=1) saved."""
    visible = roles.visible_messages(who(request)).filter(pk=pk)
    row = get_object_or_404(Attachment, message__in=visible, number=number)
    try:
        body = assembly.open_attachment(row)
    except assembly.MissingContent as error:
        return render(request, "messages/missing_file.html", {"explanation": str(error), "pk": pk}, status=410)
    head = _beginning(body)
    kind = file_types.kind_of(head, row.content_type)
    is_long_text = (
        kind == "text/plain" and row.size > assembly.MOST_SHOWN
    )  # which would have to be read for its letters
    opens = kind in OPENS_IN_BROWSER and not is_long_text and "download" not in request.GET
    pieces: Iterable[bytes] = chain([head], body)
    served_as, size = _safe_type(kind if opens else row.content_type), row.size
    if opens and kind == "text/plain":
        text, charset = _text(row, b"".join(pieces))
        pieces, served_as, size = [text], f"text/plain; charset={charset}", len(text)
    response = streamed(pieces, served_as, assembly.name_to_save(row, head), saved=not opens)
    response["Content-Length"] = str(size)
    return response


def _beginning(pieces: Iterator[bytes]) -> bytes:
    """Enough of a file to tell what it is, or all of it."""
    head = b""
    while len(head) < file_types.HEAD and (piece := next(pieces, None)) is not None:
        head += piece
    return head


def _text(row: Attachment, data: bytes) -> tuple[bytes, str]:
    """A text with the character set that it is in, whatever it says; as UTF-8 where no browser knows that one."""
    reading = charsets.read(data, assembly.charset_of(assembly.skeleton_of(row.message), row.offset))
    if "\0" in reading.text:  # no text at all
        return data, charsets.UTF8
    return (
        (data, reading.charset) if charsets.is_for_browsers(reading.charset) else (reading.text.encode(), charsets.UTF8)
    )


@require_safe
def eml(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The message exactly as it goes over the wire, as a file."""
    message = get_object_or_404(roles.visible_messages(who(request)), pk=pk)
    try:
        body = assembly.assemble(message)
    except assembly.MissingContent as error:
        return render(request, "messages/missing_file.html", {"explanation": str(error), "pk": pk}, status=410)
    return streamed(body, "application/octet-stream", f"message-{pk}.eml", saved=True)


@require_safe
def draft(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The message as a draft for the person's mail program, only while it is handed over to this person."""
    theirs = roles.visible_messages(who(request)).filter(status=Message.Status.HELD, handed_to=who(request))
    message = get_object_or_404(theirs, pk=pk)
    try:
        made = eml_draft.draft_of(message)
    except assembly.MissingContent as error:
        return render(request, "messages/missing_file.html", {"explanation": str(error), "pk": pk}, status=410)
    response = streamed(made.pieces, "message/rfc822", made.name, saved=True)
    response["Content-Length"] = str(made.size)
    return response


def _safe_type(content_type: str) -> str:
    if not TYPE.fullmatch(content_type) or ACTIVE.search(content_type):
        return "application/octet-stream"
    return content_type


def streamed(body: Iterable[bytes], content_type: str, filename: str, *, saved: bool) -> StreamingHttpResponse:
    response = StreamingHttpResponse(_gathered(body), content_type=content_type)
    response["Content-Disposition"] = content_disposition_header(saved, filename) or "attachment"
    response["Content-Security-Policy"] = FILE_POLICY
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


def _gathered(body: Iterable[bytes]) -> Iterator[bytes]:
    """Small pieces together, at most CHUNK octets: each is written to the browser, and a message may be thousands."""
    held: list[bytes] = []
    size = 0
    for piece in body:
        if held and size + len(piece) > CHUNK:
            yield b"".join(held)
            held, size = [], 0
        held.append(piece)
        size += len(piece)
    if held:
        yield b"".join(held)
