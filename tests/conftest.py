"""Fixtures shared by all tests."""

import pytest


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    """Each test keeps its attachments in a folder of its own."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT


@pytest.fixture
def operator(django_user_model):
    return django_user_model.objects.create_user("anna", "anna@office.example", "pw", first_name="Anna")
