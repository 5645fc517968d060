"""Send types 0 and 1 (S11): one message is opened in the person's own mail program, through HTTP."""

import datetime as dt
import email
import email.policy
import io
import re
import tracemalloc
from email.message import EmailMessage

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from messaging import housekeeping
from messaging.content import mime
from messaging.intake import addresses
from messaging.intake.gate import Submission, accept
from messaging.models import AccountPause, Batch, EmailSettings, Message, Phrase, Recipient, Schedule
from messaging.queue import actions, batches
from messaging.scheduling import schedules
from messaging.wording import in_words
from tests.factories import fitting, make_message, set_up
from tests.pages import act, page_of
from tests.rows import parsed
from tests.steps import in_threads, run_lane

pytestmark = pytest.mark.django_db(transaction=True)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PDF = b"%PDF-1.4\r\n.\r\n\x00\xff" * 500
WHAT_TO_CHANGE = "Choose send type 2 or 3 (SMTP) in Email Setup."
INSTEAD = "Or open it in your mail program, and send it from there."


@pytest.fixture(autouse=True)
def company(db):
    return EmailSettings.objects.create(send_type=1)


@pytest.fixture
def message(operator):
    return make_message("c@example.com", subject="Your report", due=False, author=operator)


def draft(office, message):
    return office.get(f"/messages/{message.pk}/draft/")


def raw_draft(office, message):
    return b"".join(draft(office, message).streaming_content)


def standing(message):
    return (message.status, message.handed_to, in_words(message.reason), message.not_before, message.held_until)


def nothing_goes_out(server, *accounts):
    for account in (None, *accounts):
        run_lane(account)
    assert server.received == []


# --- The whole flow ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_message_is_handed_over_sent_from_the_mail_program_and_never_again(office, operator, message, mail_server):
    page = page_of(office, message)
    shown = page[page.index('class="actions"') :]
    assert shown.index("Open in my mail program") < shown.index("Hold")

    page = act(office, message, "hand-over")
    assert standing(message)[:3] == ("held", operator, "Handed over to Anna’s mail program")
    assert f'href="/messages/{message.pk}/draft/"' in page
    for words in ("Download the draft", "Sent from my mail program", "Put back", "Send it there, then come back",
                  "No one has said yet that it was sent"):  # fmt: skip
        assert words in page, words
    page_of_list = office.get("/messages/?status=held").content.decode()
    assert "Handed over to Anna’s mail program" in page_of_list
    assert "as a draft" in page_of_list
    assert "release/" not in page
    assert parsed(raw_draft(office, message))["Subject"] == "Your report"

    page = act(office, message, "sent-from-mail-program")
    assert "Sent from Anna’s mail program" in page
    assert "Accepted" not in page.replace("Accepted into the queue", "")
    assert "It was not sent from here." in page
    assert (message.status, message.handed_to, message.account) == ("sent", None, operator)
    assert timezone.now() - message.sent_at < dt.timedelta(seconds=10)
    recipient = message.recipients.get()
    assert (recipient.status, in_words(recipient.said)) == ("accepted", "Sent from Anna’s mail program")
    done = [(in_words(event.what), event.by) for event in message.events.all()][1:]
    assert done == [("Handed over to Anna’s mail program", operator), ("Sent from Anna’s mail program", operator)]

    set_up(mail_server)
    batch = batches.choose(Message.objects.all(), by=operator, account=None)
    batches.confirm(batch, by=operator)
    assert in_words(batch.items.get().reason).startswith("Already sent on")
    for action in ("retry", "send-again", "try-now", "hand-over", "put-back", "sent-from-mail-program", "cancel"):
        assert "is now “Sent”" in act(office, message, action)
    nothing_goes_out(mail_server, operator.pk)


def test_what_is_put_back_is_sent_once_by_a_batch(office, operator, message, mail_server):
    act(office, message, "hand-over")
    assert "Put back" in act(office, message, "put-back")
    assert standing(message) == ("queued", None, "", None, None)
    assert in_words(message.events.last().what) == "Put back; Anna’s draft was not sent"
    assert message.events.last().by == operator
    assert draft(office, message).status_code == 404
    set_up(mail_server)
    for _ in range(2):
        batches.process_all(by=None, account=None, source="schedule")
        run_lane()
    assert [received.recipients for received in mail_server.received] == [["c@example.com"]]


def test_put_back_restores_the_time_a_program_asked_for(office, operator):
    tomorrow = timezone.now() + dt.timedelta(days=1)
    message = make_message("c@example.com", not_before=tomorrow, due=False)
    act(office, message, "hand-over")
    act(office, message, "put-back")
    assert standing(message) == ("queued", None, "", tomorrow, None)


def test_held_message_is_held_again_when_put_back(office, operator, message):
    until = timezone.now() + dt.timedelta(days=1)
    actions.hold(message, by=operator, why="The amount is disputed", until=until)
    assert "Before that: The amount is disputed." in act(office, message, "hand-over")
    assert (in_words(message.reason), in_words(message.reason_before)) == (
        "Handed over to Anna’s mail program",
        "The amount is disputed",
    )
    act(office, message, "put-back")
    assert standing(message) == ("held", None, "The amount is disputed", None, until)


@pytest.mark.slow
def test_failed_message_is_failed_again_when_put_back(office, operator, message):
    message.recipients.update(status="failed", reply_code=550, reply_text="no such user")
    Message.objects.update(**fitting(status="failed", reason=Phrase("no-mailbox"), reason_category="address"))
    page = page_of(office, message)
    assert "Open in my mail program" in page
    assert 'retry/"' not in page
    act(office, message, "hand-over")
    act(office, message, "put-back")
    assert standing(message)[:3] == ("failed", None, "The mailbox does not exist.")
    act(office, message, "hand-over")
    act(office, message, "sent-from-mail-program")
    recipient = message.recipients.get()
    assert (message.status, in_words(message.reason), message.reason_category) == ("sent", "", "")
    assert (recipient.status, recipient.reply_code) == ("accepted", None)


def test_nothing_else_takes_what_is_handed_over(office, operator, message, mail_server):
    actions.hold(message, by=operator, why="Wait", until=timezone.now() + dt.timedelta(seconds=1))
    other = make_message("d@example.com", due=False)
    draft_batch = batches.choose(Message.objects.all(), by=operator, account=None)
    act(office, message, "hand-over")
    housekeeping.sweep(timezone.now() + dt.timedelta(hours=1))
    message.refresh_from_db()
    assert message.status == "held"
    set_up(mail_server)
    assert "Handed over to Anna’s mail program" in office.get(draft_batch.get_absolute_url()).content.decode()
    batches.confirm(draft_batch, by=operator)
    assert in_words(draft_batch.items.get(message=message).reason).startswith("Handed over to Anna’s mail program")
    run_lane()
    assert [received.recipients for received in mail_server.received] == [[other.recipients.get().address]]


@pytest.mark.parametrize("action", ["release", "cancel"])
def test_what_may_be_sent_already_is_neither_released_nor_cancelled(office, message, action):
    act(office, message, "hand-over")
    page = act(office, message, action)
    assert "Anna’s mail program has it as a draft, and it may have been sent from there" in page
    assert "First say what happened to it" in page
    assert message.status == "held"


# --- The file ----------------------------------------------------------------------------------------


def rich_mail():
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["Received"] = "from old.example by older.example; Tue, 24 Nov 2026 10:00:00 +0000"
    mail["DKIM-Signature"] = "v=1; a=rsa-sha256; d=example.com; b=" + "A" * 200
    mail["From"] = "Büro <office@brightwater.example>"
    mail["To"] = ", ".join(f"Müller {number} <m{number}@example.com>" for number in range(12))
    mail["Cc"] = "cc@example.com"
    mail["Subject"] = "Übersicht: Rechnung für Müller & Söhne " + "sehr lang " * 20
    mail["Message-ID"] = "<one@brightwater.example>"
    mail["Date"] = "Tue, 24 Nov 2026 09:00:00 +0000"
    mail["X-Unsent"] = "0"
    mail["X-Rechnung"] = "kept"
    mail.set_content("Grüße aus Köln\n.\nFrom here\n", cte="8bit")
    mail.add_alternative("<p>Grüße <img src='cid:logo@x'></p>", subtype="html", cte="quoted-printable")
    mail.get_payload()[1].add_related(PNG, "image", "png", cid="<logo@x>")
    mail.add_attachment(PDF, maintype="application", subtype="pdf", filename="Bericht Müller.pdf")
    mail.add_attachment(b"", maintype="application", subtype="zip", filename="empty.zip")
    return mail


def leaves(mail):
    return [
        (part.get_content_type(), part.get_filename(), part["Content-ID"], part.get_payload(decode=True))
        for part in mail.walk()
        if not part.is_multipart()
    ]


def test_draft_is_the_message_with_an_unsent_header_and_its_blind_copies(office):
    mail = rich_mail()
    named = [f"m{number}@example.com" for number in range(12)] + ["cc@example.com"]
    blind = [f"blind{number}@example.com" for number in range(9)]
    message = make_message(*named, recipients=named + blind, raw=mail.as_bytes(), due=False)
    act(office, message, "hand-over")
    raw = raw_draft(office, message)
    assert raw.startswith(b"X-Unsent: 1\r\n")
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")
    assert max(map(len, raw.partition(b"\r\n\r\n")[0].split(b"\r\n"))) <= 998
    made = parsed(raw)
    assert made.defects == []
    assert made.get_all("X-Unsent") == ["1"]
    assert [address.addr_spec for address in made["Bcc"].addresses] == blind
    for gone in ("Received", "Return-Path", "DKIM-Signature", "Date"):
        assert made[gone] is None, gone
    for kept in ("From", "To", "Cc", "Subject", "Message-ID", "X-Rechnung"):
        assert made[kept] == mail[kept], kept
    assert leaves(made) == leaves(parsed(mail.as_bytes()))


def test_draft_comes_as_a_file_that_nothing_shows_as_a_page(office, message):
    act(office, message, "hand-over")
    response = draft(office, message)
    assert response.headers["Content-Type"] == "message/rfc822"
    assert response.headers["Content-Disposition"] == 'attachment; filename="Your report.eml"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "private, no-store"
    raw = b"".join(response.streaming_content)
    assert int(response.headers["Content-Length"]) == len(raw)
    head = office.head(f"/messages/{message.pk}/draft/")
    assert head.status_code == 200
    assert head.headers["Content-Length"] == str(len(raw))
    assert head.getvalue() == b""
    assert b"Bcc:" not in raw


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ('../../etc/passwd "x" <y>|?*:', "etc passwd x y.eml"),
        ("...", "message-{pk}.eml"),
        ("a\r\n b\x00c", "a bc.eml"),
        ("x" * 900, "x" * 100 + ".eml"),
        ("", "message-{pk}.eml"),
    ],
)
def test_file_has_a_safe_name(office, message, subject, name):
    Message.objects.update(subject=subject.replace("\r\n", "").replace("\x00", ""))
    act(office, message, "hand-over")
    header = draft(office, message).headers["Content-Disposition"]
    assert header == f'attachment; filename="{name.format(pk=message.pk)}"'


def test_name_in_another_alphabet_is_encoded(office, message):
    Message.objects.update(subject="Rechnung für 見積")
    act(office, message, "hand-over")
    assert "filename*=utf-8''Rechnung%20f%C3%BCr%20" in draft(office, message).headers["Content-Disposition"]


def test_blind_copies_only(office):
    raw = b"From: a@example.com\r\nSubject: x\r\n\r\nText\r\n"
    message = make_message("b@example.com", raw=raw, due=False)
    act(office, message, "hand-over")
    made = parsed(raw_draft(office, message))
    assert (made["To"], made["Bcc"], made.get_content()) == (None, "b@example.com", "Text\r\n")


NAMED_BESIDE = """\
From: a@x.example
To: Everybody <everybody@x.example>, Only Åsa <only@x.example>
Cc: boss@x.example,
 Team: third@x.example, "Fourth, F" <fourth@X.example>;
Resent-To: other@x.example
Resent-Cc: more@x.example
Subject: Yours

hello
"""


@pytest.mark.parametrize(
    ("recipients", "to", "cc", "bcc"),
    [
        (["only@x.example"], ["Only Åsa <only@x.example>"], [], []),
        (["fourth@x.example"], [], ['"Fourth, F" <fourth@X.example>'], []),
        (["hidden@x.example"], [], [], ["hidden@x.example"]),
        (["only@x.example", "hidden@x.example"], ["Only Åsa <only@x.example>"], [], ["hidden@x.example"]),
    ],
)
def test_draft_goes_to_the_recipients_and_to_nobody_else_that_the_header_names(office, recipients, to, cc, bcc):
    message = accept(Submission(NAMED_BESIDE.encode(), "a@x.example", recipients))
    act(office, message, "hand-over")
    mail = parsed(raw_draft(office, message))
    named = [[str(each) for each in mail[name].addresses] if mail[name] else [] for name in ("To", "Cc", "Bcc")]
    assert named == [to, cc, bcc] and not [name for name in mail if name.lower().startswith("resent-")]
    assert (mail["Subject"], mail.get_content()) == ("Yours", "hello\r\n")


def test_draft_keeps_a_name_that_takes_several_lines(office):
    name = "Vérène Überlang-Größenwahn " * 5
    raw = f"From: a@x.example\nTo: {name} <only@x.example>, other@x.example\n\nx\n".encode()
    message = accept(Submission(raw, "a@x.example", ["only@x.example"]))
    act(office, message, "hand-over")
    mail = parsed(raw_draft(office, message))
    assert [each.addr_spec for each in mail["To"].addresses] == ["only@x.example"] and mail["Bcc"] is None
    assert addresses.mailboxes(mime.head(raw_draft(office, message))[0][2].text)[0].name == name.strip()


def test_draft_to_all_that_the_header_names_has_it_as_it_was_written(office):
    everybody = [f"{name}@x.example" for name in ("everybody", "only", "boss", "third", "fourth")]
    message = accept(Submission(NAMED_BESIDE.encode(), "a@x.example", everybody))
    act(office, message, "hand-over")
    assert b'Cc: boss@x.example,\r\n Team: third@x.example, "Fourth, F" <fourth@X.example>;\r\n' in raw_draft(
        office, message
    )


def test_draft_names_nobody_from_a_list_that_cannot_be_read(office):
    message = accept(
        Submission(b"From: a@x.example\nTo: a@, b@x.example <boss@x.example\n\nx\n", "a@x.example", ["b@x.example"])
    )
    act(office, message, "hand-over")
    assert b"boss" not in raw_draft(office, message) and b"b@x.example\r\n" in raw_draft(office, message)


def test_long_header_is_exchanged_whole(office):
    notes = "".join(f"X-Note: {number:0900d}\r\n" for number in range(200))
    raw = f"Received: from old.example\r\nTo: b@example.com\r\nFrom: a@example.com\r\n{notes}\r\nText\r\n".encode()
    message = make_message("b@example.com", raw=raw, due=False)
    act(office, message, "hand-over")
    made = raw_draft(office, message)
    assert b"Received" not in made
    assert made.count(b"X-Note: ") == 200
    assert made.endswith(b"\r\n\r\nText\r\n")
    assert int(draft(office, message).headers["Content-Length"]) == len(made)


def test_message_that_is_one_report_and_nothing_else(office):
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"], mail["To"] = "a@example.com", "b@example.com"
    mail.set_content(PDF, maintype="application", subtype="pdf")
    message = make_message("b@example.com", raw=mail.as_bytes(), due=False)
    act(office, message, "hand-over")
    assert parsed(raw_draft(office, message)).get_content() == PDF


@pytest.mark.slow
def test_large_report_is_streamed(office):
    report = io.BytesIO()
    while report.tell() < 12_000_000:
        report.write(b"%012d report \xff\x00" % report.tell())
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"], mail["To"] = "a@example.com", "b@example.com"
    mail.set_content("Attached.\n")
    mail.add_attachment(report.getvalue(), maintype="application", subtype="pdf", filename="report.pdf")
    message = make_message("b@example.com", raw=mail.as_bytes(), due=False)
    act(office, message, "hand-over")
    tracemalloc.start()
    try:
        pieces = [len(piece) for piece in draft(office, message).streaming_content]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(pieces) > 16_000_000
    assert max(pieces) <= 64 * 1024
    assert peak < 4_000_000


def test_missing_attachment_is_told(office, media):
    message = make_message("b@example.com", raw=rich_mail().as_bytes(), due=False)
    act(office, message, "hand-over")
    for path in (media / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    response = draft(office, message)
    assert response.status_code == 410
    assert "missing from the disk" in response.content.decode()


# --- Who may, and when -------------------------------------------------------------------------------


@pytest.mark.slow
def test_second_person_is_told_who_has_it(office, bens_browser, operator, message):
    act(office, message, "hand-over")
    assert "Anna’s mail program has it as a draft" in act(bens_browser, message, "hand-over")
    assert message.handed_to == operator
    assert draft(bens_browser, message).status_code == 404
    page = page_of(bens_browser, message)
    assert "Handed over to Anna’s mail program at" in page
    assert "Ask first whether it was sent" in page
    assert "/draft/" not in page
    act(bens_browser, message, "put-back")
    assert message.status == "queued"
    assert message.events.last().by.username == "ben"
    assert "The message is now “Queued”" in act(office, message, "sent-from-mail-program")
    assert message.status == "queued"
    assert draft(office, message).status_code == 404
    act(bens_browser, message, "hand-over")
    assert in_words(message.reason) == "Handed over to Ben Okoro’s mail program"


def test_of_two_people_at_the_same_moment_one_has_it(office, bens_browser, message):
    browsers = [office, bens_browser]
    assert not in_threads(2, lambda: browsers.pop().post(f"/messages/{message.pk}/hand-over/"))
    message.refresh_from_db()
    assert [event.by for event in message.events.all()][1:] == [message.handed_to]


def test_of_a_batch_and_a_person_at_the_same_moment_one_has_it(office, operator, message, mail_server):
    EmailSettings.objects.create(account=operator, send_type=1)
    set_up(mail_server)
    batch = batches.choose(Message.objects.all(), by=operator, account=None)
    work = [lambda: batches.confirm(batch, by=operator), lambda: office.post(f"/messages/{message.pk}/hand-over/")]
    assert not in_threads(2, lambda: work.pop()())
    run_lane()
    message.refresh_from_db()
    assert (message.status == "held") == (not mail_server.received)
    assert batch.items.get().state == ("skipped" if message.status == "held" else "released")


def test_said_for_somebody_else_names_both(office, bens_browser, operator, message):
    act(office, message, "hand-over")
    act(bens_browser, message, "sent-from-mail-program")
    assert in_words(message.recipients.get().said) == "Sent from Anna’s mail program"
    assert (message.account, message.events.last().by.username) == (operator, "ben")


def test_person_who_is_gone_leaves_a_held_message(office, bens_browser, operator, message):
    act(bens_browser, message, "hand-over")
    message.handed_to.delete()
    assert "no longer a draft in a mail program" in act(office, message, "sent-from-mail-program")
    act(office, message, "release")
    assert standing(message)[:3] == ("queued", None, "")


def test_hold_that_ends_sends_no_draft_whose_person_is_gone(office, bens_browser, message):
    """It may have been sent from the mail program; no one can be asked any more but someone else."""
    soon = timezone.now() + dt.timedelta(hours=1)
    Message.objects.filter(pk=message.pk).update(**fitting(status="held", hold_kind="hold", held_until=soon))
    act(bens_browser, message, "hand-over")
    message.handed_to.delete()
    housekeeping.sweep(soon + dt.timedelta(hours=1))
    message.refresh_from_db()
    assert standing(message)[0] == "held"
    act(office, message, "release")
    assert standing(message)[0] == "queued"


@pytest.mark.parametrize("status", ["unknown", "sending", "sent", "cancelled"])
def test_no_other_state_is_handed_over(office, message, status):
    Message.objects.update(**fitting(status=status))
    assert "Open in my mail program" not in page_of(office, message)
    assert "The message is now" in act(office, message, "hand-over")
    assert (message.status, message.handed_to) == (status, None)
    assert draft(office, message).status_code == 404


@pytest.mark.parametrize("status", ["accepted", "unknown"])
def test_what_somebody_has_already_is_not_handed_over(office, status):
    message = make_message("c@example.com", "d@example.com", due=False)
    message.recipients.filter(address="c@example.com").update(status=status)
    assert "Open in my mail program" not in page_of(office, message)
    assert "Some recipients have this message already" in act(office, message, "hand-over")
    assert message.status == "queued"


def test_message_that_names_nobody_is_not_handed_over(office):
    message = make_message(recipients=[], due=False, raw=b"From: a@example.com\r\nSubject: x\r\n\r\nText\r\n")
    assert "Open in my mail program" not in page_of(office, message)
    assert "has no recipients" in act(office, message, "hand-over")
    assert message.status == "failed"


def test_message_in_a_running_batch_is_not_handed_over(office, operator, message, company):
    EmailSettings.objects.update(send_type=2, host="127.0.0.1", port=9)
    batch = batches.choose(Message.objects.all(), by=operator, account=operator)
    batches.confirm(batch, by=operator)
    EmailSettings.objects.update(send_type=1)
    assert "Open in my mail program" not in page_of(office, message)
    assert f"being processed in batch {batch.pk}" in act(office, message, "hand-over")
    batches.cancel(batch, by=operator)
    act(office, message, "hand-over")
    assert message.status == "held"


def test_under_smtp_nothing_is_handed_over(office, message):
    EmailSettings.objects.update(send_type=2, host="127.0.0.1")
    assert "Open in my mail program" not in page_of(office, message)
    assert "Your email settings send over SMTP" in act(office, message, "hand-over")
    assert message.status == "queued"


@pytest.mark.parametrize("action", ["hand-over", "sent-from-mail-program", "put-back"])
def test_actions_want_a_post_with_a_token_and_a_message(office, operator, message, action):
    assert office.get(f"/messages/{message.pk}/{action}/").status_code == 405
    assert office.post(f"/messages/{10**9}/{action}/").status_code == 404
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    assert strict.post(f"/messages/{message.pk}/{action}/").status_code == 403
    assert Client().post(f"/messages/{message.pk}/{action}/").url.startswith("/accounts/login/")
    message.refresh_from_db()
    assert message.status == "queued"


def test_draft_of_nothing(office, client, message):
    assert draft(office, message).status_code == 404
    assert office.get(f"/messages/{10**30}/draft/").status_code == 404
    assert office.post(f"/messages/{message.pk}/draft/").status_code == 405
    assert Client().get(f"/messages/{message.pk}/draft/").url.startswith("/accounts/login/")


# --- What is refused, before anything starts ---------------------------------------------------------

WRONG_SETUPS = [
    ({"send_type": 0}, WHAT_TO_CHANGE),
    ({"send_type": 2, "host": ""}, "No SMTP server is set. Enter one in Email Setup."),
    ({"send_type": 3, "host": "127.0.0.1"}, "not set in Email Setup"),
    ({"send_type": 3, "host": "127.0.0.1", "user": "u", "password": "gAAAAlost"}, "Enter it again in Email Setup"),
]


@pytest.mark.parametrize(("values", "words"), WRONG_SETUPS, ids=["MAPI", "no server", "no user", "lost key"])
@pytest.mark.parametrize(("action", "status"), [("retry", "failed"), ("send-again", "unknown"), ("try-now", "queued")])
def test_nobodys_click_pauses_an_account(office, operator, message, woken, action, status, values, words):
    values = {{"user": "username", "password": "password_encrypted"}.get(name, name): v for name, v in values.items()}
    EmailSettings.objects.update(**values)
    tomorrow = timezone.now() + dt.timedelta(days=1) if status == "queued" else None
    message.recipients.update(status="pending" if status == "queued" else status)
    Message.objects.update(**fitting(status=status, not_before=tomorrow, tries=1))
    page = act(office, message, action)
    assert words in page
    assert (INSTEAD in page) == (values["send_type"] == 0 and status != "unknown")
    assert (message.status, message.not_before, message.tries) == (status, tomorrow, 1)
    assert message.events.count() == 1
    assert woken == []
    assert not AccountPause.objects.exists()


@pytest.mark.parametrize("send_type", [0, 1])
@pytest.mark.parametrize(("action", "status"), [("Retry", "failed"), ("Send again", "unknown"), ("Try now", "queued")])
def test_what_mapi_cannot_send_is_not_offered_and_the_page_says_why(office, message, action, status, send_type):
    """Someone has it already, so it cannot be opened in a mail program either."""
    tomorrow = timezone.now() + dt.timedelta(days=1) if status == "queued" else None
    message.recipients.update(status="pending" if status == "queued" else status)
    Recipient.objects.create(message=message, address="d@example.com", status="accepted")
    Message.objects.update(**fitting(status=status, not_before=tomorrow, tries=1))
    button = re.compile(rf"<(button|summary)[^>]*>[^<]*(<svg.*?</svg>)?\s*{action}", re.DOTALL)
    EmailSettings.objects.update(send_type=2, host="127.0.0.1", port=25)
    page = page_of(office, message)
    assert button.search(page)
    assert "Cannot be sent now" not in page
    EmailSettings.objects.update(send_type=send_type)
    page = page_of(office, message)
    assert not button.search(page)
    assert "Cannot be sent now: The send type is" in page
    assert "Choose send type 2 or 3" in page


def test_bulk_is_refused_before_it_starts(office, message, woken):
    batch = office.post("/batches/new/", {"message": [message.pk]}).url
    page = office.get(batch).content.decode()
    assert WHAT_TO_CHANGE in page
    assert "Confirm: send" not in page
    assert WHAT_TO_CHANGE in office.post(f"{batch}confirm/", follow=True).content.decode()
    with pytest.raises(CommandError, match="cannot send in bulk"):
        call_command("process_queue", account="anna")
    later = timezone.now() + dt.timedelta(minutes=1)
    Schedule.objects.create(name="x", kind="every", minutes=1, time_zone="UTC", since=timezone.now())
    assert [WHAT_TO_CHANGE in in_words(run.remarks) for run in schedules.run_due(later)] == [True]
    message.refresh_from_db()
    assert (message.status, message.batch, message.not_before) == ("queued", None, None)
    assert [found.status for found in Batch.objects.all()] == ["draft"]
    assert woken == []
    assert not AccountPause.objects.exists()


def test_due_messages_of_an_account_that_became_mapi_wait_with_their_tries_unspent(operator, mail_server):
    messages = [make_message(f"c{number}@example.com") for number in range(3)]
    run_lane()
    for message in messages:
        message.refresh_from_db()
        assert (message.status, message.tries) == ("queued", 0)
    assert WHAT_TO_CHANGE in in_words(AccountPause.objects.get().reason)
    set_up(mail_server)
    run_lane(clock=lambda: timezone.now() + dt.timedelta(hours=1))
    assert len(mail_server.received) == 3
    assert not AccountPause.objects.exists()
