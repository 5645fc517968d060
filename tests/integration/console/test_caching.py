"""What a browser keeps of the console."""

import os
import subprocess
import sys

import pytest

from tests.factories import make_message
from tests.installation import ROOT

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("email_setup")]


@pytest.mark.parametrize(
    "path", ["/messages/", "/batches/", "/setup/email/", "/preferences/password/", "/setup/audit/", "/nowhere/"]
)
def test_private_pages_are_asked_for_anew_and_kept_by_no_proxy(admin, path):
    assert admin.get(path).headers["Cache-Control"] == "private, no-cache"


def test_page_of_a_message_and_its_form_too(office, holding):
    message = make_message("b@example.com", due=False)
    for path in (f"/messages/{message.pk}/", f"/messages/{message.pk}/edit/"):
        assert office.get(path).headers["Cache-Control"] == "private, no-cache"


def test_page_that_shows_a_password_is_not_kept_at_all(admin, ben):
    response = admin.post(f"/setup/users/{ben.pk}/password/")

    assert response.status_code == 200
    assert "no-store" in response.headers["Cache-Control"]


def test_sign_in_page_is_not_kept_at_all(client):
    assert "no-store" in client.get("/accounts/login/").headers["Cache-Control"]


def test_sign_out_takes_everything_from_the_browser_but_what_tells_the_device(office):
    response = office.post("/accounts/logout/")

    assert response.status_code == 302
    assert response.headers["Clear-Site-Data"] == '"cache", "storage"'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "binds"),
    [({}, "False False"), ({"HSTS_SUBDOMAINS": "on"}, "True False"), ({"HSTS_PRELOAD": "on"}, "False True")],
)
def test_other_names_of_the_domain_are_bound_only_when_asked_for(asked, binds, tmp_path):
    script = (
        "from django.conf import settings as each;"
        "print(each.SECURE_HSTS_SECONDS, each.SECURE_HSTS_INCLUDE_SUBDOMAINS, each.SECURE_HSTS_PRELOAD)"
    )
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings", "ENV_FILE": "/dev/null",
                   "SECRET_KEY": "k" * 50, "FIELD_ENCRYPTION_KEYS": "A" * 43 + "=", "VAR_DIR": str(tmp_path),
                   "HOME": str(tmp_path), "HTTPS": "on"}  # fmt: skip
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environment | asked, capture_output=True, text=True)
    assert done.stdout.strip() == f"31536000 {binds}", done.stderr
