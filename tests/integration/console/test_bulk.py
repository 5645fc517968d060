"""Hold, release and cancel for many, from the message list; all without JavaScript."""

import datetime as dt
import re
import threading
import time

import pytest
from django.db import connection, transaction
from django.utils import timezone

from messaging import users
from messaging.access import roles
from messaging.company import options
from messaging.models import BatchItem, Message, MessageEvent
from messaging.queue import actions, batches
from messaging.wording import in_words
from tests.factories import make_message, make_user, put
from tests.pages import as_of, form_of, in_form, words
from tests.rows import states
from tests.sizes import several
from tests.steps import elsewhere

pytestmark = pytest.mark.django_db


def order(browser, action, *messages, query="", **values):
    """What the bar of the list posts, and the page that comes after it."""
    posted = {"action": action, "message": [message.pk for message in messages], "filter": query}
    posted |= {} if "as_of" in values else {"as_of": as_of(browser)}
    return words(browser.post("/messages/bulk/", posted | values, follow=True))


def all_of_the_list(browser, query=""):
    """The fields of “All that match the filter”, as the page has them."""
    page = browser.get(f"/messages/?{query}").content.decode()
    found = {name: re.search(f'name="{name}" value="([^"]*)"', page)[1] for name in ("filter", "as_of")}
    return {"all_matching": "1", "query": found["filter"].replace("&amp;", "&"), "as_of": found["as_of"]}


def test_ticked_messages_are_held_with_who_why_and_until_when(office, operator, waiting):
    until = (timezone.now() + dt.timedelta(days=2)).replace(second=0, microsecond=0)
    form = {"hold-why": "The prices are wrong", "hold-until": in_form(until), "promised": "until:UTC"}
    assert "2 held." in order(office, "hold", *waiting[:2], **form)
    assert states() == ["held", "held", "queued", "queued"]
    for message in Message.objects.filter(status="held"):
        assert (message.held_until, in_words(message.reason)) == (until, "The prices are wrong")
        event = message.events.last()
        assert (in_words(event.what), event.by) == ("Held: The prices are wrong", operator)


def test_ticked_messages_are_released(office, operator, waiting):
    for message in waiting:
        actions.hold(message, by=operator, why="Wait", until=timezone.now() + dt.timedelta(days=1))
    assert "3 released." in order(office, "release", *waiting[:3], query="status=held")
    assert states() == ["queued", "queued", "queued", "held"]
    assert (in_words(waiting[0].events.last().what), waiting[0].events.last().by) == ("Released", operator)
    waiting[0].refresh_from_db()
    assert (waiting[0].held_until, in_words(waiting[0].reason)) == (None, "")


def test_ticked_messages_are_cancelled(office, waiting):
    assert "4 cancelled." in order(office, "cancel", *waiting, **{"cancel-why": "Sent by post"})
    assert states() == ["cancelled"] * 4
    assert in_words(waiting[3].events.last().what) == "Cancelled: Sent by post"


def test_one_note_says_what_could_not_be_and_why(office, operator, waiting):
    sent, sending, also = (make_message(f"d{number}@example.com") for number in range(3))
    put(sent, status="sent")
    put(sending, status="sending")
    put(also, status="sending")
    draft = make_message("e@example.com", due=False)
    put(draft, status="held", handed_to=operator)
    chosen = [*waiting, sent, sending, also, draft]
    page = order(office, "cancel", *chosen)
    assert "4 cancelled; 4 could not be: 1 is a draft in a mail program, 2 are being sent, 1 is sent already." in page
    assert Message.objects.filter(status="cancelled").count() == 4
    assert not MessageEvent.objects.filter(message__in=[sent, sending, also, draft], kind="cancelled").exists()


def test_none_could_be(office, waiting):
    for message in waiting:
        put(message, status="sent")
    assert "None was held; 4 could not be: 4 are sent already." in order(office, "hold", *waiting, **{"hold-why": "No"})


def test_all_that_match_the_filter_on_every_page(office, operator, waiting, monkeypatch):
    other = make_message("x@example.com", subject="Offer", due=False)
    chosen = all_of_the_list(office, "q=Invoice")
    assert "4 held." in order(office, "hold", **chosen, **{"hold-why": "Wait"})
    other.refresh_from_db()
    assert other.status == "queued"


def test_what_came_in_after_the_list_was_read_is_not_meant(office, waiting):
    chosen = all_of_the_list(office)
    late = make_message("late@example.com", due=False)
    assert "4 cancelled." in order(office, "cancel", **chosen)
    late.refresh_from_db()
    assert late.status == "queued"
    for text in (
        "yesterday",
        "",
        "1-1-1-1_",
        "1-1-1_5_9_",
        "1-1-1-1__-9_",
        "x-1-1-1__9_",
        "1-1-1-1___",
        "_" * 9000,
        "1-1-1-0__1_" if connection.vendor == "sqlite" else "",  # it names a transaction of PostgreSQL
        f"1-1-1-1_{'-'.join(map(str, range(240_000)))}_{2**63 - 1}_",
    ):
        assert "has to be loaded again" in order(office, "cancel", **chosen | {"as_of": text})
        assert "has to be loaded again" in order(office, "cancel", late, as_of=text)


def test_filter_and_page_are_kept(office, waiting):
    posted = {"action": "cancel", "message": [waiting[0].pk], "filter": "q=Invoice&page=2"}
    assert office.post("/messages/bulk/", posted).url == "/messages/?q=Invoice&page=2"


@pytest.mark.parametrize(
    "values, said",
    [
        ({"hold-why": ""}, "It was not held: say why"),
        ({"hold-why": "Wait", "hold-until": "2001-01-01T10:00", "promised": "until:UTC"}, "must be in the future"),
        ({"hold-why": "Wait", "hold-until": "soon"}, "could not be read"),
    ],
)
def test_hold_without_a_reason_or_with_a_bad_time_holds_none(office, waiting, values, said):
    assert said in order(office, "hold", *waiting, **values)
    assert states() == ["queued"] * 4


def test_nothing_chosen_and_nonsense(office, waiting):
    assert "No message was chosen" in order(office, "release")
    assert "No message was chosen" in order(office, "release", message=["x", "9" * 40, "-1"])
    assert office.post("/messages/bulk/", {"action": "delete"}).status_code == 404
    assert states() == ["queued"] * 4


def test_report_of_their_batch_keeps_what_became_of_them(office, operator, waiting, email_setup):
    chosen = Message.objects.filter(pk__in=[message.pk for message in waiting])
    batch = batches.choose(chosen, by=operator, account=operator)
    batches.confirm(batch, by=operator)
    order(office, "hold", waiting[0], waiting[1], **{"hold-why": "Wait"})
    order(office, "cancel", waiting[2], **{"cancel-why": "No"})
    outcomes = list(BatchItem.objects.filter(batch=batch).order_by("message_id").values_list("outcome", flat=True))
    assert outcomes == ["held", "held", "cancelled", ""]
    held = Message.objects.get(pk=waiting[0].pk)
    assert (held.batch, held.not_before) == (None, None)


@pytest.mark.parametrize("action, start", [("hold", "queued"), ("release", "held"), ("cancel", "queued")])
def test_many_are_changed_as_one_alone_is(operator, email_setup, action, start):
    """The same row, events and words for the batch, whichever way it was ordered."""
    messages = [make_message(f"c{number}@example.com", due=False) for number in range(6)]
    orders = {
        "hold": (lambda message: actions.hold(message, by=operator, why="Wait"), actions.to_hold("Wait")),
        "release": (lambda message: actions.release(message, by=operator), actions.to_release()),
        "cancel": (lambda message: actions.cancel(message, by=operator, why="No"), actions.to_cancel("No")),
    }
    alone, for_all = orders[action]
    for first, second in (messages[:2], messages[2:4], messages[4:]):
        if messages.index(first) == 2 and start == "queued":  # in a batch
            pair = Message.objects.filter(pk__in=[first.pk, second.pk])
            batches.confirm(batches.choose(pair, by=operator, account=operator), by=operator)
        if messages.index(first) == 4:  # no one is left to send to
            for message in (first, second):
                message.recipients.update(status="failed")
        if start == "held":
            for message in (first, second):
                actions.hold(message, by=operator, why="Wait")
        alone(first)
        actions.carry_out_for_all(for_all, Message.objects.filter(pk=second.pk), by=operator)
        seen = []
        for message in (first, second):
            row = Message.objects.filter(pk=message.pk).values(
                "status", "reason", "reason_category", "held_until", "not_before", "batch", "account", "tries"
            )[0]
            items = [(item.outcome, in_words(item.reason)) for item in message.batch_items.all()]
            seen.append((row, [(in_words(event.what), event.by) for event in message.events.all()], items))
        assert seen[0] == seen[1]


@pytest.mark.slow
@pytest.mark.sized
def test_thousands_take_seconds(office, operator):
    count, now = several(2_000, 10_000), timezone.now()
    Message.objects.bulk_create(
        Message(message_id=f"<{number}@t>", subject=f"No {number}", created_at=now, recipient_count=1)
        for number in range(count)
    )
    chosen = all_of_the_list(office)
    begun = time.process_time()
    page = order(office, "hold", **chosen, **{"hold-why": "Wait"})
    took = time.process_time() - begun
    assert f"{count:,} held." in page
    assert Message.objects.filter(status="held").count() == count
    assert MessageEvent.objects.filter(kind="held", params={"why": "Wait"}, by=operator).count() == count
    assert took < count * 0.006, took  # a third of it or less on an idle machine


# --- What the list offers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status, offered",
    [("queued", ["hold", "cancel"]), ("held", ["release", "cancel"]), ("all", ["hold", "release", "cancel"]),
     ("sent", []), ("failed", []), ("sending", [])],
)  # fmt: skip
def test_each_tab_offers_what_makes_sense(office, status, offered):
    for state in Message.Status.values:
        put(make_message("c@example.com", due=False), status=state)
    page = office.get(f"/messages/?status={status}").content.decode()
    assert re.findall(r'name="action" value="(\w+)"', page) == offered
    assert ("data-pick" in page) == bool(offered)


def test_enter_in_a_field_presses_no_button_by_chance(office, waiting):
    """The first button of a form is the one that Enter presses; a disabled one is pressed by no one."""
    page = office.get("/messages/").content.decode()
    form = page[page.index('<form id="choice"') :]
    assert re.search(r"<button[^>]*>", form)[0] == '<button type="submit" disabled hidden>'


def test_others_messages_are_not_chosen_by_their_numbers(client, waiting, django_user_model):
    vera = make_user("vera")
    put(waiting[0], author=vera)
    options.save({"operators_see_all": False}, by=None)
    client.force_login(vera)
    assert "1 cancelled." in order(client, "cancel", *waiting)
    assert states() == ["cancelled", "queued", "queued", "queued"]
    put(waiting[0], status="queued")
    assert "1 held." in order(client, "hold", **all_of_the_list(client), **{"hold-why": "Wait"})


# --- An order that ends half-way --------------------------------------------------------------------------


@pytest.fixture
def in_twos(monkeypatch):
    """Parts of two messages; the list given holds what happens before the second one."""
    real, happens = actions.in_chunks, []

    def parts(ids, size):
        for number, part in enumerate(real(ids, 2)):
            if number == 1:
                happens[0]()
            yield part

    monkeypatch.setattr(actions, "in_chunks", parts)
    return happens


def cancel_all(browser):
    page = browser.get("/messages/?status=queued")
    given = form_of(page, action="/messages/bulk/") | {"action": "cancel", "all_matching": "1"}
    return browser.post("/messages/bulk/", given, follow=True)


@pytest.mark.parametrize("how", ["role", "session"])
def test_order_whose_person_may_not_go_on_says_for_how_many_it_was_done(how, office, operator, in_twos):
    for number in range(6):
        make_message(f"a{number}@example.com", due=False)
    boss = make_user("boss", role=roles.ADMIN)
    in_twos.append(operator.groups.clear if how == "role" else lambda: users.sign_out(operator, by=boss))
    answer = cancel_all(office)
    assert answer.status_code == 403
    assert "It was done for 2 messages, and not for the others." in words(answer)
    assert states() == ["cancelled"] * 2 + ["queued"] * 4


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_order_that_meets_a_locked_message_says_how_many_are_left(office, in_twos):
    messages = [make_message(f"a{number}@example.com", due=False) for number in range(6)]
    is_locked, is_over = threading.Event(), threading.Event()

    def keep():
        with transaction.atomic():
            list(Message.objects.select_for_update().filter(pk=messages[3].pk))
            is_locked.set()
            is_over.wait(20)

    keeper = threading.Thread(target=elsewhere(keep))

    def lock():
        keeper.start()
        assert is_locked.wait(10)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")

    in_twos.append(lock)
    try:
        answer = cancel_all(office)
    finally:
        is_over.set()
        keeper.join()
        connection.close()
    said = "2 cancelled; 4 could not be: 4 are being changed elsewhere at the moment (choose again)."
    assert said in words(answer)
    assert states() == ["cancelled"] * 2 + ["queued"] * 4
