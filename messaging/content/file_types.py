"""What octets are, by how they begin, and how the name of such a file ends. Nothing that a browser could run is ever
found by its octets: HTML, SVG and scripts are only what they say they are."""

import mimetypes
import re

HEAD = 64  # octets that are enough to tell
PDF, OCTETS = "application/pdf", "application/octet-stream"
IMAGES = frozenset(("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/avif"))

_BEGINNINGS = [
    (rb"\x89PNG\r\n\x1a\n", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"RIFF.{4}WEBP", "image/webp"),
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", "image/bmp"),
    (rb".{4}ftypavi[fs]", "image/avif"),
    (rb"(?:\xef\xbb\xbf|\s)*%PDF-", PDF),
    (rb"PK\x03\x04", "application/zip"),
    (rb"\x1f\x8b\x08", "application/gzip"),
    (rb"\{\\rtf", "application/rtf"),
    (rb"(?:\xef\xbb\xbf)?BEGIN:VCALENDAR\r?\n", "text/calendar"),
    (rb"(?:\xef\xbb\xbf)?BEGIN:VCARD\r?\n", "text/vcard"),
]
_KINDS = [(re.compile(beginning, re.DOTALL), kind) for beginning, kind in _BEGINNINGS]
_ENDINGS = {
    "message/rfc822": ".eml",
    "message/global": ".eml",
    "message/delivery-status": ".txt",
    "message/disposition-notification": ".txt",
    "text/rfc822-headers": ".txt",
    "text/plain": ".txt",
    "text/html": ".html",
    "text/calendar": ".ics",
    "application/ics": ".ics",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "text/directory": ".vcf",
    "text/csv": ".csv",
    "text/xml": ".xml",
    "application/xml": ".xml",
    "application/json": ".json",
    "application/zip": ".zip",
    "application/x-zip-compressed": ".zip",
    "application/gzip": ".gz",
    "application/rtf": ".rtf",
    "text/rtf": ".rtf",
    "application/pdf": ".pdf",
    "application/x-pdf": ".pdf",
    "application/pgp-signature": ".asc",
    "application/pgp-keys": ".asc",
    "application/pkcs7-signature": ".p7s",
    "application/x-pkcs7-signature": ".p7s",
    "application/pkcs7-mime": ".p7m",
    "application/x-pkcs7-mime": ".p7m",
    "application/ms-tnef": ".dat",
    "application/msword": ".doc",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "image/png": ".png",
    "image/x-png": ".png",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/pjpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/bmp": ".bmp",
    "image/avif": ".avif",
    "image/tiff": ".tif",
    "image/svg+xml": ".svg",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "video/mp4": ".mp4",
}
_MORE = mimetypes.MimeTypes()  # Python's own list, the same on every machine


def kind_of(head: bytes, content_type: str = OCTETS) -> str:
    """The type by the octets, or as declared. What is declared as text or as a message is that."""
    if content_type.startswith(("text/", "message/", "multipart/")):
        return content_type
    return next((kind for beginning, kind in _KINDS if beginning.match(head)), content_type)


def ending(content_type: str, head: bytes = b"") -> str:
    """How the name of such a file ends; "" where no one can say."""
    declared = _ENDINGS.get(content_type) or _MORE.guess_extension(content_type)
    if declared is None or content_type == OCTETS:
        return _ENDINGS.get(kind_of(head), "")
    return declared
