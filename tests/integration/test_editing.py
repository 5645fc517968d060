"""A message is corrected before it is sent: what is changed, what stays, who may not, and two at once."""

import base64
import re
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import F

from messaging.company import options
from messaging.compose import editing
from messaging.compose.letters import Letter, raw_of
from messaging.content import blobs, mime
from messaging.content.uploads import File
from messaging.intake.addresses import Mailbox
from messaging.intake.gate import Submission, accept
from messaging.models import BatchItem, EmailSettings, Message, MessageContent, MessageVersion
from messaging.queue import actions, batches
from messaging.wording import in_words
from tests.factories import fitting, make_message, make_user
from tests.mails import HEAD, multipart, part, pdf
from tests.pages import source
from tests.rows import html_of, parsed, received, wire
from tests.steps import elsewhere, in_threads, run_lane

pytestmark = pytest.mark.usefixtures("email_setup")


def addressees(message):
    return [(row.kind, row.address, row.status) for row in message.recipients.all()]


LETTER = Letter(Mailbox("Office", "office@brightwater.example"), [Mailbox("Bo", "b@example.com")], text="Hello\n")


def written(**values):
    """A message as the page for new messages makes it."""
    letter = Letter(
        **{
            "sender": Mailbox("Office", "office@brightwater.example"),
            "to": [Mailbox("Bo", "b@example.com")],
            "bcc": [Mailbox("", "hidden@example.com")],
            "subject": "Your invoice",
            "text": "Dear customer,\n\nsee www.example.com\n",
            "files": [File("one.pdf", "application/pdf", b"%PDF one"), File("two.pdf", "application/pdf", b"%PDF two")],
        }
        | values
    )
    return accept(Submission(raw_of(letter), letter.sender.address, letter.recipients))


def fields_of(response):
    """The form as the browser would send it again."""
    html = response.content.decode()
    form = response.context["form"]
    given = {name: form[name].value() or "" for name in ("to", "cc", "bcc", "subject", "text")}
    given["version"] = re.search(r'name="version" value="(\d+)"', html)[1]
    given["promised"] = response.context["promised"]
    given["stay"] = re.findall(r'name="stay" value="(\d+)"\s+checked', html)
    given["kept"] = re.findall(r'name="kept" value="([^"]+)"', html)
    if form["no_subject"].value():
        given["no_subject"] = "on"
    return given


def edit(client, message, **values):
    url = f"/messages/{message.pk}/edit/"
    given = fields_of(client.get(url)) | values
    return client.post(url, {name: value for name, value in given.items() if value is not None})


# --- What is changed, and what stays -------------------------------------------------------------------


def test_header_is_exchanged_and_the_body_stays_octet_for_octet(office, operator):
    message = make_message("old@example.com", due=False, body="Dear customer,  \n.\nFrom here\n")
    before = wire(message)
    response = edit(office, message, to="Ny Åsa <new@example.com>", cc="c@example.com", subject="Besök på torsdag")
    assert response.url == f"/messages/{message.pk}/"
    after = wire(message)
    assert after.partition(b"\r\n\r\n")[2] == before.partition(b"\r\n\r\n")[2]
    mail = received(message)
    assert (mail["To"], mail["Cc"], mail["Subject"]) == (
        "Ny Åsa <new@example.com>",
        "c@example.com",
        "Besök på torsdag",
    )
    assert mail["Message-ID"] == message.message_id and mail["From"] == "Office <office@brightwater.example>"
    message.refresh_from_db()
    assert message.subject == "Besök på torsdag" and message.size == len(after)
    assert message.recipients_text == "Ny Åsa <new@example.com>, c@example.com" and message.recipient_count == 2
    assert (message.status, message.not_before) == ("queued", None), "an edit releases nothing"
    assert addressees(message) == [("to", "new@example.com", "pending"), ("cc", "c@example.com", "pending")]


@pytest.mark.parametrize(
    "to",
    [
        "Tëam: Ann <ann@example.com>, 日本@例え.jp (c);",
        "=?utf-8?b?VMOrYW0=?=: Ann <ann@example.com>, jörg@例え.jp (c);",
        '"x:y" <ann@example.com>, Tëam: (first) jörg@example.com;',
        "ann@example.com; jörg@example.com",
    ],
)
def test_addresses_stay_as_they_are_whatever_else_is_edited(office, to):
    recipients = ["ann@example.com", *re.findall(r"[^ ]+@[^ ;]+", to)[-1:]]
    raw = f"From: office@brightwater.example\nTo: {to}\nSubject: s\n\ntext\n"
    message = accept(Submission(raw.encode(), "office@brightwater.example", recipients))
    before, heads = addressees(message), wire(message).split(b"Subject: ")
    edit(office, message, subject="another")
    assert addressees(message) == before
    assert wire(message).split(b"Subject: ")[0] == heads[0]
    assert recipients[-1].partition("@")[0].encode() + b"@" in heads[0]


def test_text_and_the_html_made_from_it(office):
    message = written()
    edit(office, message, text="Changed <b>here</b>\r\n\r\nwww.example.org\r\n")
    mail = received(message)
    assert mail.get_body(("plain",)).get_content().startswith("Changed <b>here</b>\r\n\r\nwww.example.org\r\n")
    html = mail.get_body(("html",)).get_content()
    assert "Changed &lt;b&gt;here&lt;/b&gt;" in html and "www.example.org</a>" in html
    assert [part.get_payload(decode=True) for part in mail.iter_attachments()] == [b"%PDF one", b"%PDF two"]
    assert [kind for kind, *_ in addressees(message)] == ["to", "bcc"] and mail["Bcc"] is None
    edit(office, message, text="And again")
    assert "<p>And again</p>" in received(message).get_body(("html",)).get_content(), "it can be edited once more"


def test_text_of_a_plain_message(office):
    message = make_message("b@example.com", due=False)
    edit(office, message, text="Gute Grüße 漢字")
    assert received(message).get_content() == "Gute Grüße 漢字\r\n"


@pytest.mark.parametrize("boundary", ["-", "=_frontier", "b"])
def test_no_line_of_a_text_ends_its_part(office, boundary):
    """A boundary may be as short as a dash, and stands in the source for all who want to copy it (RFC 2046 5.1.1)."""
    raw = HEAD + multipart(
        part(b"text/plain", b"Hello"), pdf(b"JVBERi0xLjQK", b"Content-Disposition: attachment; filename=a.pdf"),
        boundary=boundary.encode(),
    )  # fmt: skip
    message = accept(Submission(raw, "office@brightwater.example", ["bo@example.com"]))
    text = f"Hello\n\n--{boundary}\n\nSign by Friday.\n\n--{boundary}--\n\nYours\n"
    edit(office, message, text=text)
    first, second = received(message).iter_parts()
    assert first.get_content().replace("\r\n", "\n") == text
    assert second.get_filename() == "a.pdf"
    assert [each.filename for each in message.attachments.all()] == ["a.pdf"]


def test_attachments_are_taken_out_and_added(office):
    message = written()
    files = [SimpleUploadedFile("drei.txt", b"three"), SimpleUploadedFile("empty.txt", b"")]
    edit(office, message, stay=["2"], files=files)
    found = [(part.get_filename(), part.get_payload(decode=True)) for part in received(message).iter_attachments()]
    assert found == [("two.pdf", b"%PDF two"), ("drei.txt", b"three"), ("empty.txt", b"")]
    assert [row.filename for row in message.attachments.all()] == ["two.pdf", "drei.txt", "empty.txt"]
    assert office.get(f"/messages/{message.pk}/attachments/2/").getvalue() == b"three"
    assert received(message).get_body(("plain",)).get_content().startswith("Dear customer")


@pytest.mark.parametrize("text", ["Plain", None])
def test_attachment_added_to_a_message_that_had_none(office, text):
    message = make_message("b@example.com", due=False) if text else written(files=[])
    before = received(message).get_body(("plain",)).get_content()
    edit(office, message, files=[SimpleUploadedFile("new.pdf", b"%PDF", "application/pdf")])
    mail = received(message)
    assert mail.get_content_type() == "multipart/mixed" and mail.get_body(("plain",)).get_content() == before
    assert [part.get_filename() for part in mail.iter_attachments()] == ["new.pdf"]
    edit(office, message, stay=None)
    assert list(received(message).iter_attachments()) == [] and message.attachments.count() == 0


def raw_message(content_type, body):
    head = "From: o@brightwater.example\r\nTo: b@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
    return accept(
        Submission(f"{head}Content-Type: {content_type}\r\n\r\n{body}".encode(), "o@b.example", ["b@example.com"])
    )


HTML = "--B\r\nContent-Type: text/plain\r\n\r\nHi\r\n--B\r\nContent-Type: text/html\r\n\r\n<h1>Hi</h1>\r\n--B--\r\n"
SIGNED = (
    "--B\r\nContent-Type: text/plain\r\n\r\nHi\r\n--B\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--B--\r\n"
)


@pytest.mark.parametrize("content_type, body, why", [
    ("multipart/alternative; boundary=B", HTML, "has a layout (HTML) that was not made here"),
    ("multipart/signed; boundary=B", SIGNED, "signed or encrypted"),
    ("multipart/signed (OpenPGP); boundary=B", SIGNED, "signed or encrypted"),
    ("text/plain", "-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nHello\r\n", "signed or encrypted"),
    ("text/plain", "Please decrypt\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nabc=\r\n", "signed or encrypted"),
    ("application/pdf", "%PDF", "has no text"),
    ("text/plain; charset=utf-8", "Grüße\r\n" * 300_000, "longer than 2 MB"),
])  # fmt: skip
def test_text_that_cannot_be_changed_says_why_and_the_rest_can(office, content_type, body, why):
    message = raw_message(content_type, body)
    shown = office.get(f"/messages/{message.pk}/edit/")
    assert why in source(shown) and 'name="text"' not in source(shown)
    before = wire(message).partition(b"\r\n\r\n")[2]
    edit(office, message, subject="Corrected", text="ignored")
    assert received(message)["Subject"] == "Corrected" and wire(message).partition(b"\r\n\r\n")[2] == before


OLD = "The price is 1000 EUR."
VERSIONS = {
    "named": f'Content-Type: text/html; name="mail.html"\r\n\r\n<p>{OLD}</p>',
    "named inline": "Content-Type: text/html\r\nContent-Disposition: inline; filename=body.html\r\n\r\n" + OLD,
    "attached": "Content-Type: text/html\r\nContent-Disposition: attachment; filename=body.html\r\n\r\n" + OLD,
    "for AMP": f"Content-Type: text/x-amp-html\r\n\r\n<html amp4email>{OLD}</html>",
    "a calendar": f"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nDESCRIPTION:{OLD}",
    "related": "Content-Type: multipart/related; boundary=r\r\n\r\n--r\r\n"
    f"Content-Type: text/html; name=index.html\r\nContent-ID: <i@x>\r\n\r\n<p>{OLD}</p>\r\n--r--",
    "related, second": 'Content-Type: multipart/related; boundary=r; start="<i@x>"\r\n\r\n--r\r\n'
    "Content-Type: image/png\r\n\r\nx\r\n--r\r\n"
    f"Content-Type: text/html; name=index.html\r\nContent-ID: <i@x>\r\n\r\n<p>{OLD}</p>\r\n--r--",
    "mixed": "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n"
    f"Content-Type: text/html; name=index.html\r\n\r\n<p>{OLD}</p>\r\n--m\r\n"
    "Content-Type: application/pdf\r\n\r\nx\r\n--m--",
}


@pytest.mark.parametrize("kind", VERSIONS)
def test_text_stays_where_another_version_of_it_would(office, kind):
    parts = f"--a\r\nContent-Type: text/plain\r\n\r\n{OLD}\r\n--a\r\n{VERSIONS[kind]}\r\n--a--\r\n"
    message = raw_message("multipart/alternative; boundary=a", parts)
    before = wire(message)
    shown = office.get(f"/messages/{message.pk}/edit/")
    assert 'name="text"' not in source(shown) and "Change it where it was written." in source(shown)
    edit(office, message, text="The price is 10 EUR.")
    assert wire(message) == before
    is_shown = kind in ("named", "named inline", "related", "related, second", "mixed")
    assert (OLD in html_of(message)) is is_shown
    assert not is_shown or "html" not in "".join(message.attachments.values_list("filename", flat=True))


def test_attachments_stay_where_an_earlier_release_counted_them_otherwise(office):
    """It took a named version of the text for one."""
    parts = f"--a\r\nContent-Type: text/plain\r\n\r\n{OLD}\r\n--a\r\n{VERSIONS['named']}\r\n--a--"
    inner = f"--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n{parts}\r\n"
    pdf = "--m\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\n%PDF\r\n--m--\r\n"
    message = raw_message("multipart/mixed; boundary=m", inner + pdf)
    html = next(part for part in mime.leaves(wire(message)) if part.content_type == "text/html")
    as_before(message, html)
    before = wire(message)
    assert [row.filename for row in message.attachments.all()] == ["mail.html", "a.pdf"]
    assert "<p>" not in html_of(message)
    edit(office, message, subject="Corrected", stay=None)
    assert wire(message) == before.replace(b"Subject: x", b"Subject: Corrected")
    assert [row.filename for row in message.attachments.all()] == ["a.pdf"]


def as_before(message, part):
    """Its rows as if the part had been taken for the first attachment."""
    skeleton = bytes(message.content.skeleton)
    size = part.stop - part.body
    message.attachments.update(number=F("number") + 1, offset=F("offset") - size)
    message.attachments.create(
        number=1, offset=part.body, sha256=blobs.put(part.encoded), encoding="7bit", encoded_size=size, size=size,
        filename=part.filename, content_type=part.content_type,
    )  # fmt: skip
    MessageContent.objects.filter(message=message).update(skeleton=skeleton[: part.body] + skeleton[part.stop :])
    Message.objects.filter(pk=message.pk).update(attachment_count=2)
    message.refresh_from_db()


def test_signed_message_takes_no_attachment(office):
    message = raw_message("multipart/signed; boundary=B", SIGNED)
    response = edit(office, message, files=[SimpleUploadedFile("x.txt", b"x")])
    assert response.status_code == 422 and "and a change would break that" in source(response)
    assert not MessageVersion.objects.exists()


def signature(names, name="DKIM-Signature", more=""):
    return f"{name}: v=1; a=rsa-sha256; d=example.com; {more}\r\n h={names};\r\n bh=a; b=c\r\n".encode()


def with_signatures(*signatures):
    letter = replace(LETTER, files=[File("one.pdf", "application/pdf", b"%PDF one")])
    return make_message("b@example.com", raw=b"".join(signatures) + raw_of(letter), due=False)


def picked(name="new.pdf"):
    return SimpleUploadedFile(name, b"%PDF", "application/pdf")


@pytest.mark.parametrize(("values", "names"), [
    ({"subject": "Other"}, "From:Subject"),
    ({"subject": "Other"}, "from : To\r\n :sub\r\n\tject"),
    ({"subject": "Other"}, "From:Subject:Subject"),
    ({"to": "Bo B <b@example.com>"}, "From:To"),
    ({"to": "b@example.com, new@example.com"}, "From:To:To"),
    ({"cc": "c@example.com"}, "From:Cc"),
    ({"to": "", "cc": "b@example.com"}, "From:To"),
    ({"text": "Other"}, "From"),
    ({"files": picked()}, "From"),
    ({"stay": None}, "From"),
])  # fmt: skip
@pytest.mark.parametrize("more", ["c=relaxed/relaxed;", "c=simple/simple;", "c=relaxed/simple; l=10;", ""])
def test_signature_of_what_was_edited_goes_and_that_is_told(office, values, names, more):
    message = with_signatures(signature(names, more=more))
    edit(office, message, **values)
    assert message.versions.count() == 1 and b"DKIM-Signature" not in wire(message)
    assert "The DKIM signature of example.com was removed" in source(office.get(f"/messages/{message.pk}/"))


@pytest.mark.parametrize(("values", "names"), [
    ({"cc": "c@example.com"}, "From:Subject"),
    ({"subject": "Other"}, "From:To:Cc:Cc"),
    ({"bcc": "hidden@example.com"}, "From:To:Subject:Cc:Bcc:Content-Type"),
    ({"to": "new@example.com"}, "From:Subject:MIME-Version"),
])  # fmt: skip
def test_signature_of_what_was_not_edited_stays(office, values, names):
    signed = signature(names, more="c=relaxed/relaxed;")
    message = with_signatures(signed)
    before = wire(message)
    edit(office, message, **values)
    assert wire(message).startswith(signed) and before.startswith(signed)
    assert "was removed" not in source(office.get(f"/messages/{message.pk}/"))


def test_of_several_signatures_those_go_that_no_longer_hold(office):
    over_subject = signature("From:Subject")
    over_that = signature("From:DKIM-Signature", more="s=over;")
    over_others = signature("From:To", more="s=others;")
    message = with_signatures(over_that, over_subject, over_others)
    edit(office, message, subject="Other")
    assert [each for each in (over_subject, over_that, over_others) if each in wire(message)] == [over_others]


@pytest.mark.parametrize("stays", [True, False])
def test_arc_chain_goes_as_a_whole_when_it_no_longer_holds(office, stays):
    chain = [
        b"ARC-Seal: i=1; a=rsa-sha256; cv=none; d=example.com; b=x\r\n",
        signature("From:To" if stays else "From:Subject", "ARC-Message-Signature", "i=1;"),
        b"ARC-Authentication-Results: i=1; mx.example.com; dkim=pass\r\n",
    ]
    message = with_signatures(*chain)
    edit(office, message, subject="Other")
    assert [each in wire(message) for each in chain] == [stays] * 3


@pytest.mark.parametrize(("names", "stays"), [("h=From:To;", True), ("h=From:Subject;", False), ("", False)])
def test_domainkeys_signature_of_what_was_edited_goes(office, names, stays):
    signed = f"DomainKey-Signature: a=rsa-sha1; c=nofws; d=example.com; {names} b=x\r\n".encode()
    message = with_signatures(signed)
    edit(office, message, subject="Other")
    assert (signed in wire(message)) is stays


def test_nothing_changed_is_no_version(office):
    message = written()
    assert "Nothing was changed." in source(office.get(edit(office, message).url))
    assert not MessageVersion.objects.exists()


# --- Who is named, and who is sent to ------------------------------------------------------------------


def named(to, cc, *envelope):
    head = f"From: o@brightwater.example\r\nTo: {to}\r\n" + (f"Cc: {cc}\r\n" if cc else "")
    return accept(Submission(f"{head}Subject: x\r\n\r\nHi\r\n".encode(), "o@b.example", envelope))


@pytest.mark.parametrize(("values", "to", "cc", "envelope"), [
    ({"to": "b@example.com, n@example.com"}, "b@example.com, n@example.com, All (of us) <all@x.example>", "c@x.example",
     ["to b@", "to n@"]),
    ({"to": "n@example.com"}, "n@example.com, All (of us) <all@x.example>", "c@x.example", ["to n@"]),
    ({"to": "", "bcc": "b@example.com"}, "All (of us) <all@x.example>", "c@x.example", ["bcc b@"]),
    ({"cc": "n@example.com"}, "b@example.com, All (of us) <all@x.example>", "n@example.com, c@x.example",
     ["to b@", "cc n@"]),
    ({"bcc": "all@x.example"}, "b@example.com", "c@x.example", ["to b@", "bcc all@"]),
    ({"bcc": "c@x.example"}, "b@example.com, All (of us) <all@x.example>", None, ["to b@", "bcc c@"]),
    ({"cc": "all@x.example"}, "b@example.com, All (of us) <all@x.example>", "all@x.example, c@x.example",
     ["to b@", "to all@"]),
])  # fmt: skip
def test_who_is_named_and_not_sent_to_stays_named(office, values, to, cc, envelope):
    message = named("b@example.com, All (of us) <all@x.example>", "c@x.example", "b@example.com")
    edit(office, message, **values)
    mail = parsed(wire(message))
    fields = {name: re.sub(r"\s+", " ", value) for name, value in mail.raw_items()}
    assert (fields.get("To"), fields.get("Cc")) == (to, cc)
    assert [f"{kind} {address.partition('@')[0]}@" for kind, address, _ in addressees(message)] == envelope


def test_who_is_named_twice_and_taken_out_is_named_nowhere(office):
    message = named("b@example.com, d@example.com", "b@example.com, c@x.example", "b@example.com", "d@example.com")
    edit(office, message, to="d@example.com")
    mail = received(message)
    assert (mail["To"], mail["Cc"]) == ("d@example.com", "c@x.example")


# --- What a server said of a recipient -----------------------------------------------------------------


def failed(mail_server, *to, **replies):
    """A message that a server refused, with its recipients a, b and so on."""
    mail_server.replies |= {name if name == "END" else f"{name}@example.com": said for name, said in replies.items()}
    message = make_message(*(f"{name}@example.com" for name in to))
    run_lane()
    message.refresh_from_db()
    assert message.status == "failed"
    return message


def standing(message):
    return [f"{address.partition('@')[0]} {status}" for _, address, status in addressees(message)]


def test_who_was_refused_for_good_is_not_asked_again_by_another_subject(office, operator, mail_server):
    message = failed(mail_server, "a", "b", a="550 5.1.1 no such mailbox", b="550 5.1.1 no such mailbox")
    edit(office, message, subject="Corrected", to="a@example.com, new@example.com")
    assert standing(message) == ["a failed", "new pending"]
    assert [row.reply_text for row in message.recipients.all()] == ["5.1.1 no such mailbox", ""]
    run_lane(operator.pk)
    assert [taken.recipients for taken in mail_server.received] == [["new@example.com"]]
    message.refresh_from_db()
    assert message.status == "failed" and standing(message) == ["a failed", "new accepted"]


@pytest.mark.parametrize(("stage", "said"), [
    ("END", "554 5.7.1 spam message rejected"),
    ("END", "552 5.3.4 message too big"),
    ("a", "550 5.7.1 blocked by policy"),
])  # fmt: skip
def test_who_was_refused_because_of_the_content_is_asked_again(office, mail_server, stage, said):
    message = failed(mail_server, "a", **{stage: said})
    edit(office, message, subject="Corrected")
    message.refresh_from_db()
    assert standing(message) == ["a pending"] and message.status == "queued"


def test_who_failed_because_the_tries_were_used_up_is_asked_again(office, mail_server):
    mail_server.replies["a@example.com"] = "450 4.2.1 try later"
    message = make_message("a@example.com")
    run_lane()
    run_lane(after=timedelta(days=30))
    assert standing(message) == ["a failed"]
    edit(office, message, subject="Corrected")
    assert standing(message) == ["a pending"]


def test_edit_that_leaves_nobody_to_ask_is_kept_and_says_what_to_do(office, mail_server):
    message = failed(mail_server, "a", a="550 5.1.1 no such mailbox")
    reason = message.reason
    shown = source(office.get(edit(office, message, subject="Corrected").url))
    message.refresh_from_db()
    assert (message.status, message.reason, message.subject) == ("failed", reason, "Corrected")
    assert "Saved. It stays failed, because its recipients were refused for good." in shown
    assert "Correct their addresses" in shown and message.versions.count() == 1
    edit(office, message, to="right@example.com")
    message.refresh_from_db()
    assert message.status == "queued" and standing(message) == ["right pending"]


def test_waiting_message_is_not_left_with_nobody_to_ask(office, operator, mail_server):
    mail_server.replies |= {"a@example.com": "550 5.1.1 no such mailbox", "b@example.com": "450 4.2.1 later"}
    message = make_message("a@example.com", "b@example.com")
    run_lane()
    edit(office, message, subject="Corrected")
    assert standing(message) == ["a failed", "b pending"]
    response = edit(office, message, to="a@example.com")
    assert response.status_code == 422 and "refused for good" in source(response)
    assert standing(message) == ["a failed", "b pending"]


# --- The version before --------------------------------------------------------------------------------


def test_version_before_is_kept_and_shown(office):
    message = written()
    before = wire(message)
    edit(office, message, subject="Corrected", stay=["2"])
    shown = source(office.get(f"/messages/{message.pk}/"))
    words = "subject from “Your invoice” to “Corrected”; attachment “one.pdf” removed"
    assert "Edited by Anna" in shown and words in shown and f"Edited: {words}" in shown
    old = source(office.get(f"/messages/{message.pk}/versions/1/"))
    assert "Your invoice" in old and "Dear customer," in old and "one.pdf" in old and "hidden@example.com" in old
    saved = office.get(f"/messages/{message.pk}/versions/1/eml/")
    assert saved.getvalue() == before, "octet for octet, with the attachment that was taken out"
    assert office.get(f"/messages/{message.pk}/versions/2/").status_code == 404


# --- What cannot be sent like this ---------------------------------------------------------------------


@pytest.mark.parametrize("values, words", [
    ({"to": "nobody"}, "is not"),
    ({"to": "b@example.com\r\nBcc: evil@example.com"}, "line break"),
    ({"subject": "x\r\nBcc: evil@example.com"}, "line break"),
    ({"to": "", "bcc": ""}, "No recipients"),
    ({"subject": ""}, "It has no subject"),
])  # fmt: skip
def test_everything_is_checked_again_and_nothing_typed_is_lost(office, values, words):
    message = written()
    before = wire(message)
    response = edit(office, message, **({"text": "Long letter"} | values), files=[SimpleUploadedFile("kept.txt", b"x")])
    assert response.status_code == 422 and words in source(response)
    assert "Long letter</textarea>" in source(response) and "kept.txt" in source(response)
    assert wire(message) == before and not MessageVersion.objects.exists()


def test_too_large_by_an_attachment_is_told(office, settings):
    message = written(files=[File("one.pdf", "application/pdf", b"x" * 9000)])
    settings.MAX_MESSAGE_BYTES = 15_000
    response = edit(office, message, files=[SimpleUploadedFile("two.pdf", b"x" * 5000)])
    assert response.status_code == 422 and "The message is too large" in source(response)
    assert "two.pdf" in source(response) and message.attachments.count() == 1


# --- Which ones ----------------------------------------------------------------------------------------


def test_held_stays_held(office, operator):
    message = make_message("b@example.com", due=False)
    actions.hold(message, by=operator, why="Ask Bo")
    edit(office, message, subject="Corrected")
    message.refresh_from_db()
    assert (message.status, in_words(message.reason), message.subject) == ("held", "Ask Bo", "Corrected")


def test_message_that_goes_by_itself_keeps_its_time(office):
    message = make_message("b@example.com")
    edit(office, message, subject="Corrected")
    time = message.not_before
    message.refresh_from_db()
    assert message.not_before == time and message.status == "queued"


def no_address():
    mail = b"From: o@brightwater.example\r\nSubject: Invoice\r\n\r\nHi\r\n"
    message = accept(Submission(mail, "o@brightwater.example", []))
    assert message.status == "failed" and in_words(message.reason).startswith("No address")
    return message


def test_no_address_corrected_waits_for_a_batch_while_mail_is_held(office, mail_server):
    options.save({"record_mail": True, "hold_mail": True}, by=None)
    message = no_address()
    edit(office, message, to="b@example.com")
    message.refresh_from_db()
    assert (message.status, message.not_before, in_words(message.reason)) == ("queued", None, "")
    run_lane()
    assert not mail_server.received


def test_no_address_corrected_is_due_now_while_nothing_is_held(
    office, operator, mail_server, woken, django_capture_on_commit_callbacks
):
    message = no_address()
    with django_capture_on_commit_callbacks(execute=True):
        edit(office, message, to="Bo <b@example.com>")
    assert woken == [operator.pk]
    run_lane(operator.pk)
    message.refresh_from_db()
    assert message.status == "sent"
    assert parsed(mail_server.received[0].content)["To"] == "Bo <b@example.com>"


def test_refused_by_all_is_corrected_and_sent(office, operator, mail_server):
    mail_server.replies["wrong@example.com"] = "550 5.1.1 no such mailbox"
    message = make_message("wrong@example.com")
    run_lane()
    message.refresh_from_db()
    assert message.status == "failed"
    edit(office, message, to="right@example.com")
    message.refresh_from_db()
    assert (message.status, message.tries, in_words(message.reason), message.notified_at) == ("queued", 0, "", None)
    run_lane(operator.pk)
    assert [taken.recipients for taken in mail_server.received] == [["right@example.com"]]


def confirmed(message, operator):
    batch = batches.choose(Message.objects.filter(pk=message.pk), by=operator, account=None)
    batches.confirm(batch, by=operator)


def sent(message, operator):
    Message.objects.filter(pk=message.pk).update(not_before=message.created_at)
    run_lane()


def partly(message, operator):
    sent(message, operator)
    Message.objects.filter(pk=message.pk).update(**fitting(status="failed"))


def handed_over(message, operator):
    EmailSettings.objects.create(account=operator, send_type=1)
    actions.open_in_mail_program(message, by=operator)


def becomes(status):
    return lambda message, operator: Message.objects.filter(pk=message.pk).update(**fitting(status=status))


@pytest.mark.parametrize("happen, why", [
    (becomes("sending"), "It is being handed to the mail server now"),
    (becomes("unknown"), "It may have arrived already"),
    (becomes("cancelled"), "It was cancelled and will not be sent"),
    (sent, "It was sent"),
    (partly, "Some recipients have it already"),
    (confirmed, "It is being processed in batch"),
    (handed_over, "mail program has it as a draft"),
])  # fmt: skip
def test_what_cannot_be_edited_says_why_and_keeps_what_was_typed(office, operator, happen, why):
    message = make_message("b@example.com", due=False)
    url = f"/messages/{message.pk}/edit/"
    given = fields_of(office.get(url)) | {"text": "Long letter", "subject": "Corrected"}
    happen(message, operator)
    before = wire(message)
    response = office.post(url, given)
    assert response.status_code == 409 and why in source(response) and "Long letter</textarea>" in source(response)
    assert wire(message) == before and not MessageVersion.objects.exists()
    assert why in source(office.get(office.get(url).url))


def test_batch_draft_keeps_it_chosen(office, operator, mail_server):
    message = make_message("b@example.com", due=False)
    batch = batches.choose(Message.objects.filter(pk=message.pk), by=operator, account=None)
    edit(office, message, subject="Corrected")
    assert BatchItem.objects.filter(batch=batch, message=message).exists()
    batches.confirm(batch, by=operator)
    run_lane()
    assert parsed(mail_server.received[0].content)["Subject"] == "Corrected"


def test_viewers_edit_nothing(client, email_setup):
    message = make_message("b@example.com", due=False)
    client.force_login(make_user("viewer", role="Viewer"))
    url = f"/messages/{message.pk}/edit/"
    assert client.get(url).status_code == 403 and client.post(url).status_code == 403
    assert url not in source(client.get(f"/messages/{message.pk}/"))


# --- Two at once ---------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_saved_at_the_same_moment_are_one_version(operator, email_setup):
    message = make_message("b@example.com", due=False)
    bo = [Mailbox("", "b@example.com")]
    subjects = iter(["One", "Two"])

    def save():
        wanted = editing.Edit(bo, [], [], next(subjects))
        editing.apply(Message.objects.get(pk=message.pk), wanted, by=operator, seen=0)

    errors = in_threads(2, save)
    assert [type(error) for error in errors] == [editing.EditedMeanwhile]
    assert message.versions.count() == 1 and received(message)["Subject"] in ("One", "Two")


@pytest.mark.django_db(transaction=True)
def test_lane_that_takes_it_while_it_is_being_edited(operator, email_setup, mail_server, monkeypatch):
    message = make_message("b@example.com")
    prepare = editing._prepared

    def slowly(*arguments):
        prepared = prepare(*arguments)
        lane = threading.Thread(target=elsewhere(run_lane))
        lane.start()
        lane.join()
        return prepared

    monkeypatch.setattr(editing, "_prepared", slowly)
    wanted = editing.Edit([Mailbox("", "b@example.com")], [], [], "Too late")
    with pytest.raises(actions.NotPossible, match="It was sent"):
        editing.apply(message, wanted, by=operator, seen=0)
    assert b"Subject: Your appointment" in mail_server.received[0].content
    assert b"Subject: Your appointment" in wire(message) and not MessageVersion.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_lanes_and_edits_at_once_send_what_is_stored_and_once(operator, email_setup, mail_server):
    messages = [make_message("b@example.com", subject=f"Old {n}") for n in range(12)]
    outcome = {}

    def edit_all():
        for message in reversed(messages):
            wanted = editing.Edit([Mailbox("", "c@example.com")], [], [], message.subject.replace("Old", "New"))
            try:
                editing.apply(Message.objects.get(pk=message.pk), wanted, by=operator, seen=0)
                outcome[message.pk] = "New"
            except actions.NotPossible:
                outcome[message.pk] = "Old"

    works = iter([edit_all, lambda: run_lane()])
    assert in_threads(2, lambda: next(works)()) == []
    run_lane()
    arrived = {}
    for taken in mail_server.received:
        mail = parsed(taken.content)
        arrived[mail["Message-ID"]] = (mail["Subject"].split()[0], mail["To"], taken.recipients)
    assert len(mail_server.received) == len(arrived) == 12
    for message in messages:
        who = "c@example.com" if outcome[message.pk] == "New" else "b@example.com"
        assert arrived[message.message_id] == (outcome[message.pk], who, [who])


# --- Character sets that write line breaks ---------------------------------------------------------------


LINES = "Dear Sir,\r\n\r\n1 + 1 = 2 \u2028 Größe \x85 x \x0b y\r\n"


@pytest.mark.parametrize("charset", ["utf-7", "utf-16be", "utf-16", "utf-32le", "cp037", "utf-8", "gb18030"])
def test_text_in_any_character_set_stays_when_another_field_is_edited_and_is_read_when_it_is(office, charset):
    lines = LINES if charset != "cp037" else LINES.replace("\u2028", "")
    fields = [
        "From: o@brightwater.example", "To: b@example.com", "Subject: =?utf-7?Q?a+AAo-X-Evil_:_1?=",
        "X-Note: 1 +AAo-X-Evil : 1", "MIME-Version: 1.0", f"Content-Type: text/plain; charset={charset}",
        "Content-Transfer-Encoding: base64", "X-Last: 1",
    ]  # fmt: skip
    raw = "\r\n".join(fields).encode() + b"\r\n\r\n" + base64.encodebytes(lines.encode(charset)).replace(b"\n", b"\r\n")
    message = accept(Submission(raw, "o@brightwater.example", ["b@example.com"]))
    before = wire(message)
    assert edit(office, message, cc="c@example.com").status_code == 302
    assert wire(message) == before.replace(b"\r\n\r\n", b"\r\nCc: c@example.com\r\n\r\n", 1)
    text = office.get(f"/messages/{message.pk}/edit/").context["form"]["text"].value()
    assert edit(office, message, text=text + "PS").status_code == 302
    after = received(message)
    names = [[name for name in mail if not name.startswith("Content-")] for mail in (parsed(before), after)]
    assert names[1] == [*names[0], "Cc"]
    assert after.get_content().splitlines() == f"{lines}PS".splitlines()
