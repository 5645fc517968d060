"""A link in the HTML that is made of a text opens what was typed, and the text reads as it did."""

import html
import re

import pytest
from django.utils.html import escape as django_escape
from hypothesis import given
from hypothesis import strategies as st

from messaging.compose.links import linked, unlinked


def opened(text):
    """What each link opens, and what it is called."""
    found = re.findall(r'<a href="([^"]*)">([^<]*)</a>', linked(text))
    return [(html.unescape(address), html.unescape(name)) for address, name in found]


@pytest.mark.parametrize(
    "url",
    [
        "https://pay.example/invoice?id=7&currency=EUR&amount=50",
        "https://shop.example/list?page=1&section=2&region=3&copy=1&lt=4&notify&timestamp=5&param=6&amp;=7",
        "https://storage.example/o/invoices%2F2026%2F7.pdf?alt=media",
        "https://files.example/Report%20%231%20100%25.pdf",
        "https://login.example/?next=%252Fpay",
        "https://old.example/?x=%E4",
        "HTTP://Shop.Example:8080/A?b={c}|d#e/f",
        "https://en.wikipedia.org/wiki/Court_(law)",
        "https://me:secret@host.example/",
        "https://[::1]:8000/",
        "https://host/~anna/*",
    ],
)
def test_a_web_address_opens_as_it_was_typed(url):
    assert opened(f"Pay here: {url} today") == [(url, url)]


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("See https://a.example/x.", ["https://a.example/x"]),
        ("Did you see (https://a.example/x_(y))?", ["https://a.example/x_(y)"]),
        ("“https://a.example/”, ‘https://b.example’;", ["https://a.example/", "https://b.example"]),
        ("<https://a.example/>", ["https://a.example/"]),
        ("siehe:https://a.example/…", ["https://a.example/"]),
        ("www.a.example/x", ["http://www.a.example/x"]),
        ("write to anna@a.example.", ["mailto:anna@a.example"]),
        ("(bo+x@a.example)", ["mailto:bo%2Bx@a.example"]),
        ("https://straße.example/ä?ö#ü", ["https://xn--strae-oqa.example/%C3%A4?%C3%B6#%C3%BC"]),
        ("o@bücher.example", ["mailto:o@xn--bcher-kva.example"]),
        ("https://BÜCHER.AB--CD.Example/", ["https://xn--bcher-kva.ab--cd.example/"]),
        ("https://例え。テスト/", ["https://xn--r8jz45g.xn--zckzah/"]),
        ("www." + "ж." * 40 + "example", []),
        ("www." + "ж." * 31 + "example", []),  # 259 octets
        ("www." + "ж." * 25 + "example", ["http://www." + "xn--f1a." * 25 + "example"]),
    ],
)
def test_the_sentence_around_it_does_not_belong_to_it(text, links):
    assert [address for address, _ in opened(text)] == links


@pytest.mark.parametrize(
    "text",
    ["javascript:alert(1)", "https://", "http://[x", "www.", "a@b", "@a.example", "a b@", "x" * 3000 + "@a.example",
     "https://" + "a" * 2000 + ".example", "data:text/html,x", "https://a%zz.example/"],
)  # fmt: skip
def test_what_is_no_address_is_no_link(text):
    assert opened(text) == []
    assert html.unescape(linked(text)) == text


@given(st.text() | st.text(alphabet="htps:/w.a@([)]'<>\"& \n%é"))
def test_the_text_is_what_it_was_and_nothing_in_it_is_markup(text):
    made = re.sub(r'<a href="[^"<>]*">|</a>', "", linked(text))
    assert not set('<>"') & set(made)
    assert html.unescape(made) == html.unescape(html.escape(text))


@given(st.text() | st.text(alphabet="htps:/w.a@([)]'<>\"& \n%é"))
def test_without_its_links_it_is_the_text_with_escapes(text):
    assert unlinked(linked(text)) == django_escape(text)


@pytest.mark.parametrize(
    "word", ["www." + "ж." * 300, "www." + "жa" * 400 + ".example", "a@" + "ж." * 300 + "example", "www." + "ж." * 1500]
)
def test_a_host_that_is_too_long_is_found_without_encoding_it(word, monkeypatch):
    monkeypatch.setattr("idna.alabel", lambda label: pytest.fail("encoded"))
    monkeypatch.setattr("messaging.intake.addresses.validate_email", lambda *args, **kwargs: pytest.fail("validated"))
    assert opened(word) == []
