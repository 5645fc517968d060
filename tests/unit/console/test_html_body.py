"""A mail's HTML for its frame: what is taken out, and what stays as it was."""

import pytest

from messaging.console.html_body import InlineImages, framed, has_remote_images

PNG = b"\x89PNG\r\n\x1a\nnot really"


def clean(html):
    return framed(html, InlineImages({}))


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        "<SCRIPT SRC=//x.example/a.js></SCRIPT>",
        '<meta http-equiv="refresh" content="0;url=http://x.example">',
        '<base href="http://x.example/">',
        '<link rel="dns-prefetch" href="//x.example">',
        '<link rel=stylesheet href="http://x.example/a.css">',
        '<iframe src="http://x.example"></iframe>',
        '<object data="http://x.example"></object>',
        '<p onclick="alert(1)">y</p>',
        '<a href="javascript:alert(1)">y</a>',
        '<a href="java\nscript:alert(1)">y</a>',
        '<a href="data:text/html,<script>alert(1)</script>">y</a>',
        '<a href="https://ok.example" ping="http://x.example">y</a>',
        "<!--[if mso]><script>alert(1)</script><![endif]-->",
    ],
)
def test_what_a_policy_does_not_cover_is_taken_out(html):
    kept = clean(f"<p>before</p>{html}<p>after</p>")
    for bad in ("alert", "x.example", "refresh", "javascript", "ping="):
        assert bad not in kept.lower(), kept
    assert "<p>before</p>" in kept
    assert "<p>after</p>" in kept


def test_links_open_in_a_new_window():
    kept = clean('<a href="https://ok.example/?a=1&amp;b=2" target="_top" rel="opener">y</a>')
    assert '<a href="https://ok.example/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer">y</a>' in kept
    assert '<base target="_blank">' in kept


def test_ordinary_mail_stays_as_it_was():
    html = (
        '<table width=100%><tr><td style="color:red" bgcolor="#fff">Gr&uuml;&#223;e &amp; <b>mehr</b></td></tr></table>'
    )
    assert "Gr&uuml;&#223;e &amp; <b>mehr</b></td></tr></table>" in clean(html)
    assert 'style="color:red"' in clean(html)


def test_style_sheets_stay_and_get_inline_images():
    images = InlineImages({"bg": ("image/png", len(PNG), lambda: PNG)})
    kept = framed("<style>a > b { background: url(cid:bg) }</style>", images)
    assert "a > b { background: url(data:image/png;base64," in kept


def test_inline_images_have_limits():
    images = InlineImages(
        {
            "svg": ("image/svg+xml", 10, lambda: b"<svg/>"),
            "huge": ("image/png", InlineImages.MAX_EACH + 1, lambda: b""),
            "big": ("image/png", InlineImages.MAX_EACH, lambda: b"x"),
        }
    )
    assert images("svg") == images("huge") == images("nowhere") == ""
    assert sum(bool(images("big")) for _ in range(50)) == InlineImages.MAX_ALL // InlineImages.MAX_EACH


def test_deep_and_long_bodies_are_survived():
    assert clean("<table><tr><td>" * 10_000 + "deep").endswith("deep")
    assert "too long to be shown" in clean("x" * 2_000_001)
    for broken in ("<", "<p", "<a href='", "</", "<!--", "&", "<![CDATA[", "<?php", "\x00", "<p <p <p>"):
        clean(broken * 3)


@pytest.mark.parametrize(
    ("html", "remote"),
    [
        ('<img src="https://x.example/a.png">', True),
        ("<img src=//x.example/a.png>", True),
        ("<td background='http://x.example/a.png'>", True),
        ('<p style="background:url(https://x.example/a)">', True),
        ('<a href="https://x.example/">', False),
        ('<img src="cid:logo">', False),
    ],
)
def test_remote_images_are_noticed(html, remote):
    assert has_remote_images(html) is remote
