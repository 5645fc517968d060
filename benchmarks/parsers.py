"""`python -m benchmarks.parsers`: what parsers of foreign input cost, in processor time, for the worst that is known.

Each row is a parser and text made of one thing repeated, at a length and at twice that. The suite holds a generous
ceiling over the same table (tests/unit/test_parsers.py). PARSERS needs Django set up.
"""

import argparse
import os
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

Parser = Callable[[str], Any]

# What repeats: `before`, the unit, `after`.
REPEATED: dict[str, tuple[str, str, str]] = {
    "quotes": ("", '"', ""),
    "escaped quotes": ('"', '\\"', ""),
    "angles": ("", "<", ""),
    "closing angles": ("", ">", ""),
    "angles in pairs": ("", "<>", ""),
    "parentheses": ("", "(", ""),
    "comments": ("", "()", " a@b.example"),
    "brackets": ("", "[", ""),
    "braces": ("", "{", ""),
    "commas": ("a@b.example", ",", ""),
    "addresses": ("", "a@b.example,", ""),
    "semicolons": ("", ";", ""),
    "colons": ("", ":", ""),
    "groups": ("", "g:", ""),
    "empty groups": ("", "g:;", ""),
    "at signs": ("", "@", ""),
    "at signs in a quote": ('"', "@", ""),
    "dots": ("a", ".", "@b"),
    "labels": ("a@", "a.", "b"),
    "unicode labels": ("a@", "ä.", "b"),
    "spaces": ("a", " ", "b"),
    "spaces in a tag": ("<img src=", " ", "x"),
    "spaces in escaped text": ("&lt;img src=", " ", "x"),
    "spaces in url(": ("<p style='a:url(", " ", "x"),
    "tabs": ("a", "\t", "b"),
    "line breaks": ("a", "\n", "b"),
    "blank lines": ("a", "\n \n", "b"),
    "folds": ("a", "\r\n ", "b"),
    "carriage returns": ("a", "\r", "b"),
    "NULs": ("a", "\0", "b"),
    "backslashes": ("", "\\", ""),
    "equals signs": ("", "=", ""),
    "parameters": ("text/plain", ";a=b", ""),
    "numbered parameters": ("text/plain", ";a*0=b", ""),
    "parameters beside those that are read": ("text/plain; charset=x; filename=x; boundary=x", ";a=b", ""),
    "percent parameters": ("text/plain; a*=utf-8''", "%C3", ""),
    "encoded words begun": ("", "=?", ""),
    "encoded words half": ("", "=?utf-8?q?", ""),
    "encoded words": ("", "=?utf-8?q?a?= ", ""),
    "base64 words": ("", "=?utf-8?b?w6Q=?= ", ""),
    "words in other sets": ("", "=?koi8-r?b?w6Q=?= =?utf-8?q?=C3=A4?= ", ""),
    "broken words": ("", "=?x?q?\xe4?= ", ""),
    "letters": ("", "a", ""),
    "long word": ("http://", "a", ""),
    "umlauts": ("", "ä", ""),
    "marks on a letter": ("x", "\u0315\u0300", ""),
    "marks on a letter of a domain": ("a@x", "\u0315\u0300", ".example"),
    "marks on a letter of a link": ("http://x", "\u0315\u0300", ".example"),
    "words": ("", "ab ", ""),
    "unicode words": ("", "äb ", ""),
    "dashes": ("", "-", ""),
    "almost boundaries": ("", "--ab\r\n", ""),
    "quote marks": ("", ">", " x"),
    "flowed lines": ("", "> a \n", ""),
    "anchors begun": ("", "<a ", ""),
    "tags": ("", "<b>", ""),
    "tags and ends": ("", "<p></b>", ""),
    "links": ("", "<a href=http://x>", ""),
    "style attributes": ("<p style='", "a:b;", "'>"),
    "escapes in a style": ("<p style='a:url(", r"\75 ", ")'>"),
    "sets of images": ("<style>", "image-set(' ", "</style>"),
    "addresses begun in a style": ("<p style='color:", "url( ", "'>"),
    "attributes": ("<p ", "a ", ">"),
    "comments begun": ("", "<!--", ""),
    "comments ended": ("", "<!--x-->", ""),
    "tags in a style sheet": ("<style>", "<a ", ">"),
    "letters in a style sheet": ("<style>", "<a", ">"),
    "comments that end otherwise": ("", "<!--a--!>", ""),
    "declarations": ("", "<!", ""),
    "instructions": ("", "<?", ""),
    "ends": ("", "</", ""),
    "styles": ("", "<style>", ""),
    "scripts": ("", "<script>", ""),
    "tags in a script": ("<script>", "<a ", ">"),
    "ends in a script": ("<script>", "</a ", ">"),
    "names in a script": ("<script>", "</a", ">"),
    "divisions and open formatting": (f"<p>{''.join(f'<b a{n}>' for n in range(480))}</p>", "<div></div>", ""),
    "metas": ("", "<meta ", ""),
    "ampersands": ("", "&", ""),
    "entities": ("", "&am", ""),
    "hashes": ("", "&#", ""),
    "a number without an end": ("&#", "9", ";"),
    "imports": ("<style>", "@import ", ""),
    "cids": ("<img src='", "cid:", "'>"),
    "cid spaces": ("<p style='a:url(", "cid:a ", "'>"),
    "tables": ("", "<table><tr><td>", ""),
    "anchors in a table": ("<table>", "<a>x", ""),
    "addresses in text": ("", "a@b.example ", ""),
    "at words": ("", "a@", ""),
    "link text": ("", "http://a.example/ ", ""),
    "link parentheses": ("http://a.example/", "(", ""),
    "link ends": ("http://a.example/", ").", ""),
    "link amps": ("http://a.example/?", "&lt;", ""),
    "dotted": ("", "a.", ""),
    "www": ("", "www.", ""),
    "hosts of one-letter labels": ("", "www." + "ж." * 328 + "example ", ""),
    "hosts of A-labels": ("", "www." + "ж." * 25 + "example ", ""),
    "addresses of one-letter labels": ("a@b.example", ", a@" + "ж." * 328 + "example", ""),
    "digits": ("", "1", ""),
    "apostrophes": ("", "'", ""),
    "smart quotes": ("", "“", ""),
    "slashes": ("", "/", ""),
    "wait": ("", "wait ", ""),
    "again in": ("", "again in ", ""),
    "hex": ("", "deadbeef ", ""),
    "status codes": ("", "5.1.1 ", ""),
    "reply codes": ("", ":45", ""),
    "speakers": ("", "said ", ""),
    "hosts": ("", "a.b [", ""),
    "signs": ("", "( )", ""),
    "escaped octets": ("", "\\xe4", ""),
}


def repeated(name: str, size: int) -> str:
    """Text of about `size` characters."""
    before, unit, after = REPEATED[name]
    return before + unit * (size // len(unit)) + after


def _header(name: str) -> Callable[[str], bytes]:
    return lambda text: f"From: a@b.example\r\n{name}: {' '.join(text.split())}\r\n\r\nx\r\n".encode()


def _headers(text: str) -> bytes:
    return b"From: a@b.example\r\n" + text.encode() + b"\r\n\r\nx\r\n"


def _body(content_type: str) -> Callable[[str], bytes]:
    return lambda text: f"From: a@b.example\r\nContent-Type: {content_type}\r\n\r\n{text}".encode()


def _nested_versions(text: str) -> bytes:
    """In 90 alternatives, with HTML beside each."""
    heads = (
        f"Content-Type: multipart/alternative; boundary=a{n}\r\n\r\n"
        f"--a{n}\r\nContent-Type: text/html\r\n\r\nä\r\n--a{n}\r\n"
        for n in range(90)
    )
    return f"From: a@b.example\r\n{''.join(heads)}\r\n--a89\r\n\r\n{text}".encode()


def _nested(text: str) -> bytes:
    """In 200 multiparts, whose boundaries begin alike."""
    heads = (f"Content-Type: multipart/mixed; boundary={'a' * n}\r\n\r\n--{'a' * n}\r\n" for n in range(1, 201))
    return f"From: a@b.example\r\n{''.join(heads)}\r\n{text}".encode()


@lru_cache(maxsize=1)
def parsers() -> dict[str, Parser]:
    """Parsers by name; what they raise is part of what they do."""
    from messaging import option_values, users
    from messaging.access import sign_in_throttling
    from messaging.compose import letters, rewrite
    from messaging.console import html_body, html_weight
    from messaging.console.templatetags.outtray import mailbox
    from messaging.content import (
        address_list,
        assembly,
        charsets,
        dkim,
        downgrade,
        flowed,
        mime,
        signed_or_encrypted,
        transfer_encoding,
        uploads,
    )
    from messaging.content.octets import Octets
    from messaging.delivery.outcomes.masking import masked
    from messaging.delivery.outcomes.reply import Reply, Stage
    from messaging.delivery.outcomes.verdict import judge
    from messaging.delivery.smtp.dialogue import reply_of
    from messaging.intake import address_warnings, addresses, message_ids, typed_addresses, unicode_files, wire
    from messaging.local.catcher import _MESSAGE_ID
    from messaging.setup import opt_files, servers

    now = datetime(2026, 11, 29, tzinfo=UTC)

    def to_raw(make: Callable[[str], bytes], use: Callable[[bytes], Any]) -> Parser:
        return lambda text: use(make(text))

    def fit(raw: bytes) -> Any:
        return wire.fit(raw, "a@b.example", now)

    def to_7bit(raw: bytes) -> Any:
        header, body = transfer_encoding.to_7bit(Octets.of(raw))
        return header + b"".join(body)

    def opt(name: str) -> Parser:
        def read(text: str) -> Any:
            return opt_files.READERS[name](opt_files._one_line(text.encode()[: opt_files.MAX_OCTETS]))

        return read

    return {
        "html frame": lambda text: html_body.framed(html_body.clean(text), lambda _: ""),
        "html text": html_weight.text_of,
        "bodies text": to_raw(_body("text/plain; format=flowed; delsp=yes"), assembly.bodies_of),
        "bodies html": to_raw(_body("text/html"), assembly.bodies_of),
        "bodies qp": to_raw(_body("text/plain\r\nContent-Transfer-Encoding: quoted-printable"), assembly.bodies_of),
        "bodies base64": to_raw(_body("text/plain\r\nContent-Transfer-Encoding: base64"), assembly.bodies_of),
        "bodies multipart": to_raw(_body("multipart/mixed; boundary=-"), assembly.bodies_of),
        "nested versions": to_raw(_nested_versions, assembly.bodies_of),
        "nested multiparts": to_raw(_nested, lambda raw: (assembly.split(raw), assembly.bodies_of(raw))),
        "split multipart": to_raw(_body("multipart/mixed; boundary=a"), assembly.split),
        "shown headers": to_raw(_headers, assembly.bodies_of),
        "shown subject": to_raw(_header("Subject"), assembly.bodies_of),
        "content-type": to_raw(_header("Content-Type"), lambda raw: (assembly.split(raw), assembly.bodies_of(raw))),
        "disposition": to_raw(
            _header("Content-Disposition"), lambda raw: (assembly.split(raw), assembly.bodies_of(raw))
        ),
        "encoding": to_raw(_header("Content-Transfer-Encoding"), assembly.split),
        "content-id": to_raw(_header("Content-ID"), assembly.split),
        "fit subject": to_raw(_header("Subject"), fit),
        "fit to": to_raw(_header("To"), fit),
        "fit from": lambda text: fit(f"From: {' '.join(text.split())}\r\n\r\nx\r\n".encode()),
        "fit message-id": to_raw(_header("Message-ID"), fit),
        "fit content-type": to_raw(_header("Content-Type"), fit),
        "fit disposition": to_raw(_header("Content-Disposition"), fit),
        "fit unlabelled": to_raw(lambda text: _header("Content-Type")(f"text/plain; {text}") + "ä".encode(), fit),
        "fit unlabelled parts": to_raw(lambda text: _nested_versions(f"ä{text}"), fit),
        "fit 8-bit type": to_raw(lambda text: _header("Content-Type")(f"a/b; n=ä{text}"), fit),
        "fit 8-bit to": to_raw(lambda text: _header("To")(f"ä {text}"), fit),
        "fit 8-bit subject": to_raw(lambda text: _header("Subject")(f"ä {text}"), fit),
        "fit other": to_raw(lambda text: _header("Received")(f"ä {text}"), fit),
        "fit headers": to_raw(_headers, fit),
        "fit text": to_raw(_body("text/plain"), fit),
        "fit multipart": to_raw(_body("multipart/mixed; boundary=a"), fit),
        "fit dkim": to_raw(_header("DKIM-Signature"), fit),
        "dkim": to_raw(_header("DKIM-Signature"), lambda raw: dkim.still_true(raw, raw.replace(b"x", b"y"))),
        "7bit": to_raw(lambda text: _body("text/plain; charset=utf-8")(f"ä{text}"), to_7bit),
        "ascii header": to_raw(lambda text: _header("To")(f"ä {text}"), downgrade.to_ascii_header),
        "unicode files": lambda text: unicode_files.in_utf8(text.encode("utf-16")),
        "editable": to_raw(_body("text/plain"), lambda raw: (rewrite.why_text_stays(raw), rewrite.removable(raw))),
        "named": to_raw(_header("To"), lambda raw: rewrite.named(raw, "To")),
        "envelope": addresses.envelope_mailboxes,
        "address": lambda text: addresses.envelope_address.__wrapped__(text),
        "mailboxes": addresses.mailboxes,
        "header value": addresses.header_value,
        "header value 8-bit": lambda text: addresses.header_value(f"ä {text}"),
        "typed": typed_addresses.read,
        "typed one": typed_addresses.one,
        "as typed": lambda text: rewrite.same(addresses.Mailbox(text, "a@b.example")),
        "list": address_list.split,
        "comments": address_list.without_comments,
        "message-id": message_ids.read,
        "doubt": address_warnings.warning,
        "words": mime.decoded_words,
        "runs": mime.encoded_runs,
        "encoded": lambda text: mime.encoded_words(text, field="Subject"),
        "encoded ascii": lambda text: (
            mime.encoded_words(" ".join(text.split()), "us-ascii", field="Subject") if text.isascii() else ""
        ),
        "displayable": lambda text: mime.displayable(text, 80),
        "flowed": lambda text: flowed.joined(text, delsp=True),
        "charset": lambda text: charsets.read(text.encode("utf-16-le"), "gb18030"),
        "charset jp": lambda text: charsets.read(text.encode() + b"\xff", "iso-2022-jp"),
        "charset 7": lambda text: charsets.read(text.encode(), "utf-7"),
        "header octets": lambda text: charsets.read_header(text.encode() + b"\xe4"),
        "label": lambda text: charsets.name(text),
        "own html": letters.html_of,
        "own mail": lambda text: letters.raw_of(
            letters.Letter(addresses.Mailbox(text[:900], "a@b.example"), [], subject=text[:900], text=text)
        ),
        "sealed": signed_or_encrypted.is_text_sealed,
        "file name": lambda text: assembly._safe_filename(text),
        "file stem": assembly.file_stem,
        "upload name": lambda text: uploads._file(text, text, b""),
        "mailbox filter": mailbox,
        "reply": lambda text: judge(reply_of(Stage.RCPT, 550, text.encode())),
        "reply's own words": lambda text: Reply(Stage.END, 550, text).nameless.words,
        "masked": masked,
        "name at the sign-in": sign_in_throttling.account_of,
        "name of a user": users._as_read,
        "server name": servers.server_name,
        "sign-in server": servers.sign_in_url,
        "console address": option_values.console_url,
        "catcher id": lambda text: _MESSAGE_ID.search(text.encode()),
        **{f"opt {name}": opt(name) for name in opt_files.READERS},
    }


def cost(parser: Parser, text: str) -> float:
    """Seconds of this thread's processor time."""
    begun = time.thread_time()
    with suppress(ValueError):  # refused, with words
        parser(text)
    return time.thread_time() - begun


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.parsers", description=__doc__)
    options.add_argument("--size", type=int, default=30_000, help="characters; the second figure is for twice as many")
    options.add_argument("--over", type=float, default=0.02, help="show only what takes more seconds than this")
    options.add_argument("--only", default="", help="parsers whose name contains this")
    asked = options.parse_args()
    for parser_name, parser in parsers().items():
        if asked.only not in parser_name:
            continue
        for name in REPEATED:
            once = cost(parser, repeated(name, asked.size))
            twice = cost(parser, repeated(name, 2 * asked.size)) if once < 5 else 0.0
            if max(once, twice) > asked.over:
                print(
                    f"{parser_name:20} {name:24} {once:8.3f} {twice:8.3f}  {twice / max(once, 0.001):5.1f}", flush=True
                )


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("SECRET_KEY", secrets.token_hex(32))
    os.environ.setdefault("FIELD_ENCRYPTION_KEYS", secrets.token_urlsafe(32) + "=")
    django.setup()
    sys.exit(main())
