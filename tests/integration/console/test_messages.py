"""The message list and the page of a message (S5 and S6), through Django's test client."""

import re
from datetime import timedelta
from email.message import EmailMessage

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.views.defaults import server_error

from messaging.access import roles
from messaging.console.templatetags.outtray import counted
from messaging.models import AccountPause, Heartbeat, Message, Phrase, SendAttempt
from messaging.wording import in_words
from tests.factories import make_message, put, said
from tests.pages import act, source
from tests.sizes import matrix

pytestmark = pytest.mark.django_db


def subjects(response):
    return [message.subject for message in response.context["page"].rows]


@pytest.fixture
def queue(operator):
    """One message per status, and a second queued one by someone else."""
    made = {status: make_message("c@example.com", subject=f"This is {status}", due=False) for status in Message.Status}
    for status, message in made.items():
        put(message, status=status, author=operator)
    put(made["failed"], reason=said("The mailbox does not exist."), reason_category="address")
    return made


def test_everything_but_health_asks_to_sign_in(client):
    for path in ("/", "/messages/", "/messages/1/", "/batches/", "/batches/new/", "/setup/email/", "/setup/schedules/"):
        response = client.get(path, follow=True)
        assert response.redirect_chain[-1][0].startswith("/accounts/login/"), path
        assert response.status_code == 200


def test_signing_in_leads_to_the_queue_and_out_again(client, operator):
    response = client.post("/accounts/login/", {"username": "anna", "password": "pw"}, follow=True)
    assert response.request["PATH_INFO"] == "/messages/"
    assert "Anna" in response.content.decode()
    assert client.get("/accounts/logout/").status_code == 405
    assert client.post("/accounts/logout/").url == "/accounts/login/"
    assert client.get("/messages/").status_code == 302


def test_wrong_password_is_told_in_words(client, operator):
    response = client.post("/accounts/login/", {"username": "anna", "password": "no"})
    assert response.status_code == 200
    assert "correct username and password" in response.content.decode()


def test_expired_session_reloads_the_page_instead_of_swapping_in_a_sign_in_form(client):
    response = client.get("/messages/", headers={"hx-request": "true"})
    assert (response.headers["HX-Refresh"], response.content) == ("true", b"")


def test_home_leads_to_the_queue(office):
    assert office.get("/").url == "/messages/"


def test_menu_has_the_words_of_the_seed(office, operator):
    roles.give(operator, roles.ADMIN)
    page = office.get("/messages/").content.decode()
    for words in ("Administration", "Email Notifications", "Messaging", "Defaults", "Email Setup", "Batching",
                  "Office Management", "Batch Message Processing", "Schedules"):  # fmt: skip
        assert words in page


def test_list_shows_queued_by_default_and_counts_every_status(office, queue):
    response = office.get("/messages/")
    assert subjects(response) == ["This is queued"]
    counts = {status: number for status, _, number in response.context["counts"]}
    assert counts == dict.fromkeys(Message.Status.values, 1) | {"all": 7}


@pytest.mark.parametrize("status", [*Message.Status.values, "all"])
def test_each_status_filters(office, queue, status):
    response = office.get("/messages/", {"status": status})
    assert len(subjects(response)) == (7 if status == "all" else 1)
    assert response.context["page"].total == len(subjects(response))


@pytest.mark.slow
def test_filters_narrow_and_counts_follow(office, queue):
    put(queue["sent"], recipients_text="Margaret Holloway <mh@example.com>", created_at=timezone.now() - timedelta(9))

    def found(**query):
        return subjects(office.get("/messages/", {"status": "all"} | query))

    assert found(q="holloway margaret") == ["This is sent"]
    assert found(q="margaret nobody") == []
    assert found(reason="address") == ["This is failed"]
    assert found(sender="anna") == found(sender="office@brightwater") == found()
    assert found(sender="somebody else") == []
    week_ago = (timezone.localdate() - timedelta(7)).isoformat()
    assert found(date_to=week_ago) == ["This is sent"]
    assert len(found(date_from=week_ago)) == 6
    counts = office.get("/messages/", {"q": "margaret"}).context["counts"]
    assert {status: number for status, _, number in counts if number} == {"sent": 1, "all": 1}


SENSELESS = """
    status=<script>alert(1)</script>  status=  status=queued&status=sent  page=-1  page=abc  page=0  page=
    page=99999999999999999999999  date_from=0001-01-01  date_to=9999-12-31  date_from=banana  date_from=2026-02-30
    q=%00  q='"+OR+1=1+--  q=%25_%5C  q=%F0%9F%93%AC  reason=nonsense  batch=abc  batch=-1  batch=1e400  batch=1.5
    batch=99999999999999999999  batch=NaN  batch=Infinity  csrfmiddlewaretoken=1&unknown=2
""".split()  # noqa: SIM905
LONG = ["q=" + "x" * 10_000, "sender=" + "y" * 3000, "page=" + "9" * 5000]


@pytest.mark.parametrize(("path", "query"), matrix(["/messages/", "/batches/new/", "/batches/"], SENSELESS + LONG))
def test_senseless_values_never_fail_the_page(office, queue, path, query):
    response = office.get(f"{path}?{query}")
    assert response.status_code == 200
    assert "<script>alert" not in response.content.decode()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("q=" + "x" * 10_000, "at most 200 characters"),
        ("date_from=0001-01-01", "“Queued from” was left out"),
        ("status=nonsense", "“Status” was left out"),
    ],
)
def test_what_was_left_out_is_said(office, query, words):
    assert words in office.get(f"/messages/?{query}").content.decode()


@pytest.mark.slow
def test_pages_of_fifty_with_few_statements(office, operator):
    first = make_message("c@example.com", due=False)
    first.pk = None
    rows = [
        Message(**{f.attname: getattr(first, f.attname) for f in Message._meta.concrete_fields}) for _ in range(119)
    ]
    Message.objects.bulk_create(rows)
    with CaptureQueriesContext(connection) as statements:
        response = office.get("/messages/?page=2")
    assert len(statements) <= 8
    page = response.context["page"]
    assert (page.first, page.last, page.total, page.pages) == (51, 100, 120, 3)
    seen = [
        message.pk for number in (1, 2, 3) for message in office.get(f"/messages/?page={number}").context["page"].rows
    ]
    assert seen == sorted(Message.objects.values_list("pk", flat=True), reverse=True)
    assert office.get("/messages/?page=77").context["page"].number == 3


def test_list_statements_do_not_grow_with_authors_or_pauses(office, queue, operator):
    AccountPause.objects.create(account=operator, since=timezone.now(), until=timezone.now(), reason=said("x"))
    with CaptureQueriesContext(connection) as statements:
        office.get("/messages/?status=all")
    assert len(statements) <= 8


def test_htmx_gets_the_list_alone_and_a_clean_address(office, queue):
    response = office.get("/messages/?status=failed&q=&sender=", headers={"hx-request": "true"})
    page = response.content.decode()
    assert page.lstrip().startswith('<div id="list"')
    assert "<html" not in page
    assert response.headers["HX-Push-Url"] == "/messages/?status=failed"


def test_empty_states_say_what_to_do(office):
    assert "Nothing waits in the queue" in office.get("/messages/").content.decode()
    assert "No messages match this filter" in office.get("/messages/?status=all&q=zzz").content.decode()
    assert "No message is failed" in office.get("/messages/?status=failed").content.decode()
    assert "No message has come in yet" in office.get("/messages/?status=all").content.decode()


def test_subject_is_escaped_and_links_to_the_message_with_the_filter(office, queue):
    put(queue["queued"], subject="<img src=x onerror=alert(1)>")
    page = office.get("/messages/?q=img").content.decode()
    assert "<img src=x" not in page
    assert f'href="/messages/{queue["queued"].pk}/?q=img"' in page


# --- One message -------------------------------------------------------------------------------------


def test_page_shows_what_the_seed_asks_for(office, operator):
    message = make_message("bo@example.com", "fine@example.com", body="Hello,\nsee you on Monday.\n", due=False)
    put(message, status="failed", tries=1)
    put(message, reason=said("The mailbox does not exist."), reason_category="address", batch=None, author=operator)
    refused = message.recipients.get(address="bo@example.com")
    refused.status, refused.reply_code, refused.reply_text = "failed", 550, "5.1.1 User unknown"
    refused.save()
    message.recipients.filter(address="fine@example.com").update(status="accepted")
    SendAttempt.objects.create(
        message=message, fence=1, started_at=timezone.now(), finished_at=timezone.now() + timedelta(milliseconds=412),
        server="smtp.example.com:587", tls="TLSv1.3", stage="rcpt", outcome="permanent", category="address",
        reply_code=550, enhanced_code="5.1.1", reply_text="5.1.1 User <unknown>",
        reason=Phrase("no-mailbox"),
        recipients=[{"address": "bo@example.com", "outcome": "permanent", "reply_code": 550, "reply_text": "5.1.1 no"}],
    )  # fmt: skip
    page = office.get(f"/messages/{message.pk}/").content.decode()
    for words in ("Your appointment", "see you on Monday", "bo@example.com", "The mailbox does not exist.",
                  "1 of 2 recipients accepted it", "smtp.example.com:587", "TLSv1.3", "550", "412 ms",
                  "5.1.1 User &lt;unknown&gt;", "Recipient (RCPT)", "Message-ID", "Retry"):  # fmt: skip
        assert words in page, words


def test_page_needs_few_statements(office, queue):
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    office.get("/messages/")  # the first of a process asks SQLite what it can do
    with CaptureQueriesContext(connection) as statements:
        office.get(f"/messages/{queue['failed'].pk}/")
    assert len(statements) <= 8


@pytest.mark.parametrize("status", Message.Status.values)
def test_every_status_has_its_page(office, queue, status):
    response = office.get(f"/messages/{queue[status].pk}/")
    assert response.status_code == 200
    assert response.context["standing"].headline


@pytest.mark.parametrize("pk", [999, 10**9, 10**30])
def test_unknown_message_is_not_found(office, pk):
    response = office.get(f"/messages/{pk}/")
    assert response.status_code == 404
    assert "Nothing here" in response.content.decode()


def test_retry_time_is_told(office, queue):
    message = put(
        queue["queued"], tries=2, not_before=timezone.now() + timedelta(minutes=30), reason=said("Greylisting")
    )
    page = office.get(f"/messages/{message.pk}/").content.decode()
    assert "(3 of 8)" in page
    assert "(3 of 8)" in office.get("/messages/").content.decode()


def test_newer_and_older_follow_the_filter(office, queue):
    failed, sent = queue["failed"], queue["sent"]
    assert office.get(f"/messages/{failed.pk}/older/?status=all").url == f"/messages/{failed.pk - 1}/?status=all"
    put(queue["held"], status="failed")
    assert (
        office.get(f"/messages/{failed.pk}/older/?status=failed").url == f"/messages/{queue['held'].pk}/?status=failed"
    )
    response = office.get(f"/messages/{sent.pk}/newer/?status=sent", follow=True)
    assert "first message of the list" in response.content.decode()


# --- Actions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "action", "becomes"),
    [
        ("unknown", "mark-as-sent", "sent"),
        ("unknown", "send-again", "queued"),
        ("failed", "retry", "queued"),
        ("held", "release", "queued"),
        ("held", "cancel", "cancelled"),
        ("queued", "cancel", "cancelled"),
    ],
)
def test_actions_do_what_they_say(office, queue, operator, email_setup, status, action, becomes):
    message = queue[status]
    if status == "unknown":
        message.recipients.update(status="unknown")
    page = office.get(f"/messages/{message.pk}/").content.decode()
    assert f'action="/messages/{message.pk}/{action}/"' in page
    act(office, message, action)
    assert message.status == becomes
    assert message.events.last().by == operator


def test_hold_wants_to_know_why(office, queue):
    message = queue["queued"]
    assert "say why" in act(office, message, "hold")
    assert message.status == "queued"
    until = (timezone.now() + timedelta(2)).strftime("%Y-%m-%dT%H:%M")
    act(office, message, "hold", why="New price list", until=until, promised="until:UTC")
    assert (message.status, in_words(message.reason)) == ("held", "New price list")
    assert message.held_until is not None


@pytest.mark.parametrize("until", ["2001-01-01T00:00", "9999-12-31T23:59", "banana", "0001-01-01T00:00"])
def test_hold_until_a_senseless_time_is_refused(office, queue, until):
    assert "It was not held" in act(office, queue["queued"], "hold", why="x", until=until, promised="until:UTC")
    assert queue["queued"].status == "queued"


def test_try_now_for_a_retry(office, queue, email_setup):
    message = put(queue["queued"], tries=1, not_before=timezone.now() + timedelta(hours=2))
    act(office, message, "try-now")
    assert message.not_before <= timezone.now()


def test_state_changed_meanwhile_is_told(office, queue):
    page = act(office, queue["sent"], "retry")
    assert "is now “Sent”" in page
    assert queue["sent"].status == "sent"


def test_sending_again_warns_of_duplicates_first(office, queue):
    assert "it may arrive twice" in office.get(f"/messages/{queue['unknown'].pk}/").content.decode()


def test_actions_keep_the_filter(office, queue):
    response = office.post(f"/messages/{queue['held'].pk}/release/", {"filter": "status=held&q=this"})
    assert response.url == f"/messages/{queue['held'].pk}/?status=held&q=this"


def test_filter_cannot_break_out_of_the_redirect(office, queue):
    response = office.post(f"/messages/{queue['held'].pk}/release/", {"filter": "a=1\r\nX-Evil: 1"})
    assert response.status_code == 302
    assert "X-Evil" not in response.headers


@pytest.mark.parametrize("action", ["retry", "send-again", "mark-as-sent", "try-now", "release", "hold", "cancel"])
def test_actions_by_get_change_nothing(office, queue, action):
    response = office.get(f"/messages/{queue['queued'].pk}/{action}/")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert Message.objects.get(pk=queue["queued"].pk).status == "queued"


def test_unknown_action_is_not_found(office, queue):
    assert office.post(f"/messages/{queue['queued'].pk}/explode/").status_code == 404


def test_actions_want_a_csrf_token(operator, queue):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    response = strict.post(f"/messages/{queue['queued'].pk}/cancel/")
    assert response.status_code == 403
    assert "The form was too old" in response.content.decode()
    assert Message.objects.get(pk=queue["queued"].pk).status == "queued"


# --- Banners -----------------------------------------------------------------------------------------


def test_silence_of_worker_and_beat_is_told_until_they_report(office):
    assert "Nothing is being sent: worker or beat has not reported yet" in source(office.get("/messages/"))
    Heartbeat.objects.create(name="sweep", at=timezone.now() - timedelta(minutes=5))
    assert "has not reported since" in office.get("/messages/").content.decode()
    Heartbeat.objects.update(at=timezone.now())
    assert "Nothing is being sent" not in office.get("/messages/").content.decode()


def test_paused_account_is_told_with_what_to_do(office, operator):
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    AccountPause.objects.create(
        account=None, since=timezone.now(), until=timezone.now() + timedelta(minutes=1),
        reason=Phrase("wrong-password"),
        server="smtp.example.com:587", reply_text="535 5.7.8 <bad>",
    )  # fmt: skip
    page = office.get("/messages/").content.decode()
    assert "Sending as the company is paused: The mail server refused the user name or the password." in page
    assert "535 5.7.8 &lt;bad&gt;" in page
    assert "Ask an administrator" in page
    roles.give(operator, roles.ADMIN)
    assert "Open Email Setup" in office.get("/messages/").content.decode()


# --- Policy ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/messages/", "/messages/?status=all", "/batches/new/", "/batches/", "/accounts/login/"]
)
def test_nothing_inline_in_console_pages(office, queue, path):
    response = office.get(path)
    page = response.content.decode()
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", page)


def test_mail_with_a_broken_body_still_has_a_page(office):
    mail = EmailMessage()
    mail["From"], mail["To"] = "a@example.com", "b@example.com"
    mail.set_content("x")
    raw = mail.as_bytes().replace(b'charset="utf-8"', b'charset="klingon"') + b"\xff\xfe\x00"
    message = make_message("b@example.com", raw=raw, due=False)
    assert office.get(f"/messages/{message.pk}/").status_code == 200


def test_a_long_history_is_not_counted_to_its_end(office, queue, monkeypatch):
    monkeypatch.setattr("messaging.console.filters.MOST_COUNTED", 2)
    for _ in range(4):
        make_message("c@example.com", due=False)
    counts = {status: number for status, _, number in office.get("/messages/").context["counts"]}
    assert (counts["queued"], counts["sent"]) == (2, 1)


@pytest.mark.parametrize(("number", "words"), [(0, "0"), (99_999, "99,999"), (100_000, "100,000+")])
def test_numbers_that_were_cut_say_so(number, words):
    assert counted(number) == words


def test_pages_of_trouble_need_no_database_and_no_context(rf):
    response = server_error(rf.get("/"))
    assert response.status_code == 500
    assert "Messages in the queue are safe" in response.content.decode()
