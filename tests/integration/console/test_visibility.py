"""“Operators see their own or all messages”: with the option off, nothing of someone else's is seen or changed."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.access import roles
from messaging.company import options
from messaging.models import Heartbeat, Message
from messaging.queue import batches
from tests.factories import draft_batch, make_message, put, said

pytestmark = [pytest.mark.django_db, pytest.mark.attack]
SECRET = "Salary of Ben"


@pytest.fixture
def mine(operator):
    return make_message("mine@example.com", subject="Mine", author=operator, due=False)


@pytest.fixture
def bens(ben):
    report = ("r.pdf", "application/pdf", b"%PDF")
    return make_message(
        "ann@secret.example", subject=SECRET, html="<p>Salary</p>", files=[report], author=ben, due=False
    )


@pytest.fixture
def own_only(db):
    options.save({"operators_see_all": False}, by=None)


@pytest.mark.parametrize("role", [roles.VIEWER, roles.OPERATOR])
def test_list_and_its_counts_have_ones_own_only(office, operator, mine, bens, own_only, role):
    roles.give(operator, role)
    response = office.get("/messages/?status=all")
    assert [message.pk for message in response.context["page"].rows] == [mine.pk]
    assert {status: number for status, _, number in response.context["counts"]}["all"] == 1
    assert SECRET not in response.content.decode()
    assert office.get("/messages/?status=all&q=Salary").context["page"].total == 0


def test_administrators_see_all_and_by_default_everybody_does(office, operator, mine, bens):
    assert office.get("/messages/").context["page"].total == 2
    assert office.get(f"/messages/{bens.pk}/").status_code == 200
    options.save({"operators_see_all": False}, by=None)
    assert office.get("/messages/").context["page"].total == 1
    roles.give(operator, roles.ADMIN)
    assert office.get("/messages/").context["page"].total == 2
    assert office.get(f"/messages/{bens.pk}/").status_code == 200


def test_messages_of_nobody_are_not_ones_own(office, own_only):
    assert office.get(f"/messages/{make_message('c@example.com').pk}/").status_code == 404


@pytest.mark.parametrize(
    "part", ["", "edit/", "html/", "html/?images=1", "eml/", "draft/", "attachments/1/", "attachments/1/?download=1",
             "newer/", "older/"]
)  # fmt: skip
def test_guessed_address_of_anothers_message_is_not_found(office, operator, bens, own_only, part):
    put(bens, status="held", handed_to=operator)
    assert office.get(f"/messages/{bens.pk}/{part}").status_code == 404


@pytest.mark.parametrize("action", ["retry", "send-again", "mark-as-sent", "try-now", "release", "hold", "cancel",
                                    "hand-over", "sent-from-mail-program", "put-back"])  # fmt: skip
def test_anothers_message_is_not_acted_on(office, bens, own_only, action):
    before = Message.objects.filter(pk=bens.pk).values()[0]
    assert office.post(f"/messages/{bens.pk}/{action}/", {"why": "Because"}).status_code == 404
    assert Message.objects.filter(pk=bens.pk).values()[0] == before


def test_neighbours_are_ones_own(office, operator, mine, bens, own_only):
    newest = make_message("third@example.com", author=operator, due=False)
    assert office.get(f"/messages/{mine.pk}/newer/").url == f"/messages/{newest.pk}/"
    assert office.get(f"/messages/{newest.pk}/older/").url == f"/messages/{mine.pk}/"


def test_batch_is_chosen_from_ones_own(office, mine, bens, own_only):
    page = office.get("/batches/new/")
    assert [message.pk for message in page.context["page"].rows] == [mine.pk]
    for chosen in ({"all_matching": "1"}, {"message": [mine.pk, bens.pk]}):
        batch = office.post("/batches/new/", chosen).url
        assert SECRET not in office.get(batch).content.decode()
        assert office.get(batch).context["total"] == 1
    assert office.post("/batches/new/", {"message": [bens.pk]}).url == "/batches/new/"


def test_batches_are_those_one_made(office, operator, ben, mine, bens, own_only, email_setup):
    own, other = draft_batch(mine, by=operator), draft_batch(bens, by=ben)
    assert [batch.pk for batch, *_ in office.get("/batches/").context["batches"]] == [own.pk]
    for part in ("", "progress/", "items/"):
        assert office.get(f"/batches/{own.pk}/{part}").status_code in (200, 286)
        assert office.get(f"/batches/{other.pk}/{part}").status_code == 404
    for action in ("confirm", "cancel", "retry"):
        assert office.post(f"/batches/{other.pk}/{action}/").status_code == 404
    other.refresh_from_db()
    assert other.status == "draft"


def test_own_batch_from_before_shows_ones_own_messages(office, operator, mine, bens, own_only, email_setup):
    batch = draft_batch(mine, bens, by=operator)
    put(bens, status="held", reason=said("Salary is wrong"))
    for confirmed in (False, True):
        if confirmed:
            batches.confirm(batch, by=operator)
        for part in ("", "items/", "?outcome=skipped"):
            page = office.get(f"/batches/{batch.pk}/{part}").content.decode()
            assert "Salary" not in page
    put(mine, status="failed", reason=said("No such mailbox"))
    batch.items.update(state="released", outcome="failed")
    put(bens, status="failed")
    assert "Salary" not in office.get(f"/batches/{batch.pk}/progress/").content.decode()
    retry = office.post(f"/batches/{batch.pk}/retry/").url
    assert [item.message_id for item in office.get(retry).context["items"].rows] == [mine.pk]


def test_message_in_anothers_batch_has_no_link_that_leads_nowhere(office, operator, ben, mine, email_setup):
    batch = draft_batch(mine, by=ben)
    batches.confirm(batch, by=ben)
    options.save({"operators_see_all": False}, by=None)
    page = office.get(f"/messages/{mine.pk}/").content.decode()
    assert f"batch {batch.pk}" in page
    assert f'href="/batches/{batch.pk}/"' not in page
    options.save({"operators_see_all": True}, by=None)
    assert f'href="/batches/{batch.pk}/"' in office.get(f"/messages/{mine.pk}/").content.decode()


@pytest.mark.parametrize("see_all", [True, False])
def test_no_statement_is_spent_on_whose_messages_these_are(office, operator, mine, see_all):
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    options.save({"operators_see_all": see_all}, by=None)
    office.get("/sending/")  # the first of a process asks SQLite what it can do
    # One more for a message that waits: whether a server refused one of its addresses before.
    for url, most in (("/messages/", 8), (f"/messages/{mine.pk}/", 9), ("/batches/", 8)):
        with CaptureQueriesContext(connection) as statements:
            office.get(url)
        assert len(statements) <= most, url


def test_visible_to_is_what_the_options_say_at_this_moment(operator, mine, bens):
    assert roles.visible_messages(operator).count() == 2
    options.save({"operators_see_all": False}, by=None)
    assert [message.pk for message in roles.visible_messages(operator)] == [mine.pk]


def test_another_browser_needs_no_new_sign_in_for_a_changed_role(operator, bens, own_only):
    browser = Client()
    browser.force_login(operator)
    assert browser.get("/setup/users/").status_code == 403
    roles.give(operator, roles.ADMIN)
    assert browser.get("/setup/users/").status_code == 200
    roles.give(operator, "")
    assert browser.get("/messages/").status_code == 403
