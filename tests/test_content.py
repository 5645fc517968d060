"""Kept in pieces, sent whole: what was accepted is what goes out, byte for byte, and what people read and open."""

import tracemalloc
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging import blobs, content, mime
from messaging.intake import gate
from messaging.models import Message, MessageContent

HEAD = b"From: office@example.com\r\nTo: ada@example.com\r\nSubject: x\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
HEAD += b"Message-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n"


def joined(skeleton: bytes, cuts: list[content.Cut]) -> bytes:
    pieces, position = [], 0
    for cut in cuts:
        pieces += [skeleton[position : cut.offset], cut.body]
        position = cut.offset
    return b"".join([*pieces, skeleton[position:]])


def accepted(raw: bytes) -> Message:
    return gate.accept(gate.Submission(raw, "office@example.com", ["ada@example.com"]))


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
NASTY = {
    "no parts": part(b"text/plain", b"Good morning\r\n"),
    "only an attachment": pdf(b"JVBERi0=\r\n"),
    "only header fields": b"Subject: x\r\n",
    "nothing": b"",
    "no header": b"just text\r\n",
    "nested": multipart(
        multipart(TEXT, part(b"text/html", b"<p>"), boundary=b"bb", subtype=b"alternative"), pdf(b"QQ==")
    ),
    "boundary that begins like the outer one": multipart(multipart(TEXT, pdf(b"QQ=="), boundary=b"bx"), pdf(b"Qg==")),
    "inner boundary never closed": multipart(multipart(TEXT, pdf(b"QQ=="), boundary=b"in", end=b""), pdf(b"Qg==")),
    "same boundary inside": multipart(multipart(TEXT, pdf(b"QQ==")), pdf(b"Qg==")),
    "empty attachment": multipart(TEXT, pdf(b"")),
    "empty attachment without blank line": multipart(TEXT, b"Content-Type: application/pdf"),
    "part of nothing": multipart(b"", b"", TEXT),
    "twins": multipart(TEXT, pdf(b"JVBERi0="), pdf(b"JVBERi0=")),
    "the same bytes earlier, in the text": multipart(part(b"text/plain", b"JVBERi0=\r\nas you see"), pdf(b"JVBERi0=")),
    "one octet, also found in the header": multipart(TEXT, part(b"application/x", b"C"), part(b"application/x", b":")),
    "odd lines": multipart(TEXT, pdf(b"JVB\r\nERi0\r\n\r\nx\r\n=\r\n")),
    "one long line": multipart(TEXT, pdf(b"QUJD" * 5000)),
    "no final boundary": multipart(TEXT, pdf(b"QQ=="), end=b"")[:-3],
    "cut off in an attachment": multipart(TEXT, pdf(b"QUJDREVGRw=="))[:-15],
    "no trailing newline": multipart(TEXT, pdf(b"QQ=="), end=b"--"),
    "preamble and epilogue": multipart(TEXT, pdf(b"QQ==")).replace(b"\r\n\r\n--b", b"\r\n\r\nSee\r\n--b", 1)
    + b"bye\r\n",
    "boundary with blanks after it": multipart(TEXT, pdf(b"QQ==")).replace(b"--b\r\n", b"--b  \t\r\n"),
    "boundary not declared": b"Content-Type: multipart/mixed\r\n\r\n--b\r\n" + TEXT + b"\r\n--b--\r\n",
    "boundary not found": b"Content-Type: multipart/mixed; boundary=z\r\n\r\n--b\r\n" + TEXT + b"\r\n--b--\r\n",
    "attached message": multipart(TEXT, part(b"message/rfc822", multipart(TEXT, pdf(b"QQ=="), boundary=b"i"))),
    "line feeds only": multipart(TEXT, pdf(b"QQ==")).replace(b"\r\n", b"\n"),
    "broken base64": multipart(TEXT, pdf(b"!!\xff=Q=Q\r\n--a")),
    "unknown encoding": multipart(TEXT, part(b"application/x", b"abc", b"Content-Transfer-Encoding: x-uuencode")),
    "broken parameters": multipart(TEXT, part(b"application/x; name*1*=a; name*=''%; name*0", b"abc")),
    "100 levels": b"",
    "500 attachments": multipart(TEXT, *(pdf(b"QUJD" * n) for n in range(500))),
}
for level in range(100):
    NASTY["100 levels"] = multipart(
        TEXT, NASTY["100 levels"] or pdf(b"JVBERi0="), pdf(b"%d" % level), boundary=b"level%d" % level
    )


@pytest.mark.parametrize("raw", NASTY.values(), ids=NASTY.keys())
def test_cut_and_put_together_again_is_the_same(raw):
    assert joined(*content.split(raw)) == raw


@pytest.mark.parametrize(
    ("name", "bodies"),
    {
        "only an attachment": [b"JVBERi0=\r\n"],
        "nested": [b"QQ=="],
        "boundary that begins like the outer one": [b"QQ==", b"Qg=="],
        "inner boundary never closed": [b"QQ==", b"Qg=="],
        "empty attachment": [b""],
        "twins": [b"JVBERi0=", b"JVBERi0="],
        "the same bytes earlier, in the text": [b"JVBERi0="],
        "one octet, also found in the header": [b"C", b":"],
        "no final boundary": [b"QQ==\r\n"],
        "boundary with blanks after it": [b"QQ=="],
        "attached message": [multipart(TEXT, pdf(b"QQ=="), boundary=b"i")],
        "line feeds only": [b"QQ=="],
        "broken base64": [b"!!\xff=Q=Q\r\n--a"],
    }.items(),
)
def test_exactly_the_attachments_are_cut(name, bodies):
    assert [cut.body for cut in content.split(NASTY[name])[1]] == bodies


def test_every_one_of_many_parts_is_found():
    assert len(content.split(NASTY["500 attachments"])[1]) == 500
    assert len(content.split(NASTY["100 levels"])[1]) == 101


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


@settings(max_examples=300, deadline=None)
@given(TREE)
def test_any_tree_of_parts_is_put_together_again_the_same(raw):
    assert joined(*content.split(raw)) == raw


@settings(max_examples=150, deadline=None)
@given(TREE)
def test_any_tree_of_parts_can_be_shown(raw):
    content.bodies(Message(content=MessageContent(skeleton=content.split(raw)[0])))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=TREE.map(lambda tree: HEAD + tree))
@pytest.mark.django_db
def test_what_the_database_and_the_files_hold_is_what_was_accepted(raw):
    try:
        message = accepted(raw)
    except gate.Refused:
        return
    sent = b"".join(content.assemble(message))
    assert len(sent) == message.size
    assert sent.replace(b"\r\n", b"").count(b"\r") == sent.replace(b"\r\n", b"").count(b"\n") == 0
    again = Message.objects.get(pk=accepted(sent).pk)
    assert b"".join(content.assemble(again)) == sent, "what is fit for the wire stays as it is"


def report(size: int = 3000) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "office@example.com", "ada@example.com", "Report"
    message.set_content("Dear Ada")
    message.add_alternative("<p>Dear <b>Ada</b></p>", subtype="html")
    message.add_attachment(b"%PDF" + b"\x00\xff" * size, maintype="application", subtype="pdf", filename="Report.pdf")
    return message


@pytest.mark.django_db
def test_a_report_arrives_as_it_was_attached():
    message = accepted(report().as_bytes())
    received = message_from_bytes(b"".join(content.assemble(message)), policy=policy.default)
    assert next(received.iter_attachments()).get_content() == b"%PDF" + b"\x00\xff" * 3000
    attachment = message.attachments.get()
    assert (attachment.filename, attachment.content_type, attachment.size) == ("Report.pdf", "application/pdf", 6004)
    assert b"".join(content.open_attachment(attachment)) == b"%PDF" + b"\x00\xff" * 3000


@pytest.mark.django_db
def test_the_same_report_to_many_is_on_the_disk_once(media):
    for _ in range(3):
        accepted(report().as_bytes())
    assert len([path for path in media.rglob("*") if path.is_file()]) == 1


@pytest.mark.django_db
def test_a_large_report_is_sent_without_holding_it_in_memory():
    message = Message.objects.get(pk=accepted(report(4_000_000).as_bytes()).pk)
    tracemalloc.start()
    assert max(map(len, content.assemble(message))) <= 65536
    assert sum(map(len, content.open_attachment(message.attachments.get()))) == 8_000_004
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.django_db
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b"X" + path.read_bytes()[1:]),
    ],
    ids=["gone", "shorter", "changed"],
)
def test_a_missing_or_changed_file_is_noticed_before_the_first_octet(media, damage):
    message = accepted(report().as_bytes())
    b"".join(content.assemble(message))
    damage(next(path for path in media.rglob("*") if path.is_file()))
    with pytest.raises(content.MissingContent, match=r"Report\.pdf is missing .* Restore"):
        content.assemble(message)
    with pytest.raises(content.MissingContent):
        content.open_attachment(message.attachments.get())


@pytest.mark.django_db
def test_a_damaged_file_is_made_good_when_the_same_report_comes_again(media):
    first = accepted(report().as_bytes())
    path = next(path for path in media.rglob("*") if path.is_file())
    path.write_bytes(b"rubbish")
    accepted(report().as_bytes())
    assert sum(map(len, content.assemble(first))) == first.size


def test_a_full_disk_leaves_no_half_written_file(media, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("messaging.blobs.os.fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        blobs.put(b"report")
    assert not [path for path in media.rglob("*") if path.is_file()]


def shown(raw: bytes) -> content.Bodies:
    return content.bodies(Message(content=MessageContent(skeleton=content.split(raw)[0])))


def test_text_html_and_header_fields_are_decoded_for_reading():
    raw = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_aus_K=C3=B6ln?=\r\nX-Note: plain\r\n" + multipart(
        part(b"text/plain; charset=iso-8859-1", b"Gr=FC=DFe", b"Content-Transfer-Encoding: quoted-printable"),
        part(b"text/html; charset=utf-8", b"PGI+R3LDvMOfZTwvYj4=", b"Content-Transfer-Encoding: base64"),
        part(b"text/csv", b"a,b", b"Content-Disposition: attachment; filename=a.csv"),
    )
    found = shown(raw)
    assert (found.text, found.html) == ("Grüße", "<b>Grüße</b>")
    assert found.headers[:2] == [("Subject", "Grüße aus Köln"), ("X-Note", "plain")]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (part(b"text/plain; charset=x-unheard-of", "Grüße".encode()), "Grüße"),
        (part(b"text/plain; charset=utf-8", b"a\xffb"), "a\ufffdb"),
        (part(b"text/plain; charset=rot13", b"abc"), "abc"),
        (part(b"text/plain; charset=idna", b"\xff"), "\ufffd"),
        (part(b"text/plain", b"Gr\xfc\xdfe"), "Grüße"),
        (part(b"text/plain", b"QUJ", b"Content-Transfer-Encoding: base64"), "AB"),
        (part(b"text/plain", b"a=ZZb=", b"Content-Transfer-Encoding: quoted-printable"), "a=ZZb="),
        (b"Content-Type: multipart/mixed\r\n\r\nno parts here", "no parts here"),
        (b"Content-Type: ///\r\n\r\nabc", "abc"),
        (b"", ""),
    ],
)
def test_a_broken_text_is_shown_as_well_as_it_can_be(raw, text):
    assert shown(raw).text.rstrip("=") == text.rstrip("=")


@pytest.mark.parametrize(
    ("declared", "filename"),
    [
        ('filename="Report.pdf"', "Report.pdf"),
        ('filename="../../etc/passwd"', "passwd"),
        (r'filename="C:\\temp\\x.pdf"', "x.pdf"),
        ("filename*=utf-8''R%C3%A9sum%C3%A9.pdf", "Résumé.pdf"),
        ("filename*=utf-8''fdp%E2%80%AEexe.pdf", "fdpexe.pdf"),
        ("filename*=utf-8''a%0D%0AX-Evil%3A%201%00.pdf", "a X-Evil: 1.pdf"),
        ('filename="=?utf-8?q?R=C3=A9sum=C3=A9.pdf?="', "Résumé.pdf"),
        ('filename="con.txt"', "con.txt"),
        ('filename="invoice.pdf.exe"', "invoice.pdf.exe"),
        ('filename=".."', ""),
        (f'filename="{"x" * 300}.pdf"', "x" * 251 + ".pdf"),
        ("filename*=nonsense", "nonsense"),
    ],
)
def test_file_names_are_harmless_to_show(declared, filename):
    raw = multipart(TEXT, pdf(b"QQ==", b"Content-Disposition: attachment; " + declared.encode()))
    assert content.split(raw)[1][0].filename == filename


def test_pictures_within_the_html_are_told_from_attachments():
    raw = multipart(
        part(b"image/png", b"QQ==", b"Content-ID: <logo@office>", b"Content-Disposition: inline"),
        part(b"image/png", b"QQ==", b"Content-ID: <photo@office>", b"Content-Disposition: attachment"),
        part(b"image/png", b"QQ=="),
        subtype=b"related",
    )
    cuts = content.split(raw)[1]
    assert [(cut.content_id, cut.is_inline) for cut in cuts] == [
        ("logo@office", True), ("photo@office", False), ("", False),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [0, 1, 2, 3, 57, 65535, 65536, 65537, 200_000])
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "8bit"])
def test_attachments_open_as_they_were_whatever_their_size(encoding, size):
    data = (bytes(range(33, 127)) + b"=\r\n \t")[:97] * (size // 97 + 1)
    message = EmailMessage(policy=policy.SMTP)
    message.set_content(data[:size], maintype="application", subtype="x", cte=encoding, filename="a")
    cut = content.split(message.as_bytes())[1][0]
    pieces = (cut.body[start : start + 61] for start in range(0, len(cut.body), 61))
    assert b"".join(mime.decode(pieces, cut.encoding)).removesuffix(b"\r\n") == data[:size].removesuffix(b"\r\n")
    assert abs(cut.size - size) <= 2
