"""A message is written in the console: sent, refused, queued, timed, opened in a mail program; and once only."""

import datetime as dt
import re
import threading
import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from messaging import housekeeping
from messaging.company import options
from messaging.models import EmailSettings, FormSubmission, Message, Recipient, Upload
from messaging.wording import in_words
from tests.factories import make_message, make_user, set_up
from tests.letter_form import promised, sent_by_browser
from tests.pages import filled, source, words
from tests.rows import parsed, received
from tests.steps import in_threads, run_lane

pytestmark = pytest.mark.usefixtures("email_setup")

URL = "/messages/new/"
REFUSED = "550 5.1.1 no such mailbox here"


def form(do="send", **values):
    values = {
        "sender": "Anna <anna@office.example>",
        "to": "b@example.com",
        "subject": "Your invoice",
        "text": "Dear customer,\n\nsee https://example.com/pay\n",
        "key": uuid.uuid4().hex,
        "promised": "send:at-once",
        "do": do,
    } | values
    return {name: value for name, value in values.items() if value is not None}


def send(client, do="send", **values):
    return client.post(URL, form(do, **promised(client) | values))


def kept_keys(response):
    return re.findall(r'name="kept" value="([^"]+)"', response.content.decode())


def arrived(server, number=0):
    return parsed(server.received[number].content)


# --- What is sent --------------------------------------------------------------------------------------


def test_real_message_with_attachments_arrives(office, recording, mail_server):
    files = [
        SimpleUploadedFile("Rechnung März.pdf", b"%PDF-1.4 x", "application/pdf"),
        SimpleUploadedFile("empty.txt", b"", "text/plain"),
        SimpleUploadedFile("letter.eml", b"Subject: x\n\ny", "message/rfc822"),
    ]
    response = send(
        office,
        to="Berg, Bo <b@example.com>; Åsa <c@example.com>",
        cc="d@example.com",
        bcc="e@example.com",
        files=files,
    )
    assert response.status_code == 302, source(response)
    message = Message.objects.get()
    assert response.url == f"/messages/{message.pk}/"
    assert message.status == "sent" and message.author.username == "anna"
    assert "Sent: the mail server accepted it for 4 recipients." in source(office.get(response.url))
    [taken] = mail_server.received
    assert taken.mail_from == "anna@office.example"
    assert taken.recipients == ["b@example.com", "c@example.com", "d@example.com", "e@example.com"]
    mail = arrived(mail_server)
    assert mail["From"] == "Anna <anna@office.example>"
    assert mail["To"] == '"Berg, Bo" <b@example.com>, Åsa <c@example.com>'
    assert mail["Cc"] == "d@example.com" and mail["Bcc"] is None
    assert b"e@example.com" not in taken.content, "a blind copy stays blind"
    assert mail.get_body(("plain",)).get_content().startswith("Dear customer,\r\n\r\nsee")
    assert '<a href="https://example.com/pay"' in mail.get_body(("html",)).get_content()
    contents = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}
    assert contents == {"Rechnung März.pdf": b"%PDF-1.4 x", "empty.txt": b"", "letter.eml": b"Subject: x\n\ny"}


TEXT_FILES = [
    ("liste.txt", "text/plain", "Grüße aus Köln €\r\n".encode(), "utf-8"),
    ("liste.csv", "text/csv", "Grüße;5 €\r\n".encode(), "utf-8"),
    ("page.html", "text/html", "\ufeff<p>Grüße".encode(), "utf-8"),
    ("plain.txt", "text/plain", b"Hello\r\n", None),
    ("old.txt", "text/plain", b"Gr\xfc\xdfe", None),
    ("data.bin", "application/octet-stream", "Grüße".encode(), None),
]


@pytest.mark.parametrize("is_edited", [False, True], ids=["written", "edited"])
def test_text_file_that_is_utf_8_says_so(office, recording, mail_server, is_edited):
    """Without a character set it would be ASCII, and a mail program need not guess."""
    files = [SimpleUploadedFile(name, data, kind) for name, kind, data, _ in TEXT_FILES]
    if is_edited:
        message = make_message("b@example.com", due=False)
        url = f"/messages/{message.pk}/edit/"
        assert office.post(url, filled(office, url, within="subject") | {"files": files}).status_code == 302
        mail = received(message)
    else:
        send(office, files=files)
        mail = arrived(mail_server)
    found = [
        (part.get_filename(), part.get_content_type(), part.get_payload(decode=True), part.get_content_charset())
        for part in mail.iter_attachments()
    ]
    assert found == TEXT_FILES


def test_html_made_of_the_text_says_the_same_and_runs_nothing(office, recording, mail_server):
    send(office, text="<script>alert(1)</script> & more\r\nnext line\r\n\r\njavascript:alert(1) www.example.com")
    html = arrived(mail_server).get_body(("html",)).get_content()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more<br>" in html
    assert html.count("<p>") == 2 and 'href="javascript' not in html and "www.example.com</a>" in html


def test_links_of_the_html_version_open_what_was_typed(office, recording, mail_server):
    typed = "https://pay.example/invoices%2F7?id=7&currency=EUR&amount=50"
    send(office, text=f"Pay here: {typed}.")
    body = arrived(mail_server).get_body(("html",)).get_content()
    assert f'<a href="{escape(typed)}">{escape(typed)}</a>.' in body


def test_from_is_what_the_account_may_use(office, operator, mail_server):
    set_up(mail_server, from_address="office@brightwater.example")
    options.save({"company_name": "Brightwater"}, by=None)
    offered = source(office.get(URL))
    for choice in (
        "Brightwater &lt;office@brightwater.example&gt;",
        "Anna &lt;office@brightwater.example&gt;",
        "Anna &lt;anna@office.example&gt;",
    ):
        assert f">{choice}</option>" in offered
    response = send(office, sender="Boss <boss@elsewhere.example>")
    assert response.status_code == 422 and "You may not send from this address" in source(response)
    send(office, sender="Brightwater <office@brightwater.example>")
    assert arrived(mail_server)["From"] == "Brightwater <office@brightwater.example>"
    assert mail_server.received[0].mail_from == "office@brightwater.example"


def test_who_has_no_address_is_told_whom_to_ask(client, email_setup):
    client.force_login(make_user("noaddress"))
    assert "You have no address to send from." in source(client.get(URL))
    assert send(client, sender=None).status_code == 422


def test_viewers_write_nothing(client, db):
    client.force_login(make_user("viewer", role="Viewer"))
    assert client.get(URL).status_code == 403 and send(client).status_code == 403
    assert client.get(URL + "addresses/?q=ex").status_code == 403
    assert URL not in source(client.get("/messages/"))


def test_ways_to_it(office):
    assert source(office.get("/messages/")).count(f'href="{URL}"') == 3, "both menus and the button on the list"


# --- Which ways it may go ------------------------------------------------------------------------------


def buttons(client):
    return re.findall(r'name="do" value="(\w+)"', source(client.get(URL)))


def test_company_that_holds_nothing_sends_now(office, mail_server):
    assert buttons(office) == ["send", "queue", "at"]
    response = send(office)
    assert not Message.objects.exists(), "nothing is recorded"
    assert "Sent: the mail server accepted it for b@example.com." in source(office.get(response.url))
    assert len(mail_server.received) == 1


def test_company_that_holds_mail_sends_nothing_now(office, holding, mail_server):
    assert buttons(office) == ["queue", "at"]
    for do in ("send", "open", ""):
        assert send(office, do).status_code == 409 and not Message.objects.exists()
    response = send(office, "queue")
    assert "Waits in the queue for Batch Message Processing." in source(office.get(response.url))
    assert {(each.status, each.not_before) for each in Message.objects.all()} == {("queued", None)}
    assert not mail_server.received


def test_queued_while_nothing_is_held_goes_by_itself(
    office, operator, mail_server, woken, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        send(office, "queue")
    assert woken == [operator.pk] and not mail_server.received
    run_lane(operator.pk)
    assert Message.objects.get().status == "sent" and len(mail_server.received) == 1


@pytest.mark.parametrize("zone, hour", [("Europe/Stockholm", 6), ("", 7)])
def test_time_is_the_companys(office, operator, zone, hour, mail_server, clock):
    clock.now = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
    options.save({"time_zone": zone} if zone else {"company_name": "x"}, by=None)
    assert send(office, "at", at="2026-07-02T08:00" if zone else "2026-07-02T07:00").status_code == 302
    assert Message.objects.get().not_before == dt.datetime(2026, 7, 2, hour, tzinfo=dt.UTC)
    run_lane(operator.pk, clock=clock)
    assert not mail_server.received
    clock.goes_on(days=2)
    run_lane(operator.pk, clock=clock)
    assert len(mail_server.received) == 1


def test_time_is_kept_although_the_company_holds_mail(office, operator, holding, mail_server, clock):
    send(office, "at", at=(clock.now + dt.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M"))
    assert Message.objects.get().not_before > clock.now
    run_lane(operator.pk, clock=clock)
    assert not mail_server.received
    clock.goes_on(hours=2)
    run_lane(operator.pk, clock=clock)
    assert len(mail_server.received) == 1


@pytest.mark.parametrize("at, words", [
    ("", "Enter the date and time"), ("2020-01-01T00:00", "must be in the future"), ("soon", "could not be read"),
])  # fmt: skip
def test_time_that_cannot_be(office, at, words):
    response = send(office, "at", at=at)
    assert response.status_code == 422 and words in source(response) and not Message.objects.exists()


def test_settings_that_cannot_send_cannot_send_at_a_time(office, email_setup):
    EmailSettings.objects.update(host="")
    assert buttons(office) == ["send", "queue"]
    assert "It cannot be sent at a set time: No SMTP server is set." in source(office.get(URL))
    response = send(office, "at", at="2090-01-01T00:00")
    assert response.status_code == 409 and not Message.objects.exists()


def test_mapi_opens_in_the_persons_mail_program(office, operator):
    EmailSettings.objects.create(account=operator, send_type=1)
    assert buttons(office) == ["open", "queue"]
    assert "only your mail program sends for you" in source(office.get(URL))
    response = send(office, "open", bcc="secret@example.com")
    message = Message.objects.get()
    assert message.status == "held" and message.handed_to == operator
    draft = office.get(f"{response.url}draft/")
    made = parsed(b"".join(draft.streaming_content))
    assert made["X-Unsent"] == "1" and made["Bcc"] == "secret@example.com"
    response = send(office, "at", at="2090-01-01T00:00")
    assert response.status_code == 409 and "only your mail program sends for you" in source(response)


# --- Refusals ------------------------------------------------------------------------------------------


def test_refusal_is_shown_in_plain_words_and_keeps_everything(office, mail_server):
    mail_server.replies["b@example.com"] = REFUSED
    response = send(office, text="Long letter", files=[SimpleUploadedFile("plan.pdf", b"%PDF", "application/pdf")])
    shown = source(response)
    assert response.status_code == 422 and not Message.objects.exists()
    assert "It was not sent." in shown and REFUSED in shown and "<summary>Server’s words</summary>" in shown
    assert "Long letter</textarea>" in shown and 'value="Your invoice"' in shown and "plan.pdf" in shown
    assert "Put in the queue instead" not in shown, "the queue cannot help"
    mail_server.replies.clear()
    assert send(office, kept=kept_keys(response)).status_code == 302
    assert [part.get_filename() for part in arrived(mail_server).iter_attachments()] == ["plan.pdf"]


def test_queue_is_offered_where_it_can_help(office, operator, mail_server):
    mail_server.replies["END"] = ["451 4.3.0 busy, come back later"]
    response = send(office)
    assert response.status_code == 422 and "Put in the queue instead" in source(response)
    assert send(office, "instead").status_code == 302
    run_lane(operator.pk)
    assert Message.objects.get().status == "sent" and len(mail_server.received) == 1


def test_recorded_refusal_is_linked(office, recording, mail_server):
    mail_server.replies["b@example.com"] = REFUSED
    response = send(office)
    message = Message.objects.get()
    assert message.status == "failed" and response.status_code == 422
    assert f'href="/messages/{message.pk}/"' in source(response)


def earlier(response):
    found = re.search(r'name="earlier" value="(\d+)"', source(response))
    return found[1] if found else ""


def test_what_is_queued_instead_takes_the_place_of_the_refused_one(office, operator, recording, mail_server):
    mail_server.replies["END"] = ["451 4.3.0 busy, come back later"]
    response = send(office)
    refused = Message.objects.get()
    assert send(office, "instead", earlier=earlier(response)).status_code == 302
    refused.refresh_from_db()
    assert (refused.status, in_words(refused.reason)) == ("cancelled", "Written again: another message takes its place")
    office.post(f"/messages/{refused.pk}/retry/")
    run_lane(operator.pk)
    assert len(mail_server.received) == 1, "once, and the refused one may be retried by anyone"


def test_what_somebody_retried_meanwhile_is_not_sent_beside_it(office, operator, recording, mail_server):
    mail_server.replies["END"] = ["451 4.3.0 busy, come back later"]
    response = send(office)
    refused = Message.objects.get()
    office.post(f"/messages/{refused.pk}/retry/")
    again = send(office, earlier=earlier(response), text="Long letter")
    assert again.status_code == 422 and "Long letter</textarea>" in source(again)
    assert "is now “Queued”" in source(again)
    assert Message.objects.count() == 1


@pytest.fixture
def retried_in_part(office, bens_browser, ben, recording, mail_server):
    """The form of what was refused; since then Ben's retry of it has reached one of the two it names."""
    mail_server.replies |= {"b@example.com": REFUSED, "c@example.com": REFUSED}
    response = send(office, to="b@example.com, c@example.com")
    mail_server.replies.pop("b@example.com")
    bens_browser.post(f"/messages/{Message.objects.get().pk}/retry/")
    run_lane(ben.pk)
    assert Message.objects.get().status == "failed"
    assert [content.recipients for content in mail_server.received] == [["b@example.com"]]
    return response


def once_more(browser, page, do="send", **values):
    return browser.post(URL, form(**sent_by_browser(page) | {"do": do} | values))


@pytest.mark.parametrize("do", ["send", "queue"])
def test_form_of_a_refused_message_sends_to_nobody_who_has_had_it_since(
    do, office, bens_browser, ben, retried_in_part, mail_server
):
    again = once_more(office, retried_in_part, do)
    assert again.status_code == 422
    assert "It has been tried again since you opened this page. Look at it and choose again." in words(again)
    assert f'href="/messages/{Message.objects.get().pk}/"' in source(again)
    again = once_more(office, again, do)
    assert again.status_code == 422
    assert "It has gone to b@example.com already. Send it to the others only." in words(again)
    assert Message.objects.get().status == "failed" and len(mail_server.received) == 1
    mail_server.replies.clear()
    assert once_more(office, again, do, to="c@example.com").status_code == 302
    assert sorted(Message.objects.values_list("status", flat=True)) in (["cancelled", "queued"], ["cancelled", "sent"])


def test_form_of_a_refused_message_that_does_not_say_what_it_showed_sends_nothing_twice(office, retried_in_part):
    again = once_more(office, retried_in_part, shown="")
    assert "It has gone to b@example.com already." in words(again)
    assert Message.objects.count() == 1


def test_form_of_a_refused_message_opens_no_draft_beside_one_that_was_retried(office, operator, retried_in_part):
    EmailSettings.objects.create(account=operator, send_type=1)
    again = once_more(office, retried_in_part, "open")  # which its page did not offer
    assert "tried again since" in words(once_more(office, again, "open"))
    assert Message.objects.count() == 1


def test_refused_one_stays_as_it_was_when_the_next_is_none(office, recording, mail_server):
    mail_server.replies["b@example.com"] = REFUSED
    response = send(office)
    refused = Message.objects.get()
    send(office, earlier=earlier(response), to="b@example.com, \N{SNOWMAN}@@")
    refused.refresh_from_db()
    assert refused.status == "failed"


def test_partly_accepted_unrecorded_leaves_the_refused_in_the_form(office, mail_server):
    mail_server.replies["c@example.com"] = REFUSED
    shown = source(send(office, to="b@example.com, Cee <c@example.com>", cc="d@example.com"))
    assert "It was sent to some recipients only." in shown and "Accepted for b@example.com, d@example.com." in shown
    assert 'value="Cee &lt;c@example.com&gt;"' in shown and 'value="d@example.com"' not in shown
    assert REFUSED in shown


def test_partly_accepted_recorded_is_told_by_its_page(office, recording, mail_server):
    mail_server.replies["c@example.com"] = REFUSED
    response = send(office, to="b@example.com, c@example.com")
    assert response.status_code == 302
    shown = source(office.get(response.url))
    said = "Sent to some recipients only: the mail server accepted it for b@example.com, and refused c@example.com."
    assert said in shown


def test_unknown_outcome_is_on_its_page_and_not_offered_again(office, mail_server):
    mail_server.replies["END"] = "CLOSE"
    response = send(office)
    message = Message.objects.get()
    assert message.status == "unknown" and response.url == f"/messages/{message.pk}/"
    assert "It is not known whether it arrived." in source(office.get(response.url))


# --- Once ----------------------------------------------------------------------------------------------


def test_same_form_again_sends_nothing_and_shows_what_became_of_it(office, mail_server):
    given = form()
    first = office.post(URL, given)
    again = office.post(URL, given)
    assert again.url == first.url and len(mail_server.received) == 1
    assert "Sent: the mail server accepted it" in source(office.get(again.url))


def test_same_form_again_leads_to_its_message(office, recording, mail_server):
    given = form()
    first = office.post(URL, given)
    again = office.post(URL, given)
    assert again.url == first.url and len(mail_server.received) == 1
    assert "You had already sent this form, and it was not sent again." in source(office.get(again.url))


def test_refused_form_loaded_again_sends_nothing_and_keeps_the_text(office, mail_server):
    mail_server.replies["b@example.com"] = [REFUSED]
    given = form(text="Long letter")
    office.post(URL, given)
    again = office.post(URL, given)
    assert again.status_code == 409 and "so nothing was done now. Not sent:" in source(again)
    assert "Long letter</textarea>" in source(again) and not mail_server.received
    key = re.search(r'name="key" value="(\w+)"', source(again))[1]
    assert office.post(URL, given | {"key": key}).status_code == 302, "its new form can be sent"


def test_error_of_this_server_is_not_sent_again_blindly(office, mail_server, monkeypatch):
    monkeypatch.setattr("messaging.submit.submit", lambda *_, **__: 1 / 0)
    given = form()
    with pytest.raises(ZeroDivisionError):
        office.post(URL, given)
    monkeypatch.undo()
    again = office.post(URL, given)
    assert "It is not known whether it was sent" in source(office.get(again.url)) and not mail_server.received


def test_what_the_gate_refuses_can_be_sent_again_from_the_same_form(office, mail_server, settings):
    settings.MAX_MESSAGE_BYTES = 1000
    given = form(text="x" * 2000)
    response = office.post(URL, given)
    assert response.status_code == 422 and "The message is too large" in source(response)
    assert office.post(URL, given | {"text": "short"}).status_code == 302 and len(mail_server.received) == 1


def test_form_of_somebody_else_is_not_told(office, mail_server):
    given = form()
    other = Client()
    other.force_login(make_user("bert", "bert@office.example"))
    url = office.post(URL, given).url
    assert other.get(url).status_code == 404
    assert other.post(URL, given | {"sender": "bert <bert@office.example>"}).status_code == 409
    assert len(mail_server.received) == 1


@pytest.mark.django_db(transaction=True)
def test_second_click_while_the_first_is_being_sent(operator, email_setup, mail_server):
    at_end, go_on, answers = threading.Event(), threading.Event(), []
    mail_server.at_end = lambda message: (at_end.set(), go_on.wait(20))
    given = form()

    def click():
        client = Client()
        client.force_login(operator)
        answers.append(client.post(URL, given))
        connections.close_all()

    first = threading.Thread(target=click)
    first.start()
    assert at_end.wait(20)
    second = threading.Thread(target=click)
    second.start()
    second.join(20)
    [answer] = answers
    client = Client()
    client.force_login(operator)
    assert "It is being sent." in source(client.get(answer.url))
    go_on.set()
    first.join(20)
    assert "Sent: the mail server accepted it for b@example.com." in source(client.get(answer.url))
    assert len(mail_server.received) == 1


# --- What is typed wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("values, field, words", [
    ({"to": "nobody"}, "to", "is not"),
    ({"to": "b@example.com\r\nBcc: evil@example.com"}, "to", "line break"),
    ({"to": '"x\r\nBcc: evil@example.com" <b@example.com>'}, "to", "line break"),
    ({"cc": "b@@example.com"}, "cc", "is not"),
    ({"to": ""}, "to", "No recipients. Enter an email address."),
    ({"subject": "x\r\nBcc: evil@example.com"}, "subject", "line break"),
    ({"subject": "x" * 10_000}, "subject", "10,000 characters"),
    ({"to": ", ".join(f"b{n}@example.com" for n in range(1001))}, "to", "1001 recipients"),
    ({"to": ", ".join(f"b{n}@example.com" for n in range(600)),
      "cc": ", ".join(f"c{n}@example.com" for n in range(600))}, "to", "1200 recipients"),
    ({"text": "a\0b"}, "text", "Null characters"),
])  # fmt: skip
def test_fault_is_told_beside_its_field_and_nothing_is_lost(office, mail_server, values, field, words):
    file = SimpleUploadedFile("kept.txt", b"kept", "text/plain")
    response = send(office, **({"text": "Long letter"} | values), files=[file])
    assert response.status_code == 422
    beside = re.search(
        rf'<div id="div_id_{field}".*?</div>\s*(?:<div id="div_id|<section|</div>)', response.content.decode(), re.S
    )
    assert words in beside[0]
    assert "kept.txt" in source(response) and len(kept_keys(response)) == 1
    assert "text" in values or "Long letter</textarea>" in source(response)
    assert not mail_server.handed_over and not FormSubmission.objects.exists()


def test_a_thousand_recipients_are_possible(office, holding):
    assert send(office, "queue", to=", ".join(f"Kunde {n} <b{n}@example.com>" for n in range(1000))).status_code == 302
    assert Message.objects.get().recipient_count == 1000


def test_empty_subject_is_asked_about_once(office, mail_server):
    response = send(office, subject="")
    assert response.status_code == 422 and "It has no subject. Send it without one?" in source(response)
    assert send(office, subject="", no_subject="on").status_code == 302
    assert arrived(mail_server)["Subject"] is None


@pytest.mark.parametrize("name, arrives", [
    ("a\u202efdp.exe", "afdp.exe"), ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
    ("C:\\x\\o;te.txt", "o;te.txt"), ("Ü ü.txt", "Ü ü.txt"),
])  # fmt: skip
def test_odd_file_names(office, mail_server, name, arrives):
    send(office, files=[SimpleUploadedFile(name, b"x", "nonsense\r\nX: y")])
    [part] = arrived(mail_server).iter_attachments()
    assert part.get_filename() == arrives and part.get_payload(decode=True) == b"x"


def test_too_large_is_told_before_anything_is_read_or_sent(office, settings, mail_server):
    settings.MAX_MESSAGE_BYTES = 10_000
    files = [SimpleUploadedFile("big.bin", b"x" * 9000), SimpleUploadedFile("small.txt", b"x")]
    response = send(office, files=files)
    shown = source(response)
    assert response.status_code == 422 and "“big.bin” is too large (8.8" in shown and "may be at most 7.1" in shown
    assert "small.txt" in shown and len(kept_keys(response)) == 1 and not mail_server.handed_over


# --- Kept attachments ----------------------------------------------------------------------------------


def test_kept_attachments_are_the_persons_own_and_forgotten_after_a_day(office, mail_server, operator):
    keys = kept_keys(send(office, to="", files=[SimpleUploadedFile("plan.pdf", b"%PDF")]))
    other = Client()
    other.force_login(make_user("bert", "bert@office.example"))
    response = send(other, sender="bert <bert@office.example>", kept=keys)
    assert response.status_code == 422 and "no longer kept" in source(response) and "plan.pdf" not in source(response)
    housekeeping.tidy(timezone.now() + dt.timedelta(hours=23))
    assert Upload.objects.exists()
    housekeeping.tidy(timezone.now() + dt.timedelta(hours=25))
    assert not Upload.objects.exists()
    office.force_login(operator)  # a day is longer than a session
    response = send(office, kept=[*keys, "nonsense"])
    assert response.status_code == 422 and "Pick it again." in source(response) and not mail_server.received


def test_keys_of_forms_are_forgotten_after_the_longest_session(office, mail_server):
    send(office)
    housekeeping.tidy(timezone.now() + dt.timedelta(days=13, hours=23))
    assert FormSubmission.objects.exists()
    housekeeping.tidy(timezone.now() + dt.timedelta(days=14, hours=1))
    assert not FormSubmission.objects.exists()


# --- Completion ----------------------------------------------------------------------------------------


def found(client, q):
    return [(each["name"], each["address"]) for each in client.get(URL + "addresses/", {"q": q}).json()["found"]]


def test_completion_knows_past_recipients_newest_first(office, operator):
    for n in range(12):
        make_message(f"Kunde {n} <k{n}@shop.example>", recipients=[f"k{n}@shop.example"])
    make_message("k3@shop.example")
    answer = found(office, "SHOP")
    assert len(answer) == 10
    assert answer[:3] == [
        ("Kunde 3", "k3@shop.example"),
        ("Kunde 11", "k11@shop.example"),
        ("Kunde 10", "k10@shop.example"),
    ]
    assert found(office, "kunde 7") == [("Kunde 7", "k7@shop.example")]
    assert found(office, "k") == [] and found(office, "nobody\0") == []


def test_completion_tells_only_of_messages_that_the_person_may_see(office, operator):
    make_message("theirs@shop.example")
    make_message("mine@shop.example", author=operator)
    assert len(found(office, "shop")) == 2
    options.save({"operators_see_all": False}, by=None)
    assert found(office, "shop") == [("", "mine@shop.example")]


def test_completion_stays_quick_when_the_table_is_full(office, django_assert_max_num_queries):
    message = make_message("a@example.com")
    Recipient.objects.bulk_create(Recipient(message=message, address=f"r{n}@many.example") for n in range(500))
    with django_assert_max_num_queries(8):
        assert len(found(office, "many.example")) == 10


def megabyte(name, megabytes=1):
    return SimpleUploadedFile(name, b"x" * (megabytes * 1_000_000))


def test_attachments_that_are_too_large_together_are_not_kept(office, mail_server, settings):
    settings.MAX_MESSAGE_BYTES = 10_000_000
    page = send(office, "send", to="", files=[megabyte("a.bin", 4), megabyte("b.bin", 4)])
    assert page.status_code == 422
    assert "MB together" in source(page)
    assert "What you picked last is not attached" in source(page)
    assert not Upload.objects.exists()
    assert not kept_keys(page)


def test_forms_that_are_not_sent_keep_some_attachments_and_no_more(office, operator, mail_server, settings):
    settings.MAX_MESSAGE_BYTES = 10_000_000
    pages = [send(office, "send", to="", files=[megabyte(f"{number}.bin", 6)]) for number in range(7)]
    assert [len(kept_keys(page)) for page in pages] == [1, 1, 1, 1, 1, 1, 0]
    assert "in forms that were not sent" in source(pages[-1])
    assert Upload.objects.filter(by=operator).count() == 6
    Upload.objects.update(at=timezone.now() - dt.timedelta(days=2))
    housekeeping.tidy(timezone.now())
    assert kept_keys(send(office, "send", to="", files=[megabyte("later.bin", 6)]))


@pytest.mark.postgresql
@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_many_forms_at_one_moment_keep_no_more_attachments_than_one_after_the_other(operator, settings):
    settings.MAX_MESSAGE_BYTES = 1_000_000

    def refuse():
        browser = Client()
        browser.force_login(operator)
        send(browser, "send", to="", files=[SimpleUploadedFile("a.bin", b"x" * 600_000)])

    assert in_threads(12, refuse) == []
    assert Upload.objects.filter(by=operator).count() == 6


@pytest.mark.parametrize("name", ["to", "cc", "bcc"])
def test_more_text_than_all_recipients_may_have_is_not_read(office, mail_server, settings, name):
    settings.MAX_RECIPIENTS = 3
    page = send(office, "send", **{"to": "b@example.com", name: "a," * 500})
    assert page.status_code == 422
    assert "has 1,000 characters, and at most 900 are allowed" in source(page)
    page = send(office, "queue", **{"to": "b@example.com", name: f"{'x' * 290} <b@example.com>" + " " * 1000})
    assert page.status_code == 302
