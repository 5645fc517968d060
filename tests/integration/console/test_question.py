"""Is it us? What the pages say while an administrator is asked, who may answer, and the company option behind it."""

import pytest
from django.utils import timezone

from messaging.access import roles
from messaging.company import options
from messaging.models import AccountPause, EmailSettings, Heartbeat, Message, RefusalStreak
from messaging.queue import pausing, refusal_answers
from messaging.wording import advice
from tests.factories import browser_of, confirmed_batch, make_message, make_user, put, set_up
from tests.fault_server import FaultServer
from tests.pages import words
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/setup/options/"


@pytest.fixture(autouse=True)
def alive(db):
    for name in ("sweep", "worker"):
        Heartbeat.objects.create(name=name, at=timezone.now())


@pytest.fixture
def asked(operator):
    """Anna's batch of seven messages, of which five were refused alike."""
    with FaultServer() as server:
        set_up(server)
        server.at("RCPT", "550-Zugriff <b>verweigert</b>\n550 (ref 8841-2)")
        batch = confirmed_batch(operator, *(f"kunde@domain{place}.example" for place in range(7)))
        run_lane()
    return batch


def press(browser, what, whose="company", **values):
    """By a page that shows how it stands."""
    streak = RefusalStreak.objects.filter(pk__in=[pk for pk in [values.get("question")] if isinstance(pk, int)]).first()
    values.setdefault("failed", refusal_answers.mark_of(streak) if streak else "")
    return browser.post(f"/sending/{whose}/{what}/", values, follow=True)


def question_id():
    return RefusalStreak.objects.get().pk


# --- What is said ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "link", "answers"),
    [(roles.ADMIN, "Open Sending to answer", 2), (roles.OPERATOR, "Sending says whom to ask.", 0)],
)
def test_banner_leads_to_the_question_with_the_servers_words_and_the_messages(asked, role, link, answers):
    browser = browser_of(make_user("vera", role=role))
    banner = words(browser.get("/messages/"))
    assert (
        "Sending as the company is paused: The mail server refused 5 messages to 5 domains in the same words." in banner
    )
    assert "urgent ones are still sent" in banner
    assert link in banner
    page = browser.get("/sending/").text
    assert "Is it us? Sending as the company waits for an answer." in page
    assert "550 Zugriff &lt;b&gt;verweigert&lt;/b&gt;<br>(ref 8841-2)" in page
    assert page.count('name="question"') == answers
    failed = Message.objects.filter(status="failed")
    assert all(f'href="{message.get_absolute_url()}"' in page for message in failed)
    listed = browser.get(f"/messages/?status=failed&alike={question_id()}")
    assert {message.pk for message in listed.context["page"].rows} == {message.pk for message in failed}
    assert "Only messages that were refused in the same words" in words(listed)


def test_who_may_not_see_the_messages_does_not_see_them_in_the_question_either(asked):
    options.save({"operators_see_all": False}, by=None)
    page = browser_of(make_user("vera")).get("/sending/").text
    assert "Is it us?" in page
    assert "domain0.example" not in page


WHOM = "kunde@domain0.example"


@pytest.mark.parametrize("refusal", ["550 Zugriff verweigert für <{}>", "554 5.7.1 <{}>: Relay access denied"])
@pytest.mark.parametrize("role", [roles.VIEWER, roles.OPERATOR])
def test_who_may_not_see_the_messages_does_not_read_of_whom_the_server_spoke(operator, refusal, role):
    """Neither while the account waits for an answer nor while its set-up is at fault."""
    with FaultServer() as server:
        set_up(server)
        server.at("RCPT", refusal.format(WHOM))
        confirmed_batch(operator, *(f"kunde@domain{place}.example" for place in range(7)))
        run_lane()
    assert AccountPause.objects.get().kind in ("doubt", "fault")
    pages = ["/messages/", "/sending/", "/nowhere/"]
    vera = browser_of(make_user("vera", role=role))
    assert all(WHOM in words(vera.get(page)) for page in pages)
    options.save({"operators_see_all": False}, by=None)
    assert not [page for page in pages if WHOM in vera.get(page).text]
    assert "Sending as the company is paused" in words(vera.get("/messages/"))
    assert WHOM in browser_of(make_user("boss", role=roles.ADMIN)).get("/sending/").text


def test_what_a_server_said_of_ones_own_account_is_ones_own(office, operator):
    options.save({"operators_see_all": False}, by=None)
    with FaultServer() as server:
        EmailSettings.objects.create(account=operator, host="127.0.0.1", port=server.port)
        server.at("RCPT", "550 Zugriff verweigert")
        for place in range(5):
            put(make_message(f"kunde@domain{place}.example", author=operator), account=operator)
        run_lane(operator.pk)
    for page in ("/messages/", "/sending/"):
        assert "550 Zugriff verweigert" in words(office.get(page))


def test_batch_and_messages_say_why_they_wait_or_failed(admin, asked):
    page = words(admin.get(f"/batches/{asked.pk}/"))
    assert "Waits: the mail server refused 5 messages to 5 domains in the same words. The fault may be ours." in page
    assert "5 messages failed: Refused in the same words as 4 other messages: the fault may be ours." in page
    failed, waiting = Message.objects.order_by("pk")[0], Message.objects.order_by("pk")[6]
    assert "answer on the Sending page" in words(admin.get(failed.get_absolute_url()))
    assert "An administrator has to answer on the Sending page." in words(admin.get(waiting.get_absolute_url()))
    listed = admin.get("/messages/?status=failed&reason=address")
    assert not listed.context["page"].rows, "no one’s address is blackened"


@pytest.mark.parametrize("status_filter", ["alike=0", "alike=abc", "alike=999999999999999999999", "alike=77"])
def test_list_of_no_such_question_is_a_page_all_the_same(admin, status_filter):
    assert admin.get(f"/messages/?status=all&{status_filter}").status_code == 200


# --- Who answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["it-was-us", "go-on"])
def test_only_an_administrator_answers(office, asked, what):
    assert press(office, what, question=question_id()).status_code == 403
    assert AccountPause.objects.exists()
    assert office.get(f"/sending/company/{what}/").status_code == 405


@pytest.mark.parametrize(
    ("whose", "question"),
    [("company", ""), ("company", "abc"), ("company", "9" * 30), ("company", None), ("all", "own"), ("person", "own")],
)
def test_answer_to_another_question_changes_nothing(admin, operator, asked, whose, question):
    values = {} if question is None else {"question": question_id() if question == "own" else question}
    page = press(admin, "it-was-us", operator.pk if whose == "person" else whose, **values)
    assert "This question is no longer open." in page.text
    assert AccountPause.objects.exists()


def test_answer_is_kept_with_who_gave_it(admin, operator, asked):
    failed = list(Message.objects.filter(status="failed"))
    page = words(press(admin, "it-was-us", question=question_id()))
    assert "5 messages are queued again with all their tries. Sending as the company is on again." in page
    assert "Answer: it was us." in page
    assert "Is it us?" not in page
    streak = RefusalStreak.objects.get()
    assert (streak.answer, streak.answered_by) == ("us", operator)
    page = words(admin.get(failed[0].get_absolute_url()))
    assert "Answered “It was us”: queued again with all its tries by Anna" in page
    assert advice(failed[0].attempts.get().reason) not in page, "it is for those who are refused for good"


def test_what_still_waits_for_another_reason_is_not_said_to_be_on_again(admin, operator, asked):
    own = pausing.pause(None, by=operator, why="Year end")
    whole = pausing.pause(pausing.ALL, by=operator, why="Moving house")
    page = words(press(admin, "it-was-us", question=question_id()))
    assert "with all their tries. Sending as the company still waits. All sending is paused" in page
    assert "All sending is on again." in words(press(admin, "resume", whose="all", pause=whole.mark))
    assert "Sending as the company is on again." in words(press(admin, "resume", pause=own.mark))


def test_resuming_does_not_answer_the_question(admin, operator, asked):
    own = pausing.pause(None, by=operator, why="Year end")
    page = words(press(admin, "resume", pause=own.mark))
    assert "Sending as the company still waits. Waiting for an answer since" in page
    assert "is on again" not in page


def test_one_message_is_told_as_one(admin, asked):
    failed = Message.objects.filter(status="failed")
    failed.exclude(pk=failed.first().pk).delete()
    failed.update(is_immediate=True)
    page = words(admin.get("/sending/"))
    assert "The message that failed this way" in page
    assert "It was sent at once: its sender was told that it failed, and may have sent it by other means." in page


# --- The option --------------------------------------------------------------------------------------


def save(browser, value):
    form = browser.get(URL).context["form"]
    posted = {bound.html_name: bound.value() for bound in form} | {"same_refusals": value}
    posted = {name: "on" if each is True else each for name, each in posted.items() if each not in (None, False)}
    return browser.post(URL, posted, follow=True)


@pytest.mark.parametrize(
    ("entered", "kept", "told"),
    [("3", 3, "from “5” to “3”"), ("0", 0, "from “5” to “off”"), (" OFF ", 0, "from “5” to “off”"),
     ("100", 100, "from “5” to “100”")],
)  # fmt: skip
def test_option_is_saved_and_audited(admin, entered, kept, told):
    page = words(save(admin, entered))
    assert options.options().same_refusals == kept
    assert told in page
    assert f'name="same_refusals" value="{kept or "off"}"' in admin.get(URL).text


@pytest.mark.parametrize("entered", ["-1", "101", "five", "", "1.5", "offf", "9" * 40, "٣\0"])
def test_what_is_no_number_is_told_in_plain_words(admin, entered):
    response = save(admin, entered)
    assert response.status_code == 422
    assert "Enter a number from 1 to 100, or off." in response.text
    assert options.options().same_refusals == 5


def test_messages_that_were_sent_at_once_are_said_to_be(admin, asked):
    Message.objects.filter(pk=Message.objects.filter(status="failed").first().pk).update(is_immediate=True)
    assert "One of them was sent at once" in words(admin.get("/sending/"))
