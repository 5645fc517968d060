"""A mail's HTML for its frame: what is taken out, and what stays as it was."""

import itertools
import re

import nh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.console import html_weight
from messaging.console.html_body import InlineImages, NotShown, framed
from messaging.console.html_body import clean as cleaned

PNG = b"\x89PNG\r\n\x1a\nnot really"


def clean(html):
    return framed(cleaned(html), InlineImages({}))


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
        '<svg onload="alert(1)"><circle r="1"/></svg>',
        '<svg><a xlink:href="javascript:alert(1)">y</a></svg>',
        "<style>a { color: red } </style><link rel=stylesheet href=//x.example>",
        "<style><img src=//x.example onerror=alert(1)></style>".replace("img", "meta http-equiv=refresh"),
        "<style>@import url(http://x.example/a.css);</style>",
        "<math><mi><mglyph><link rel=prefetch href=//x.example></mglyph></mi></math>",
        "<noscript><meta http-equiv=refresh content='0;url=//x.example'></noscript>",
        "<template><base href=//x.example></template>",
        "<video poster=//x.example/a.png><source src=//x.example/a.mp4></video>".replace("<source", "<track"),
        "<form action=//x.example><input name=a value=b formaction=//x.example></form>",
        "<isindex action=//x.example>",
        '<p style="behavior:url(//x.example);-moz-binding:url(//x.example)">y</p>',
    ],
)
def test_what_a_policy_does_not_cover_is_taken_out(html):
    kept = clean(f"<p>before</p>{html}<p>after</p>")
    outside = re.sub("<style[^>]*>[^<]*</style>", "", kept)  # nothing in a style sheet is markup
    for bad in ("alert", "x.example", "refresh", "javascript", "ping="):
        assert bad not in outside.lower(), kept
    assert "<p>before</p>" in kept
    assert "<p>after</p>" in kept


@pytest.mark.parametrize(
    "html",
    [
        "<svg><style><link rel=prefetch href=//x.example></style></svg>",
        "<svg><style><meta http-equiv=refresh content='0;url=//x.example'></style>",
        "<math><style><base href=//x.example></style></math>",
        "<svg><style><!--</style><link rel=prefetch href=//x.example>--></svg>",
        "<form><math><mtext></form><form><mglyph><style></math><img src=//x.example onerror=alert(1)>",
        "<svg><![CDATA[<link rel=prefetch href=//x.example>]]></svg>",
        "<select><style></select><link href=//x.example></style>",
    ],
)
def test_markup_that_parsers_read_in_two_ways_is_shown_as_text_or_not_at_all(html):
    try:
        kept = clean(html)
    except NotShown:
        return
    for bad in ("<link", "<meta http", "<base href", "onerror"):
        assert bad not in kept, kept


def test_links_open_in_a_new_window():
    kept = clean('<a href="https://ok.example/?a=1&amp;b=2" target="_top" rel="opener">y</a>')
    assert '<a href="https://ok.example/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer">y</a>' in kept
    assert '<base target="_blank">' in kept


@pytest.mark.parametrize(
    "address",
    ["https://ok.example", "HTTP://ok.example:80/a?b#c", " https://ok.example/", "http://[::1]/", "https://bücher.example/",
     "mailto:a@b.example", "tel:+49", "#top", "https://a:b@ok.example/"],
)  # fmt: skip
def test_links_that_lead_elsewhere_stay(address):
    assert "href=" in clean(f'<a href="{address}">y</a>')


@pytest.mark.parametrize(
    "address",
    ["http:/setup/users/", "http:setup/users/", "https:/setup/", "https:", "HTTPS:?images=1", r"https:\setup\x",
     r"https:\\x.example", r"https:/\x.example", "https:///setup/", "http://", "http://?a", "http://#a",
     r"https://\setup", " http:/setup/", "\x01http:setup/", "ht&#9;tp:/setup/", "http:&#10;/setup/",
     "http:/&#10;/setup/", "https://&#9;/setup/", "h&#13;ttps:setup", "/setup/", "setup/", "?images=1", "//x.example",
     "http&colon;setup/", "java&#10;script:x"],
)  # fmt: skip
@pytest.mark.parametrize("tag", ["a", "area"])
def test_a_link_that_a_browser_takes_for_one_of_the_console_is_left_out(tag, address):
    assert "href=" not in clean(f'<{tag} href="{address}">y')


def test_ordinary_mail_stays_as_it_was():
    html = (
        '<table width=100%><tr><td style="color:red" bgcolor="#fff">Gr&uuml;&#223;e &amp; <b>mehr</b></td></tr></table>'
    )
    assert "Grüße &amp; <b>mehr</b></td></tr></tbody></table>" in clean(html)
    assert '<td style="color:red" bgcolor="#fff">' in clean(html)


def test_the_page_of_a_newsletter_keeps_its_own_look():
    html = (
        "<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0 Transitional//EN'><html lang=en dir=rtl><head><title>News</title>"
        "<!--[if mso]><style>p { color: red }</style><![endif]-->"
        "<style media='screen and (max-width: 600px)'>td.w { width: 100% !important }</style></head>"
        "<body bgcolor=#eeeeee style='margin:0;background-color:#eee' onload=alert(1)><p class=w>Hi</p></body></html>"
    )
    kept = clean(html)
    assert kept.startswith('<!doctype html><html lang="en" dir="rtl">')
    assert '<style media="screen and (max-width: 600px)">td.w { width: 100% !important }</style>' in kept
    assert '<body bgcolor="#eeeeee" style="margin:0;background-color:#eee"><p class="w">Hi</p>' in kept
    assert "News" not in kept
    assert "color: red" not in kept


def test_style_sheets_stay_and_get_inline_images():
    images = InlineImages({"bg": ("image/png", len(PNG), lambda: PNG)})
    kept = framed(cleaned("<style>a > b { background: url(cid:bg) }</style>"), images)
    assert "a > b { background: url(data:image/png;base64," in kept


@pytest.mark.parametrize(
    "html", ["<img src='{}'>", "<p style='background:url({})'>", "<style>p{{background:url({})}}</style>"]
)
def test_the_name_of_an_inline_image_is_no_way_in(html):
    kept = clean(html.format("cid:%22%3E%3C/style%3E%3Clink%20rel=prefetch%20href=//x.example%3E"))
    assert "<link" not in kept


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


@pytest.mark.parametrize(
    "html",
    [
        "x" * (256 * 1024 + 1),
        "<table><tr><td>" * 10_000 + "deep",
        "<div>" * 501,
        "".join(f"<b {number}>" for number in range(501)),
        "<p>" + "".join(f"<b {number}>" for number in range(300)) + "<p>x</p>" * 2000,
        "&" * 200_000,
        "<p>" + "".join(f"<b {number}>" for number in range(100)) + "<p>x</p>" * 500,
        "<table>" + "<a>x" * 10_000,
        "<p " + "a " * 100_000 + ">",
        "</ä>" + "<div>" * 501,
        "<lin\u212a>" * 501,
    ],
    ids=["long", "tables", "deep", "formatted", "reopened", "references", "grows", "misplaced", "attributes",
         "deep after an end tag of no letter", "deep in a name that is none"],
)  # fmt: skip
def test_what_would_cost_too_much_is_not_shown(html):
    with pytest.raises(NotShown):
        clean(html)


MARKUP = [
    "<div>", "</div>", "<a ", "</", "</ä>", "<ä>", "</\u212a", "<", ">", "/>", "<!", "<!--", "-->", "--!>", "--", "<?",
    "</>", "=", '"', "'", " ", "\f", "\r", "\0", "x", "<svg>", "</svg>", "<style>", "</style>", "</ſtyle>",
    "<script>", "</script ", "<title>", "</title/", "<noscript>", "<![CDATA[", "]]>", "<select>", "<table>", "<p/",
]  # fmt: skip


def is_weighed(html):
    """Whether each element that is made of it was counted."""
    made = nh3.clean(html, tags={"div"}, clean_content_tags=set()).count("<div")
    return made <= sum(tag.name == "div" and not tag.is_end for tag in html_weight.tags(html))


def test_no_two_pieces_of_markup_hide_an_element():
    assert [pair for pair in itertools.product(MARKUP, repeat=2) if not is_weighed(f"{''.join(pair)}<div>")] == []


@given(st.lists(st.sampled_from(MARKUP), max_size=15).map("".join))
def test_no_markup_hides_an_element(html):
    assert is_weighed(html)


def test_broken_and_deep_bodies_are_survived():
    assert "deep" in clean("<table><tr><td>" * 80 + "deep")
    for broken in ("<", "<p", "<a href='", "</", "<!--", "&", "<![CDATA[", "<?php", "\x00", "<p <p <p>"):
        clean(broken * 3)


@pytest.mark.parametrize(
    ("html", "remote"),
    [
        ('<img src="https://x.example/a.png">', True),
        ("<img src=//x.example/a.png>", True),
        ("<table><tr><td background='http://x.example/a.png'>", True),
        ('<p style="background:url(https://x.example/a)">', True),
        ("<style>p { background: url( 'https://x.example/a' ) }</style>", True),
        ('<img srcset="https://x.example/a.png 2x">', True),
        ('<body background="https://x.example/a.png">', True),
        ('<a href="https://x.example/">', False),
        ("&lt;img src=https://x.example/a.png>", False),
        ('<img src="cid:logo">', False),
        (r'<p style="background:u\72l(http://x.example/a)">', True),
        (r'<p style="background-image:\75rl(http://x.example/a)">', True),
        (r'<p style="background:url(&#39;\68ttp://x.example/a&#39;)">', True),
        (r'<p style="background:url(&#39;ht\a tp://x.example/a&#39;)">', True),
        (r'<p style="background:url(&#39;\\\\x.example/a&#39;)">', True),
        ('<p style="background:url(https:x.example/a)">', True),
        ('<p style="background:image-set(&#39;cid:a&#39; 1x, &#39;https://x.example/a&#39; 2x)">', True),
        ("<p aria-a\"b=c style='background:url(//x.example/a)'>", True),
        (r'<body style="background:u\72l(http://x.example/a)">', True),
        (r"<style>p { background: u\72l(http://x.example/a) }</style>", True),
        (r"<style>p { background: URL(  '\2f/x.example/a') }</style>", True),
        (r'<img srcset="\\x.example/a.png 2x">', True),
        ('<p style="behavior:url(http://x.example/a)">', False),
        ("<noscript><img src=https://x.example/a.png></noscript>", False),
        ('<p>style="background:url(http://x.example/a)"</p>', False),
        ("<style>/* https://x.example/ */ p { color: red }</style>", False),
        ('<p style="background:url(cid:a)">', False),
    ],
)
def test_remote_images_are_noticed(html, remote):
    assert cleaned(html).has_remote_images is remote


@pytest.mark.parametrize(
    ("html", "partial"),
    [
        ("<noscript><p>Pay here</p></noscript>", True),
        ("<NoScript>Pay here</noscript>", True),
        ("<textarea>Pay here</textarea>", True),
        ("<svg><text x=0>Pay here</text></svg>", True),
        ("<svg><svg></svg>Pay here</svg>", True),
        ("<math><mtext>Pay here</mtext></math>", True),
        ("<canvas><p>Pay here</canvas>", True),
        ("<object data=x><p>Pay here</p></object>", True),
        ("<select><option>Pay here</select>", True),
        ("<audio>Pay here</audio>", True),
        ("<canvas>\n<p>Never closed", True),
        ("<object><desc>Pay here</desc></object>", True),
        ("<object><metadata>Pay here</metadata></object>", True),
        ("<svg><text><desc/>Pay here</text></svg>", True),
        ("<canvas><p><desc>Pay here</canvas>", True),
        ("<svg/><p>Pay here</p>", False),
        ("<svg><path d=M0 /></svg><math/><p>Pay here</p>", False),
        ("<video>Pay here</video><button>Pay here</button>", False),
        ("<p>Pay here</p>", False),
        ("<noscript><img height=1 src='https://x.example/a'> </noscript><p>Pay here</p>", False),
        ("<svg><title>A name</title><desc>x</desc><style>p { }</style><path d=M0 /></svg><p>Pay here</p>", False),
        ("<script>if (a < b) { x() }</script><style>p { }</style><title>News</title>", False),
        ("<!--[if mso]><select><option>x</select><![endif]-->", False),
        ("<template>x</template><noframes>x</noframes><iframe>x</iframe>", False),
    ],
)
def test_text_that_other_programs_show_and_this_page_does_not_is_noticed(html, partial):
    found = cleaned(f"<p>Dear customer</p>{html}")
    assert found.is_partial is partial
    assert ("Pay here" in found.document) is ("Pay here" in html and not partial)
