"""Kept in pieces in rows and files, sent whole: what was accepted is what goes out, byte for byte."""

import tracemalloc
from email.message import EmailMessage

import pytest
from hypothesis import given

from messaging.content import assembly
from messaging.intake import gate
from messaging.models import Message
from tests.mails import HEAD, TREE
from tests.rows import received


def accepted(raw: bytes) -> Message:
    return gate.accept(gate.Submission(raw, "office@example.com", ["ada@example.com"]))


@pytest.mark.slow
@given(raw=TREE.map(lambda tree: HEAD + tree))
@pytest.mark.django_db
def test_what_the_database_and_the_files_hold_is_what_was_accepted(raw):
    try:
        message = accepted(raw)
    except gate.Refused:
        return
    sent = b"".join(assembly.assemble(message))
    assert len(sent) == message.size
    assert sent.replace(b"\r\n", b"").count(b"\r") == sent.replace(b"\r\n", b"").count(b"\n") == 0
    again = Message.objects.get(pk=accepted(sent).pk)
    assert b"".join(assembly.assemble(again)) == sent, "what is fit for the wire stays as it is"


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
    assert next(received(message).iter_attachments()).get_content() == b"%PDF" + b"\x00\xff" * 3000
    attachment = message.attachments.get()
    assert (attachment.filename, attachment.content_type, attachment.size) == ("Report.pdf", "application/pdf", 6004)
    assert b"".join(assembly.open_attachment(attachment)) == b"%PDF" + b"\x00\xff" * 3000


@pytest.mark.django_db
def test_the_same_report_to_many_is_on_the_disk_once(media):
    for _ in range(3):
        accepted(report().as_bytes())
    assert len([path for path in media.rglob("*") if path.is_file()]) == 1


@pytest.mark.slow
@pytest.mark.django_db
def test_a_large_report_is_sent_without_holding_it_in_memory():
    message = Message.objects.get(pk=accepted(report(4_000_000).as_bytes()).pk)
    tracemalloc.start()
    assert max(map(len, assembly.assemble(message))) <= 65536
    assert sum(map(len, assembly.open_attachment(message.attachments.get()))) == 8_000_004
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
    b"".join(assembly.assemble(message))
    damage(next(path for path in media.rglob("*") if path.is_file()))
    with pytest.raises(assembly.MissingContent, match=r"Report\.pdf is missing .* Restore"):
        assembly.assemble(message)
    with pytest.raises(assembly.MissingContent):
        assembly.open_attachment(message.attachments.get())


@pytest.mark.django_db
def test_a_damaged_file_is_made_good_when_the_same_report_comes_again(media):
    first = accepted(report().as_bytes())
    path = next(path for path in media.rglob("*") if path.is_file())
    path.write_bytes(b"rubbish")
    accepted(report().as_bytes())
    assert sum(map(len, assembly.assemble(first))) == first.size
