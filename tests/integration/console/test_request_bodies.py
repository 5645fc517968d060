"""How much a request may bring: files only where a form has some."""

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import FakePayload
from django.urls import reverse

from messaging.console.request_bodies import WITH_FILES
from messaging.models import AccountPause, Message
from tests.factories import make_message
from tests.pages import filled, words

pytestmark = [pytest.mark.django_db, pytest.mark.attack, pytest.mark.usefixtures("email_setup", "holding")]

MOST = 2_621_440  # Django's own


def a_file(size):
    return SimpleUploadedFile("junk.bin", b"\0" * size)


class Unread(FakePayload):
    """A body that no one asks for."""

    def read(self, *size):
        raise AssertionError("it was read")


def test_form_without_files_takes_none_that_is_large(admin):
    answer = admin.post("/sending/company/pause/", {"why": "stop", "junk": a_file(MOST)})
    assert answer.status_code == 413
    assert "Too much at once" in words(answer)
    assert "Nothing was changed" in words(answer)
    assert not AccountPause.objects.exists()


@pytest.mark.parametrize("url", ["/sending/company/pause/", "/accounts/login/", "/nowhere/"])
def test_too_much_is_not_even_read(client, url):
    more = {"CONTENT_LENGTH": str(MOST + 1), "wsgi.input": Unread()}
    assert client.post(url, b"a=b", content_type="multipart/form-data; boundary=b", **more).status_code == 413


def test_other_forms_are_taken(admin):
    assert admin.post("/sending/company/pause/", {"why": "stop", "junk": a_file(1000)}).status_code == 302
    assert AccountPause.objects.exists()


def test_pages_with_files_are_those_whose_forms_have_some(admin, operator):
    message = make_message("a@example.com", due=False)
    arguments = {"message-edit": {"pk": message.pk}, "setup-user": {"username": operator.username}}
    pages = ["message-new", "message-edit", "setup-email", "setup-user", "preferences-email", "setup-options",
             "setup-users", "setup-schedules", "setup-schedule-new", "setup-email-users"]  # fmt: skip
    having = {name for name in pages if 'type="file"' in admin.get(reverse(name, kwargs=arguments.get(name))).text}
    assert having == set(WITH_FILES)


def test_large_file_of_a_letter_is_taken(admin):
    form = filled(admin, "/messages/new/", within="subject", to="b@example.com", subject="S", text="T", do="queue")
    admin.post("/messages/new/", form | {"files": a_file(MOST)})
    assert Message.objects.get().attachments.get().size == MOST


def test_browser_that_leaves_on_the_way_has_ordered_nothing(admin):
    class Gone(io.BytesIO):
        def read(self, *size):
            raise OSError("connection reset")

    more = {"CONTENT_LENGTH": "8", "wsgi.input": Gone()}
    kind = "application/x-www-form-urlencoded"
    admin.handler.enforce_csrf_checks = True
    assert admin.post("/sending/company/pause/", b"why=stop", content_type=kind, **more).status_code == 403
    assert not AccountPause.objects.exists()
