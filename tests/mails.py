"""Mails as they come from outside: put together by hand, and any tree of parts (hypothesis)."""

from hypothesis import strategies as st

HEAD = b"From: office@example.com\r\nTo: ada@example.com\r\nSubject: x\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"


def multipart(*parts: bytes, boundary: bytes = b"b", subtype: bytes = b"mixed", end: bytes = b"--\r\n") -> bytes:
    between = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return (
        b"Content-Type: multipart/" + subtype + b'; boundary="' + boundary + b'"\r\n\r\n' + between
        + b"--" + boundary + end
    )  # fmt: skip


def part(content_type: bytes, body: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([b"Content-Type: " + content_type, *fields]) + b"\r\n\r\n" + body


def pdf(body: bytes, *fields: bytes) -> bytes:
    return part(b"application/pdf", body, b"Content-Transfer-Encoding: base64", *fields)


TEXT = part(b"text/plain", b"Good morning")


OCTETS = st.binary(max_size=80) | st.sampled_from(
    [b"", b"--", b"--b", b"\r\n--b\r\n", b"QUJD\r\nQUJE", b"\n.\n", b"\r"]
)


LEAF = st.builds(
    lambda kind, encoding, disposition, body: part(kind, body, b"Content-Transfer-Encoding: " + encoding, disposition),
    st.sampled_from([b"text/plain", b"text/html", b"text/csv; name=a.csv", b"image/png", b"message/rfc822", b"x"]),
    st.sampled_from([b"base64", b"quoted-printable", b"7bit", b"8bit", b"binary", b""]),
    st.sampled_from([b"Content-Disposition: attachment; filename=a.pdf", b"Content-ID: <1@x>", b"X: y"]),
    OCTETS,
)


TREE = st.recursive(
    LEAF | OCTETS,
    lambda inner: st.builds(
        lambda parts, boundary, subtype, end: multipart(*parts, boundary=boundary, subtype=subtype, end=end),
        st.lists(inner, max_size=4),
        st.sampled_from([b"b", b"bb", b"c", b"c d"]),
        st.sampled_from([b"mixed", b"alternative", b"related"]),
        st.sampled_from([b"--\r\n", b"--", b"", b"--\r\nepilogue\r\n"]),
    ),
    max_leaves=12,
)
