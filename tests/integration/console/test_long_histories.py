"""The page of a message stays small, however many recipients, attempts and events it has; each can be got to."""

import html
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.company import options
from messaging.models import (
    EmailSettings,
    Message,
    MessageEvent,
    MessageVersion,
    Phrase,
    Recipient,
    SendAttempt,
    UserSession,
)
from messaging.queue import pausing as pauses
from tests.factories import confirmed_batch, make_message, put, said, set_up
from tests.fault_server import FaultServer
from tests.pages import page_of, source, words
from tests.steps import run_lane

pytestmark = pytest.mark.django_db

LARGEST = 60 * 1024  # octets of a page
REFUSED = (400, 700, 900)


def people(count):
    return [f"customer{number}@example{number % 50}.com" for number in range(count)]


def replies(addresses, refused=REFUSED):
    return [
        {
            "address": address, "outcome": "permanent" if number in refused else "accepted", "stage": "RCPT",
            "reply_code": 550 if number in refused else 250, "enhanced_code": "",
            "reply_text": f"No such user: {address}" if number in refused else "2.1.5 Ok",
        }
        for number, address in enumerate(addresses)
    ]  # fmt: skip


def delivered_to(count, attempts=1):
    """A message that three of its recipients were refused for."""
    message = make_message(*people(count), due=False)
    message.recipients.update(status="accepted", reply_code=250, reply_text="2.1.5 Ok")
    message.recipients.filter(address__in=[people(count)[number] for number in REFUSED if number < count]).update(
        status="failed", reply_code=550, reply_text="No such user"
    )
    add_attempts(message, attempts, recipients=replies(people(count)))
    return put(message, status="failed", reason=Phrase("recipient-refused"), tries=1)


def add_attempts(message, number, **values):
    begun = timezone.now() - timedelta(days=1)
    SendAttempt.objects.bulk_create(
        SendAttempt(
            message=message, fence=n, started_at=begun + timedelta(seconds=n), finished_at=begun + timedelta(seconds=n),
            **{"stage": "RCPT", "outcome": "transient", "reply_text": f"reply {n}.", "reply_code": 450,
               "reason": Phrase("no-mailbox")} | values,
        )
        for n in range(number)
    )  # fmt: skip


def add_events(message, number):
    now = timezone.now()
    rows = [MessageEvent(message=message, at=now, kind="held", params={"why": f"reason {n}."}) for n in range(number)]
    MessageEvent.objects.bulk_create(rows)


def addresses(page):
    return re.findall(r'<span class="quiet">(\S+@\S+?)</span></span>', page)


def link(page, label, rel):
    """Where the link of a part's pages leads; None where it leads nowhere."""
    part = re.search(rf'<nav class="part-pages" aria-label="{label}: pages">(.*?)</nav>', page)
    found = re.search(rf'rel="{rel}" href="([^"]*)"', part[1]) if part else None
    return html.unescape(found[1]).partition("#")[0] if found else None


def walk(browser, url, label):
    """The pages of a part, one after the other."""
    query = ""
    while query is not None:
        page = source(browser.get(f"{url}{query}"))
        yield page
        query = link(page, label, "next")


def url_of(message):
    return f"/messages/{message.pk}/"


# --- Recipients --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_page_of_a_thousand_recipients_is_small(office):
    response = office.get(url_of(delivered_to(1000, attempts=20)))
    assert len(response.content) < LARGEST
    page = words(response)
    assert "Recipients 1,000" in page
    assert "1–50 of 1,000" in page


def test_those_who_were_refused_come_first_and_can_be_looked_at_alone(office):
    message = delivered_to(1000)
    page = page_of(office, message)
    refused = [people(1000)[number] for number in REFUSED]
    assert addresses(page)[:3] == refused
    assert "997 of 1,000 recipients accepted it; a retry goes to the others only." in page
    tab = re.search(
        r'<a class="tab is-failed" href="([^"]*)"\s*>.*?<span>Refused</span> <span class="count">3</span>', page
    )
    page = source(office.get(f"{url_of(message)}{html.unescape(tab[1])}"))
    assert addresses(page) == refused
    assert re.search(r'<a class="tab is-failed"[^>]* aria-current="true">', page)


def test_server_that_refuses_three_of_sixty_is_told_on_top(office, transactional_db):
    with FaultServer() as server:
        set_up(server)
        for number in (20, 40, 59):
            server.at("RCPT", "550 5.1.1 No such user", recipient=people(60)[number])
        message = make_message(*people(60))
        run_lane()
    page = page_of(office, message)
    assert addresses(page)[:3] == [people(60)[number] for number in (20, 40, 59)]
    assert "57 of 60 recipients accepted it" in page


def test_every_recipient_is_on_one_of_the_pages(office):
    message = delivered_to(230)
    shown = [address for page in walk(office, url_of(message), "Recipients") for address in addresses(page)]
    assert sorted(shown) == sorted(people(230))


def test_recipient_is_found_by_a_piece_of_the_address(office):
    message = delivered_to(1000)
    page = source(office.get(f"{url_of(message)}?address=Customer77%40"))
    assert addresses(page) == ["customer77@example27.com"]
    assert "1 recipient with “Customer77@”" in page
    page = source(office.get(f"{url_of(message)}?address=nobody%00here"))
    assert addresses(page) == []
    assert "0 recipients with “nobodyhere”" in page
    assert "names no address" not in page


@pytest.mark.parametrize(
    "query", ["outcome=nonsense", "recipients_page=x", "recipients_page=-1", "recipients_page=" + "9" * 30]
)
def test_what_makes_no_sense_shows_some_page(office, query):
    message = delivered_to(60)
    response = office.get(f"{url_of(message)}?{query}")
    assert response.status_code == 200
    assert addresses(source(response))


def test_few_recipients_need_no_pages(office):
    page = page_of(office, delivered_to(50))
    assert len(addresses(page)) == 50
    assert 'class="part-pages"' not in page
    assert 'class="part-tabs"' not in page


# --- Attempts ------------------------------------------------------------------------------------------


def attempts_on(page):
    """Of the page, the latest first, by what the server said."""
    return [int(number) for number in re.findall(r'<p class="mono">450 reply (\d+)\.</p>', page)]


def test_every_attempt_is_on_one_of_the_pages_the_latest_first(office):
    message = put(make_message("c@example.com"), status="queued", tries=1)
    add_attempts(message, 25)
    pages = list(walk(office, url_of(message), "Send attempts"))
    assert [number for page in pages for number in attempts_on(page)] == list(reversed(range(25)))
    assert all('Send attempts <span class="count">25</span>' in page for page in pages)


def test_what_to_do_stands_by_the_last_attempt_that_failed_on_whatever_page(office):
    message = put(make_message("c@example.com"), status="failed", tries=1, reason=said("It was refused."))
    add_attempts(message, 1, reply_text="the first", outcome="permanent")
    add_attempts(message, 12, outcome="accepted")
    told = r'<p class="attempt-words">[^<]*<span class="quiet">[^<]+</span>\s*</p>'
    pages = list(walk(office, url_of(message), "Send attempts"))
    assert [len(re.findall(told, page)) for page in pages] == [0, 1]
    assert len({re.search(r'class="standing-words">(.*?)</div>', page)[1] for page in pages}) == 1


def test_last_attempt_is_refused_for_now_and_the_others_are_tried_again(office):
    message = put(make_message("c@example.com"), status="failed", tries=1)
    add_attempts(message, 12)
    first, second = (words(page) for page in walk(office, url_of(message), "Send attempts"))
    assert (first.count("Refused for now"), first.count("Tried again later")) == (1, 9)
    assert (second.count("Refused for now"), second.count("Tried again later")) == (0, 2)


def test_message_that_a_server_accepted_long_ago_is_not_said_to_be_marked(office):
    message = put(make_message("c@example.com"), status="sent")
    message.recipients.update(status="accepted", said=Phrase("marked-as-sent-by", by="ben"))
    add_attempts(message, 1, outcome="accepted")
    add_attempts(message, 12)
    assert "Accepted by the mail server" in page_of(office, message)
    message.attempts.filter(outcome="accepted").delete()
    assert "marked as sent by" in page_of(office, message).lower()


def test_replies_of_an_attempt_begin_with_the_refused_and_go_on_on_a_page_of_their_own(office):
    message = delivered_to(1000)
    page = page_of(office, message)
    table = re.search(r"Replies per recipient.*?</table>(.*?)</details>", page)
    shown = re.findall(r'<td class="address">(\S+)</td>', table[0])
    assert len(shown) == 20
    assert shown[:3] == [people(1000)[number] for number in REFUSED]
    onwards = re.search(r'<a href="([^"]*)">\s*All 1,000 replies of this attempt\s*</a>', table[1])[1]
    all_of_them = []
    for page in walk(office, onwards, "Replies"):
        assert len(page) < LARGEST
        all_of_them += re.findall(r'<td class="address">(\S+)</td>', page)
    assert len(all_of_them) == 1000
    assert all_of_them[:3] == shown[:3]


def test_replies_are_shown_to_those_alone_who_see_the_message(office, bens_browser):
    message = delivered_to(60)
    other = make_message("c@example.com")
    url = f"{url_of(message)}attempts/{message.attempts.get().pk}/"
    assert office.get(url).status_code == 200
    assert office.get(url.replace(url_of(message), url_of(other))).status_code == 404
    options.save({"operators_see_all": False}, by=None)
    assert bens_browser.get(url).status_code == 404


# --- What was done, and earlier versions -----------------------------------------------------------------


def events_on(page):
    return [int(number) for number in re.findall(r"Held: reason (\d+)\.", page)]


def test_latest_events_are_shown_in_order_and_earlier_ones_before_them(office):
    message = make_message("c@example.com", due=False)
    add_events(message, 120)
    pages = [events_on(page) for page in walk(office, url_of(message), "History")]
    assert pages == [list(range(70, 120)), list(range(20, 70)), list(range(20))]


def test_every_earlier_version_is_on_one_of_the_pages(office, operator):
    message = make_message("c@example.com", due=False)
    for number in range(1, 46):
        MessageVersion.objects.create(
            message=message, number=number, at=timezone.now(), by=operator, fields={}, skeleton=b"", recipients=[],
            attachments=[], changes=[{"field": "subject", "before": f"subject {number}.", "after": "x"}],
        )  # fmt: skip
        MessageEvent.objects.create(
            message=message, at=timezone.now(), by=operator, kind="edited", params={"version": number}
        )
    add_events(message, 60)
    pages = list(walk(office, url_of(message), "Earlier versions"))
    shown = [int(number) for page in pages for number in re.findall(r"View version (\d+)", page)]
    assert shown == list(reversed(range(1, 46)))
    edits = [
        int(number)
        for page in walk(office, url_of(message), "History")
        for number in re.findall(r"<span>Edited: subject from “subject (\d+)\.” to “x”", page)
    ]
    assert sorted(edits) == list(range(1, 46))


def test_version_is_listed_where_the_edit_does_not_name_it(office, operator):
    """As in what version 0.1.0 left."""
    message = make_message("c@example.com", due=False)
    MessageVersion.objects.create(
        message=message, number=1, at=timezone.now(), by=operator, fields={}, skeleton=b"", recipients=[],
        attachments=[], changes=[],
    )  # fmt: skip
    MessageEvent.objects.create(message=message, at=timezone.now(), kind="edited", params={"words": "the subject"})
    assert "View version 1" in page_of(office, message)


def test_version_with_many_recipients_has_pages(office, operator):
    message = make_message("c@example.com", due=False)
    rows = [{"kind": "to", "address": address, "name": ""} for address in people(120)]
    MessageVersion.objects.create(
        message=message, number=1, at=timezone.now(), by=operator, fields={}, skeleton=b"", recipients=rows,
        attachments=[], changes=[],
    )  # fmt: skip
    pages = list(walk(office, f"{url_of(message)}versions/1/", "Recipients"))
    assert [re.findall(r"<dd>\s*(\S+@\S+)</dd>", page) for page in pages] == [
        people(120)[:50], people(120)[50:100], people(120)[100:]
    ]  # fmt: skip


# --- Header fields -----------------------------------------------------------------------------------------


def header(page, name):
    return re.search(rf"<dt>{name}</dt>\s*<dd>(.*?)</dd>", page)[1]


@pytest.mark.parametrize("count", [50, 51, 100, 101, 1000])
def test_long_list_of_addresses_in_the_header_is_cut_and_says_so(office, count):
    message = make_message(*people(count), due=False)
    page = page_of(office, message)
    shown = re.findall(r"customer(\d+)@", header(page, "To"))
    assert shown == list(map(str, range(count if count <= 100 else 50)))
    if count <= 50:
        assert "more" not in header(page, "To")
    else:
        assert f"and {count - 50} more" in header(page, "To")
    assert ("<details" in header(page, "To")) == (50 < count <= 100)
    assert ("save the message" in header(page, "To")) == (count > 100)


# --- The place that a person is at -------------------------------------------------------------------------


def test_paging_one_part_leaves_the_others_and_the_list_where_they_are(office):
    message = delivered_to(130, attempts=8)
    add_events(message, 70)
    page = source(office.get(f"{url_of(message)}?status=failed&attempts_page=2&recipients_page=2"))
    assert link(page, "History", "next") == "?status=failed&attempts_page=2&recipients_page=2&events_page=2"
    assert link(page, "Recipients", "prev") == "?status=failed&attempts_page=2&recipients_page=1"
    assert f'href="{url_of(message)}older/?status=failed"' in page
    assert 'href="/messages/?status=failed"' in page
    assert '<input type="hidden" name="attempts_page" value="2">' in page


def test_action_leads_back_to_the_same_place(office):
    message = delivered_to(130)
    page = source(office.get(f"{url_of(message)}?status=failed&outcome=accepted&recipients_page=2"))
    place = html.unescape(re.search(r'name="filter" value="([^"]*)"', page)[1])
    answer = office.post(f"{url_of(message)}retry/", {"filter": place})
    assert answer.url == f"{url_of(message)}?status=failed&outcome=accepted&recipients_page=2"


# --- Lists of the setup pages -------------------------------------------------------------------------------


def test_every_change_so_far_is_on_one_of_the_pages(admin, operator):
    for number in range(1, 61):
        options.save({"company_name": f"Name {number}."}, by=operator)
    pages = list(walk(admin, "/setup/options/", "Changes so far"))
    found = [int(number) for page in pages for number in re.findall(r"to “Name (\d+)\.”", page)]
    assert len(pages) == 3
    assert sorted(found, reverse=True) == found
    assert set(found) >= set(range(2, 61))


@pytest.mark.slow
@pytest.mark.parametrize(("url", "label"), [("/setup/users/", "Users"), ("/setup/email/users/", "Accounts")])
def test_every_user_is_on_one_of_the_pages(admin, url, label):
    User.objects.bulk_create(User(username=f"user-{number:03}") for number in range(250))
    pages = list(walk(admin, url, label))
    assert [len(set(re.findall(r"user-\d{3}", page))) for page in pages] == [99, 100, 51]
    assert len({name for page in pages for name in re.findall(r"user-\d{3}", page)}) == 250


def test_every_session_is_on_one_of_the_pages_this_one_first(admin, bens_browser, ben):
    now = timezone.now()
    UserSession.objects.bulk_create(
        UserSession(
            digest=str(n), user=ben, address=f"192.0.2.{n}",
            started_at=now, active_at=now - timedelta(seconds=n), expires_at=now + timedelta(days=1),
        )
        for n in range(1, 51)
    )  # fmt: skip
    for browser, url in ((bens_browser, "/preferences/sessions/"), (admin, f"/setup/users/{ben.pk}/")):
        pages = list(walk(browser, url, "Sessions"))
        assert [page.count("last active") for page in pages] == [20, 20, 11]
        assert len({each for page in pages for each in re.findall(r"From 192\.0\.2\.(\d+),", page)}) == 50
    assert source(bens_browser.get("/preferences/sessions/")).index("This one") < source(
        bens_browser.get("/preferences/sessions/")
    ).index("192.0.2.1,")
    assert "This one" not in source(bens_browser.get("/preferences/sessions/?sessions_page=2"))


@pytest.mark.slow
def test_every_sending_account_is_on_one_of_the_pages_what_is_held_up_first(admin, operator):
    User.objects.bulk_create(User(username=f"user-{number:03}") for number in range(120))
    users = User.objects.filter(username__startswith="user-").order_by("username")
    EmailSettings.objects.bulk_create(EmailSettings(account=each) for each in users)
    last = users.last()
    pauses.pause(last, by=operator, why="Not today")
    pages = list(walk(admin, "/sending/", "Sending accounts"))
    assert [len(set(re.findall(r'id="account-(\w+)"', page))) for page in pages] == [50, 50, 21]
    assert re.findall(r'id="account-(\w+)"', pages[0])[:2] == ["company", str(last.pk)]
    assert len({each for page in pages for each in re.findall(r'id="account-(\w+)"', page)}) == 121


def test_refused_pause_of_an_account_is_shown_on_whatever_page_it_is(admin):
    User.objects.bulk_create(User(username=f"user-{number:03}") for number in range(120))
    users = User.objects.filter(username__startswith="user-").order_by("username")
    EmailSettings.objects.bulk_create(EmailSettings(account=each) for each in users)
    refused = admin.post(f"/sending/{users.last().pk}/pause/", {"why": ""})
    assert refused.status_code == 422
    assert f'id="account-{users.last().pk}"' in source(refused)


def test_reasons_of_a_batch_are_the_most_frequent_and_how_many_follow(office, operator, email_setup):
    batch = confirmed_batch(operator, *(f"c{number}@example.com" for number in range(70)))
    for number, message in enumerate(Message.objects.order_by("pk")):
        put(message, status="failed", reason=said(f"reason {max(number, 9)}."))
    for page in (source(office.get(f"/batches/{batch.pk}/")), source(office.get(f"/batches/{batch.pk}/progress/"))):
        found = re.findall(r"reason (\d+)\.", page.partition('class="reasons"')[2].partition("</section>")[0])
        assert (found[0], len(set(found))) == ("9", 50)
        assert "11 more reasons, for 11 messages" in page


# --- Cost ------------------------------------------------------------------------------------------------


def statements(browser, url):
    with CaptureQueriesContext(connection) as asked:
        assert browser.get(url).status_code == 200
    return len(asked)


@pytest.mark.slow
def test_number_of_statements_does_not_grow(office):
    some, many = delivered_to(120, attempts=12), delivered_to(1000, attempts=40)
    for message, number in ((some, 60), (many, 600)):
        add_events(message, number)
    query = "?attempts_page=2&events_page=2&recipients_page=2"
    for asked in ("", query):
        assert statements(office, url_of(some) + asked) == statements(office, url_of(many) + asked) < 25
    assert Recipient.objects.filter(message=many).count() == 1000
