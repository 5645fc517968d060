"""Numbers that no browser sends are no error of this server."""

import pytest

from messaging.models import Message
from messaging.setup import options
from tests.conftest import make_message

pytestmark = pytest.mark.django_db
ODD = ["9" * 5000, "9" * 30, "-1", "٣", "1e5", ""]


@pytest.fixture
def office(client, operator, email_setup, holding):
    client.force_login(operator)
    return client


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("path", ["/batches/new/", "/messages/bulk/", "/messages/{}/edit/"])
def test_posted(office, admin, odd, path):
    message = make_message("a@example.com", due=False)
    data = {"message": odd, "version": odd, "stay": odd, "kept": odd, "action": "cancel", "to": "b@example.com",
            "subject": "x", "text": "x"}  # fmt: skip
    response = office.post(path.format(message.pk), data)
    assert response.status_code in (302, 404, 409, 422)
    assert Message.objects.get().status == "queued"


@pytest.mark.parametrize("odd", ODD[:3])
@pytest.mark.parametrize(
    "path",
    [
        "/messages/?batch={}",
        "/messages/?page={}",
        "/notices/?page={}",
        "/messages/{}/",
        "/messages/1/versions/{}/",
        "/messages/{}/edit/",
        "/batches/{}/",
        "/setup/schedules/{}/",
        "/setup/users/{}/",
        "/messages/?date_from=0001-01-01&date_to=9999-12-31",
    ],
)
def test_asked(office, admin, odd, path):
    assert admin.get(path.format(odd)).status_code in (200, 302, 404)


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "UTC", "Europe/London"])
@pytest.mark.parametrize(
    "at",
    [
        "0001-01-01T00:00",
        "9999-12-31T23:59",
        "2027-03-28T01:30",
        "2027-10-31T01:30",
        "2027-09-26T02:30",
        "x" * 5000,
        "\0",
    ],
)
def test_times(office, zone, at):
    options.save({"time_zone": zone}, by=None)
    message = make_message("a@example.com", due=False)
    response = office.post(f"/messages/{message.pk}/hold/", {"why": "x", "until": at})
    assert response.status_code == 302
    data = {"to": "b@example.com", "subject": "x", "text": "x", "do": "at", "at": at, "sender": "a"}
    assert office.post("/messages/new/", data).status_code in (302, 422)
    assert office.post("/sending/all/pause/", {"why": "x", "until": at}).status_code in (302, 403, 404, 422)
