"""What is uploaded is in files that have no name, so that nothing is left of them whatever becomes of the process."""

import os
import tempfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import RequestFactory

CONTENT = os.urandom(3_000_000)  # more than Django keeps in memory


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_large_file_is_whole_and_has_no_name(folder):
    request = RequestFactory().post("/messages/new/", {"files": SimpleUploadedFile("plan.pdf", CONTENT, "text/plain")})
    taken = request.FILES["files"]
    assert list(folder.iterdir()) == []
    assert (taken.name, taken.size, taken.content_type) == ("plan.pdf", len(CONTENT), "text/plain")
    assert taken.read() == CONTENT
    taken.seek(0)
    assert b"".join(taken.chunks()) == CONTENT


def test_upload_that_is_broken_off_leaves_nothing(folder):
    boundary = "not-in-the-random-content"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="plan.pdf"\r\n\r\n'.encode()
    request = RequestFactory().post(
        "/messages/new/", head + CONTENT, content_type=f"multipart/form-data; boundary={boundary}"
    )
    assert not request.POST
    assert list(folder.iterdir()) == []
