"""Batch Message Processing in the console (S7), every step without JavaScript."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.models import Batch, BatchItem, EmailSettings, Message
from messaging.queue import batches
from tests.factories import confirmed_batch, fitting, make_message, make_messages, put, said
from tests.pages import choose, form_of, source, words
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)


def batch_of(response):
    return Batch.objects.get(pk=int(response.url.strip("/").split("/")[-1]))


def test_offers_what_waits_and_nothing_else(office, waiting, operator):
    Message.objects.filter(pk=waiting[0].pk).update(**fitting(status="held"))
    batch = batches.choose(Message.objects.filter(pk=waiting[1].pk), by=operator, account=operator)
    Message.objects.filter(pk=waiting[1].pk).update(batch=batch)
    rows = office.get("/batches/new/").context["page"].rows
    assert [message.subject for message in rows] == ["Invoice 3", "Invoice 2"]


def test_chosen_rows_are_reviewed_by_name(office, waiting, email_setup, operator):
    batch = batch_of(choose(office, waiting[0], waiting[2]))
    assert (batch.status, batch.created_by, batch.account) == ("draft", operator, operator)
    page = source(office.get(batch.get_absolute_url()))
    words = ("Send 2 messages?", "Invoice 0", "Invoice 2", "Anna", f"127.0.0.1:{email_setup.port}", "company settings",
             "no TLS", "Confirm: send 2 messages")  # fmt: skip
    for each in words:
        assert each in page, each
    assert "Invoice 1" not in page
    assert Message.objects.filter(not_before=None).count() == 4


def test_all_that_match_the_filter(office, waiting, email_setup):
    make_message("z@example.com", subject="Newsletter", due=False)
    batch = batch_of(office.post("/batches/new/", {"all_matching": "1", "filter": "q=invoice"}))
    assert batch.items.count() == 4


@pytest.mark.slow
def test_all_matching_is_all_pages(office, email_setup):
    first = make_message("c@example.com", due=False)
    values = {field.attname: getattr(first, field.attname) for field in Message._meta.concrete_fields} | {"id": None}
    Message.objects.bulk_create(Message(**values) for _ in range(150))
    page = source(office.get("/batches/new/"))
    assert page.count('name="message"') == 100
    assert "All <strong>151</strong>" in page
    batch = batch_of(office.post("/batches/new/", {"all_matching": "1", "filter": ""}))
    assert batch.items.count() == 151
    listed = [office.get(f"{batch.get_absolute_url()}?page={number}").context["items"].rows for number in (1, 2)]
    assert [len(rows) for rows in listed] == [100, 51]


@pytest.mark.parametrize("ids", [[], ["abc"], ["-1"], ["9" * 30], ["٣"], ["1 OR 1=1"], ["999999"]])
def test_choosing_nothing_is_told(office, waiting, ids):
    response = office.post("/batches/new/", {"message": ids, "filter": "q=inv"}, follow=True)
    assert response.redirect_chain[-1][0] == "/batches/new/?q=inv"
    assert "No message was chosen" in source(response)
    assert not Batch.objects.exists()


def test_confirm_releases_and_the_second_press_shows_the_batch(office, waiting, email_setup, woken, operator):
    batch = batch_of(choose(office, *waiting))
    response = office.post(f"/batches/{batch.pk}/confirm/")
    assert response.url == batch.get_absolute_url()
    assert woken == [operator.pk]
    response = office.post(f"/batches/{batch.pk}/confirm/", follow=True)
    assert "was already confirmed; nothing was sent twice" in source(response)
    assert woken == [operator.pk]


def test_mapi_blocks_the_confirm_with_what_to_change(office, waiting, operator):
    EmailSettings.objects.create(send_type=1, host="mail.example.com")
    batch = batch_of(choose(office, *waiting))
    page = source(office.get(batch.get_absolute_url()))
    assert "This batch cannot be sent: The send type is 1 (MAPI, Outlook)" in page
    assert "Confirm: send" not in page
    assert "Ask an administrator" in page
    page = source(office.post(f"/batches/{batch.pk}/confirm/", follow=True))
    assert "cannot send in bulk" in page
    assert Batch.objects.get().status == "draft"


def test_review_names_what_would_be_skipped_and_why(office, waiting, email_setup):
    first, second = batch_of(choose(office, *waiting)), batch_of(choose(office, *waiting))
    office.post(f"/batches/{first.pk}/confirm/")
    page = source(office.get(second.get_absolute_url()))
    assert "4 of 4 would be skipped" in page
    assert f"Already being processed in batch {first.pk} by Anna" in page
    assert "Nothing left to send" in page


def test_network_without_tls_warns(office, waiting):
    EmailSettings.objects.create(send_type=2, host="mail.example.com")
    batch = batch_of(choose(office, waiting[0]))
    assert "All mail travels to mail.example.com in the clear" in source(office.get(batch.get_absolute_url()))


def test_discarded_draft_leaves_its_messages(office, waiting, email_setup):
    batch = batch_of(choose(office, *waiting))
    response = office.post(f"/batches/{batch.pk}/cancel/", follow=True)
    assert "was discarded" in source(response)
    assert "Discarded before it was sent" in source(office.get(batch.get_absolute_url()))
    assert Message.objects.filter(status="queued", batch=None).count() == 4
    response = office.post(f"/batches/{batch.pk}/confirm/", follow=True)
    assert "was already discarded" in source(response)


def test_progress_is_asked_for_until_it_is_finished(office, waiting, mail_server, email_setup, operator):
    mail_server.replies["c1@example.com"] = "550 5.1.1 no such user"
    batch = batch_of(choose(office, *waiting))
    office.post(f"/batches/{batch.pk}/confirm/")
    page = source(office.get(batch.get_absolute_url()))
    assert 'hx-trigger="every 1s"' in page
    assert '<noscript><meta http-equiv="refresh"' in page
    part = office.get(f"/batches/{batch.pk}/progress/")
    assert part.status_code == 200
    assert "<strong>0 of 4</strong> done" in source(part)
    run_lane(operator.pk)
    part = office.get(f"/batches/{batch.pk}/progress/")
    assert part.status_code == 286
    assert "batch-finished" in part.headers["HX-Trigger"]
    page = source(office.get(batch.get_absolute_url()))
    for each in ("Finished.", "3 of 4 sent", "<strong>1 message</strong> failed</a>: The mailbox does not exist.",
                  "Retry only the failed"):  # fmt: skip
        assert each in page, each
    assert "every 1s" not in page
    assert "http-equiv" not in page


@pytest.mark.slow
def test_report_is_filtered_by_outcome(office, waiting, mail_server, email_setup, operator):
    mail_server.replies["c1@example.com"] = "550 5.1.1 no such user"
    batch = batch_of(choose(office, *waiting))
    office.post(f"/batches/{batch.pk}/confirm/")
    run_lane(operator.pk)
    for outcome, number in (("failed", 1), ("sent", 3), ("unknown", 0), ("<script>", 4), ("", 4)):
        response = office.get(batch.get_absolute_url(), {"outcome": outcome})
        assert len(response.context["items"].rows) == number, outcome
        assert len(office.get(f"/batches/{batch.pk}/items/", {"outcome": outcome}).context["items"].rows) == number


def test_retry_only_the_failed(office, waiting, mail_server, email_setup, operator):
    mail_server.replies["c1@example.com"] = ["550 5.1.1 no such user"]
    batch = batch_of(choose(office, *waiting))
    office.post(f"/batches/{batch.pk}/confirm/")
    run_lane(operator.pk)
    again = batch_of(office.post(f"/batches/{batch.pk}/retry/"))
    assert "Retry 1 failed message?" in source(office.get(again.get_absolute_url()))
    office.post(f"/batches/{again.pk}/confirm/")
    run_lane(operator.pk)
    assert set(Message.objects.values_list("status", flat=True)) == {"sent"}
    response = office.post(f"/batches/{batch.pk}/retry/", follow=True)
    assert "None of the failed messages is left to retry" in source(response)


def test_discard_of_a_draft_that_was_confirmed_meanwhile_stops_nothing(office, waiting, ben, email_setup):
    batch = batch_of(choose(office, *waiting))
    page, url = office.get(batch.get_absolute_url()), f"/batches/{batch.pk}/cancel/"
    batches.confirm(batch, by=ben)
    again = words(office.post(url, form_of(page, action=url), follow=True))
    assert "This batch was confirmed by Ben Okoro in the meantime, and not discarded. Look at it again." in again
    assert "Cancel the rest" in again
    assert Message.objects.filter(status="queued", batch=batch).count() == 4
    assert Batch.objects.get().status == "confirmed"


def test_draft_that_is_discarded_twice_is_told_so(office, waiting, email_setup):
    batch = batch_of(choose(office, *waiting))
    url = f"/batches/{batch.pk}/cancel/"
    form = form_of(office.get(batch.get_absolute_url()), action=url)
    office.post(url, form)
    assert "This batch was already discarded." in words(office.post(url, form, follow=True))


def test_cancel_the_rest(office, waiting, email_setup):
    batch = batch_of(choose(office, *waiting))
    office.post(f"/batches/{batch.pk}/confirm/")
    assert "Cancel the rest" in source(office.get(batch.get_absolute_url()))
    page = source(office.post(f"/batches/{batch.pk}/cancel/", {"status": "confirmed"}, follow=True))
    assert "4 messages are back in the queue" in page
    assert "Taken out" in page
    assert Message.objects.filter(status="queued", batch=None, not_before=None).count() == 4


@pytest.mark.parametrize("action", ["confirm", "cancel", "retry"])
def test_actions_by_get_change_nothing(office, waiting, email_setup, action):
    batch = batch_of(choose(office, *waiting))
    assert office.get(f"/batches/{batch.pk}/{action}/").status_code == 405
    assert Batch.objects.get().status == "draft"


def test_unknown_batches_are_not_found(office):
    for path in ("/batches/7/", f"/batches/{10**30}/", "/batches/7/progress/", "/batches/7/items/"):
        assert office.get(path).status_code == 404
    for action in ("confirm", "cancel", "retry"):
        assert office.post(f"/batches/7/{action}/").status_code == 404


def test_list_of_batches_counts_without_asking_each(office, waiting, email_setup):
    assert "No batch has been processed yet" in source(office.get("/batches/"))
    for message in waiting:
        batch = batch_of(choose(office, message))
        office.post(f"/batches/{batch.pk}/confirm/")
    Message.objects.filter(pk=waiting[0].pk).update(**fitting(status="sent", sent_at=timezone.now()))
    with CaptureQueriesContext(connection) as statements:
        page = source(office.get("/batches/"))
    assert len(statements) <= 8
    for each in (f"Batch {batch.pk}", "Finished", "Running", "Anna"):
        assert each in page, each


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's plans depend on the rows")
def test_results_of_batches_are_counted_by_indexes_alone(email_setup, operator, django_assert_num_queries):
    """A million rows are counted; to look at each row itself takes several times as long."""
    batch = confirmed_batch(operator, "a@example.com")
    with django_assert_num_queries(1) as asked:
        assert batches.counts_of([batch])[batch.pk] == {"waiting": 1}
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {asked[0]['sql']}")
        plan = " ".join(str(row) for row in cursor.fetchall())
    for index in ("batchitem_outcome", "message_in_batch"):
        assert f"USING COVERING INDEX {index}" in plan, plan


def test_htmx_gets_the_choice_alone(office, waiting):
    response = office.get("/batches/new/?q=Invoice+2&reason=", headers={"hx-request": "true"})
    assert "<html" not in source(response)
    assert response.headers["HX-Push-Url"] == "/batches/new/?q=Invoice+2"
    assert [message.subject for message in response.context["page"].rows] == ["Invoice 2"]


def test_too_many_fields_are_refused_politely(office, waiting):
    response = office.post("/batches/new/", {"message": list(range(10_000))})
    assert response.status_code == 400


def test_list_report_and_pages_of_a_batch_count_the_same_for_every_outcome(office, operator):
    """One of each, two of each and so on: what waits, what is in the batch, what has left it, what never was in it."""
    kept = [
        ("released", "", {"status": "sent"}), ("released", "sent", {"status": "queued"}),
        ("released", "", {"status": "failed", "reason": said("No.")}), ("released", "failed", {"status": "sent"}),
        ("released", "", {"status": "unknown"}), ("released", "", {"status": "sending"}),
        ("released", "", {"status": "queued", "not_before": timezone.now()}),
        ("released", "", {"status": "queued", "tries": 1, "not_before": timezone.now()}),
        ("released", "held", {"status": "held"}), ("released", "cancelled", {"status": "cancelled"}),
        ("skipped", "", {"status": "sent"}),
    ]  # fmt: skip
    batch = Batch.objects.create(status="confirmed", created_by=operator, created_at=timezone.now())
    for times, (state, outcome, values) in enumerate(kept, start=1):
        for message in make_messages(times, due=False):
            is_here = state == "released" and not outcome
            put(message, batch=batch if is_here else None, **values)
            BatchItem.objects.create(batch=batch, message=message, state=state, outcome=outcome)
    expected = {
        "sent": 1 + 2, "failed": 3 + 4, "unknown": 5, "sending": 6, "waiting": 7, "retrying": 8, "held": 9,
        "cancelled": 10, "skipped": 11,
    }  # fmt: skip
    report = office.get(f"/batches/{batch.pk}/").context["report"]
    assert {name: report.counts[name] for name in expected} == expected
    assert report.counts["total"] == sum(expected.values())
    assert ("failed", "No.", 3) in report.reasons
    ((_, total, counts),) = office.get("/batches/").context["batches"]
    assert (total, counts) == (sum(expected.values()), expected)
    for name, number in expected.items():
        items = office.get(f"/batches/{batch.pk}/?outcome={name}").context["items"]
        assert (items.total, [row.result for row in items.rows]) == (number, [name] * number)
