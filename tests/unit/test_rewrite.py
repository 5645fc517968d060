"""Parts of a message exchanged in its bytes."""

from hypothesis import given
from hypothesis import strategies as st

from messaging.compose import letters, rewrite
from messaging.content import mime
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


@given(TREE)
def test_a_text_stays_or_all_versions_of_it_are_changed(raw):
    if rewrite.why_text_stays(raw):
        return
    for each in mime.walk(rewrite.with_text(raw, "New")):
        if each.content_type == "multipart/alternative" and not each.is_leaf:
            leaves = [leaf.data for leaf in mime.leaves(each.raw[each.start : each.stop])]
            assert all(b"New" in data for data in leaves) or not any(b"New" in data for data in leaves)
