"""Numbers that no browser sends are no error of this server."""

import pytest

from messaging.company import options
from messaging.models import Message
from tests.factories import make_message
from tests.pages import as_of, source
from tests.sizes import matrix

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("email_setup", "holding")]
ODD = ["9" * 5000, "9" * 30, "-1", "٣", "1e5", ""]


@pytest.mark.parametrize(("odd", "path"), matrix(ODD, ["/batches/new/", "/messages/bulk/", "/messages/{}/edit/"]))
def test_posted(office, admin, odd, path):
    message = make_message("a@example.com", due=False)
    data = {"message": odd, "version": odd, "stay": odd, "kept": odd, "action": "cancel", "to": "b@example.com",
            "subject": "x", "text": "x"}  # fmt: skip
    response = office.post(path.format(message.pk), data)
    assert response.status_code in (302, 404, 409, 422)
    assert Message.objects.get().status == "queued"


NO_FILTERS = ["&".join(f"a{number}=1" for number in range(1001)), f"q={'x' * 8001}", "q=" + "%22" * 3000, "q=%00", "\0"]


@pytest.mark.parametrize("odd", NO_FILTERS, ids=["many", "long", "escaped", "nul", "a nul"])
def test_order_is_told_whatever_the_filter_it_came_with(office, odd):
    message = make_message("a@example.com", due=False)
    response = office.post(f"/messages/{message.pk}/hold/", {"why": "x", "filter": odd}, follow=True)
    assert response.status_code == 200 and "Held: no batch and no schedule takes it." in source(response)
    shown = {"shown": f"{message.pk}-0", "as_of": as_of(office)}
    order = {"action": "release", "message": str(message.pk), "filter": odd} | shown
    response = office.post("/messages/bulk/", order)
    assert response.status_code == 302 and len(response["Location"]) < 8100
    assert Message.objects.get().status == "queued"
    response = office.post("/batches/new/", {"filter": odd})
    assert response.status_code == 302 and len(response["Location"]) < 8100


PATHS = [
    "/messages/?batch={}", "/messages/?page={}", "/notices/?page={}", "/messages/{}/", "/messages/1/versions/{}/",
    "/messages/{}/edit/", "/batches/{}/", "/setup/schedules/{}/", "/setup/users/{}/",
    "/messages/?date_from=0001-01-01&date_to=9999-12-31",
]  # fmt: skip


@pytest.mark.parametrize(("odd", "path"), matrix(ODD[:3], PATHS))
def test_asked(office, admin, odd, path):
    assert admin.get(path.format(odd)).status_code in (200, 302, 404)


ZONES = ["Pacific/Auckland", "America/Los_Angeles", "UTC", "Europe/London"]
TIMES = [
    "0001-01-01T00:00", "9999-12-31T23:59", "2027-03-28T01:30", "2027-10-31T01:30", "2027-09-26T02:30", "x" * 5000,
    "\0",
]  # fmt: skip


@pytest.mark.parametrize(("zone", "at"), matrix(ZONES, TIMES))
def test_times(office, zone, at):
    options.save({"time_zone": zone}, by=None)
    message = make_message("a@example.com", due=False)
    until = {"why": "x", "until": at, "promised": f"until:{zone}"}
    assert office.post(f"/messages/{message.pk}/hold/", until).status_code in (302, 422)
    data = {"to": "b@example.com", "subject": "x", "text": "x", "do": "at", "at": at, "sender": "a"}
    assert office.post("/messages/new/", data | {"promised": f"at:{zone}"}).status_code in (302, 409, 422)
    assert office.post("/sending/all/pause/", until).status_code in (302, 403, 404, 422)
