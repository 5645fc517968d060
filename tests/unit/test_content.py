"""Kept in pieces, sent whole: what was accepted is what goes out, byte for byte, and what people read and open."""

from email import policy
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.content import assembly, blobs, mime
from messaging.models import Message, MessageContent
from tests.mails import HEAD, TEXT, TREE, multipart, part, pdf

HEAD += b"Message-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n"


def joined(skeleton: bytes, cuts: list[assembly.Cut]) -> bytes:
    pieces, position = [], 0
    for cut in cuts:
        pieces += [skeleton[position : cut.offset], cut.body]
        position = cut.offset
    return b"".join([*pieces, skeleton[position:]])


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
    assert joined(*assembly.split(raw)) == raw


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
    assert [cut.body for cut in assembly.split(NASTY[name])[1]] == bodies


def test_every_one_of_many_parts_is_found():
    assert len(assembly.split(NASTY["500 attachments"])[1]) == 500
    assert len(assembly.split(NASTY["100 levels"])[1]) == 101


@given(TREE)
def test_any_tree_of_parts_is_put_together_again_the_same(raw):
    assert joined(*assembly.split(raw)) == raw


@given(TREE)
def test_any_tree_of_parts_can_be_shown(raw):
    assembly.bodies(Message(content=MessageContent(skeleton=assembly.split(raw)[0])))


def test_a_full_disk_leaves_no_half_written_file(media, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("messaging.content.blobs.os.fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        blobs.put(b"report")
    assert not [path for path in media.rglob("*") if path.is_file()]


def shown(raw: bytes) -> assembly.Bodies:
    return assembly.bodies(Message(content=MessageContent(skeleton=assembly.split(raw)[0])))


def test_text_html_and_header_fields_are_decoded_for_reading():
    raw = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_aus_K=C3=B6ln?=\r\nX-Note: plain\r\n" + multipart(
        part(b"text/plain; charset=iso-8859-1", b"Gr=FC=DFe", b"Content-Transfer-Encoding: quoted-printable"),
        part(b"text/html; charset=utf-8", b"PGI+R3LDvMOfZTwvYj4=", b"Content-Transfer-Encoding: base64"),
        part(b"text/csv", b"a,b", b"Content-Disposition: attachment; filename=a.csv"),
    )
    found = shown(raw)
    assert [(each.text, each.html) for each in found.parts] == [("Grüße", ""), ("", "<b>Grüße</b>")]
    assert [(field.name, field.value) for field in found.headers[:2]] == [
        ("Subject", "Grüße aus Köln"),
        ("X-Note", "plain"),
    ]


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
    assert "".join(each.text for each in shown(raw).parts).rstrip("=") == text.rstrip("=")


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
    assert assembly.split(raw)[1][0].filename == filename


def test_pictures_within_the_html_are_told_from_attachments():
    raw = multipart(
        part(b"image/png", b"QQ==", b"Content-ID: <logo@office>", b"Content-Disposition: inline"),
        part(b"image/png", b"QQ==", b"Content-ID: <photo@office>", b"Content-Disposition: attachment"),
        part(b"image/png", b"QQ=="),
        subtype=b"related",
    )
    cuts = assembly.split(raw)[1]
    assert [(cut.content_id, cut.is_inline) for cut in cuts] == [
        ("logo@office", True), ("photo@office", False), ("", False),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [0, 1, 2, 3, 57, 65535, 65536, 65537, 200_000])
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "8bit"])
def test_attachments_open_as_they_were_whatever_their_size(encoding, size):
    data = (bytes(range(33, 127)) + b"=\r\n \t")[:97] * (size // 97 + 1)
    message = EmailMessage(policy=policy.SMTP)
    message.set_content(data[:size], maintype="application", subtype="x", cte=encoding, filename="a")
    cut = assembly.split(message.as_bytes())[1][0]
    pieces = (cut.body[start : start + 61] for start in range(0, len(cut.body), 61))
    assert b"".join(mime.decode(pieces, cut.encoding)).removesuffix(b"\r\n") == data[:size].removesuffix(b"\r\n")
    assert abs(cut.size - size) <= 2


KINDS = st.sampled_from(
    ["text/plain", "text/html", "TEXT/PLAIN", "text/plain ", "text/calendar", "multipart/mixed", "text/plain(x)",
     "text", "text/plain/x", "", "application/pdf", "message/rfc822", " text/plain", "text /plain", "=?q?"]
)  # fmt: skip
REST = st.sampled_from(
    ["", "; charset=utf-8", ";name=x.txt", '; boundary="b"', ";", "\r\n ;charset=x", "; format=flowed"]
)
DISPOSITIONS = st.sampled_from([None, "inline", "attachment", 'attachment; filename="x"', ""])


@given(KINDS, REST, DISPOSITIONS, st.sampled_from(["Content-Type", "content-type", "Content-Type "]))
@example("text/plain", "", "attachment", "Content-Type")
@example("application/pdf", "", None, "Content-Type")
def test_a_text_alone_has_no_attachments(kind, rest, disposition, name):
    lines = [f"{name}: {kind}{rest}"] + ([] if disposition is None else [f"Content-Disposition: {disposition}"])
    raw = "\r\n".join([*lines, "", "--b", "", "x", "--b--", ""]).encode()
    fields = {field.name: field.text for field in mime.head(raw)[0]}
    if assembly.is_one_text(fields):
        assert assembly.split(raw) == (raw, [])


def test_usual_texts_are_known_by_their_header_fields():
    assert assembly.is_one_text({})
    assert assembly.is_one_text({"content-type": 'text/plain; charset="utf-8"'})
    assert assembly.is_one_text({"content-type": "text/html"})
    assert not assembly.is_one_text({"content-type": "text/plain", "content-disposition": "inline"})
