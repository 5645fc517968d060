"""Parts of a message exchanged in its bytes."""

import email
from email import policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.compose import letters, rewrite
from messaging.content import mime
from messaging.intake.addresses import Mailbox
from tests.mails import multipart, part, pdf

HTML = letters.html_of("Old").encode()
VERSIONS = [
    part(b"text/plain", b"Old"),
    part(b"text/html", HTML),
    part(b"text/html; name=a.html", HTML),
    part(b"text/html; name=a.html", b"<p>Old"),
    part(b"text/calendar", b"Old"),
    pdf(b"T2xk"),
]
TREE = st.recursive(
    st.sampled_from(VERSIONS),
    lambda inner: st.builds(
        lambda parts, boundary, subtype: multipart(*parts, boundary=boundary, subtype=subtype),
        st.lists(inner, min_size=1, max_size=3),
        st.sampled_from([b"b", b"c", b"d"]),
        st.sampled_from([b"mixed", b"alternative", b"related"]),
    ),
    max_leaves=5,
)


def test_html_whose_links_an_earlier_version_made_is_changed_with_its_text():
    old = (
        b'<!doctype html>\n<html><body>\n<p>See <a href="https://a.example/?a=1%C2%A4cy%3D2">'
        b"https://a.example/?a=1&amp;currency=2</a></p>\n</body></html>\n"
    )
    raw = multipart(
        part(b"text/plain", b"See https://a.example/?a=1&currency=2"),
        part(b"text/html", old), boundary=b"b", subtype=b"alternative",
    )  # fmt: skip
    assert rewrite.why_text_stays(raw) == ""
    changed = email.message_from_bytes(rewrite.with_text(raw, "https://b.example/?a=1&currency=2"), policy=policy.SMTP)
    assert 'href="https://b.example/?a=1&amp;currency=2"' in changed.get_body(("html",)).get_content()


@given(TREE)
def test_a_text_stays_or_all_versions_of_it_are_changed(raw):
    if rewrite.why_text_stays(raw):
        return
    for each in mime.walk(rewrite.with_text(raw, "New")):
        if each.content_type == "multipart/alternative" and not each.is_leaf:
            leaves = [leaf.data for leaf in mime.leaves(each.raw[each.start : each.stop])]
            assert all(b"New" in data for data in leaves) or not any(b"New" in data for data in leaves)


def test_whether_html_was_made_of_a_text_is_known_without_its_links(monkeypatch):
    letter = letters.Letter(Mailbox("", "a@b.example"), [Mailbox("", "c@d.example")], text="www.straße.example <\n\nä")
    raw = letters.raw_of(letter)
    monkeypatch.setattr("messaging.compose.links._word", lambda word: pytest.fail("a link was looked for"))
    assert rewrite.why_text_stays(raw) == ""
    assert "layout" in rewrite.why_text_stays(raw.replace(b"</p>", b"!</p>"))
