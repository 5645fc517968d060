"""The setup pages as a browser posts and reads them, for the tests of the audit log."""

import re

from cryptography.hazmat.primitives import serialization

from messaging.models import Schedule
from tests.certificates import Authority
from tests.pages import words

EMAIL, OPTIONS, USERS, SCHEDULES = "/setup/email/", "/setup/options/", "/setup/users/", "/setup/schedules/"
PASSWORD = "correct horse battery"


def authority_in(folder):
    """An authority's certificate as PEM, and what pages say of it."""
    certificate = Authority(folder).certificate
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return pem, f"Test authority until {certificate.not_valid_after_utc:%-d %b %Y}"


def told(client, path):
    """The lines under “Changes so far”, the first change first, without when: ("Anna", "Server", "set to “a”")."""
    response = client.get(path)
    assert response.status_code == 200
    page = response.content.decode()
    table = page.partition('id="changes-head"')[2].partition("</table>")[0].partition("<tbody>")[2]
    lines = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line, re.DOTALL) for line in table.split("</tr>")]
    return [tuple(words(cell) for cell in line[1:]) for line in reversed(lines) if line]


def overtaken(response):
    """What others changed meanwhile, as the form that is refused says it, without when."""
    assert response.status_code == 422
    found = re.search(r'<ul class="overtaken">(.*?)</ul>', response.content.decode(), re.DOTALL)
    return [words(re.sub(r"<time.*?</time>", "", line)) for line in found[1].split("</li>")[:-1]]


def as_shown(client, path):
    """What a browser would post from a form as it is."""
    values = {bound.html_name: bound.value() for bound in client.get(path).context["form"]}
    values = {name: "on" if value is True else value for name, value in values.items()}
    return {name: value for name, value in values.items() if value is not None and value is not False}


def post(client, path, _from=None, **values):
    """Post a form as it is (or was), with fields changed; None unticks."""
    data = (_from or as_shown(client, path)) | values
    return client.post(path, {name: value for name, value in data.items() if value is not None})


def save(client, path, _from=None, **values):
    response = post(client, path, _from, **values)
    assert response.status_code == 302, words(response)


def make_schedule(client, **values):
    usual = {"name": "Evening batch", "is_on": "on", "kind": "times", "times": "07:30 and 17:00",
             "on_days": "weekdays", "time_zone": "Europe/Berlin", "missed": "once", "account": ""}  # fmt: skip
    response = client.post(f"{SCHEDULES}new/", {**usual, **values})
    assert response.status_code == 302, words(response)
    return Schedule.objects.latest("pk")
