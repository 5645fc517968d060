"""Django 6.1's setting MAILERS makes the backend: with what stands in OPTIONS, and an alias.

Where an older Django is installed, its base class refuses what that of 6.1 refuses (django/core/mail/backends/base.py).
To run the tests of the backends with another Django, put that on PYTHONPATH.
"""

import smtplib
from types import SimpleNamespace

import django
import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from messaging.backends import QueueEmailBackend
from messaging.models import Message
from tests.factories import hold_mail, set_up
from tests.fault_server import FaultServer

pytestmark = pytest.mark.django_db
BACKEND = "messaging.backends.QueueEmailBackend"


class InvalidMailer(Exception):
    """In the place of that of Django 6.1."""


def strict(backend, *, alias=None, _ignore_unknown_kwargs=(), **options):
    """The base class of Django 6.1: unknown options are errors, `fail_silently` is one of them."""
    backend.alias = alias
    unknown = options.keys() - set(_ignore_unknown_kwargs or ())
    if unknown:
        raise InvalidMailer(f"Unknown options {unknown}")


@pytest.fixture
def mailers(settings, monkeypatch):
    """Makes the backend of a MAILERS entry, as `mail.mailers[alias]` does."""
    if django.VERSION >= (6, 1):
        if hasattr(settings, "EMAIL_BACKEND"):
            del settings.EMAIL_BACKEND
        settings.MAILERS = {}
        error = mail.InvalidMailer

        def make(**options):
            settings.MAILERS = {"default": {"BACKEND": BACKEND, "OPTIONS": options}}
            return mail.mailers.default
    else:
        monkeypatch.setattr(BaseEmailBackend, "__init__", strict)
        error = InvalidMailer

        def make(**options):
            return QueueEmailBackend(alias="default", **options)

    return SimpleNamespace(make=make, error=error)


def message(address="ada@example.com"):
    return EmailMessage("Report", "Dear all", "office@example.com", [address])


@pytest.mark.parametrize("options", [{}, {"fail_silently": False}, {"fail_silently": True, "category": "alarm"}])
def test_mail_goes_into_the_queue(mailers, options):
    hold_mail()
    backend = mailers.make(**options)
    assert backend.send_messages([message()]) == 1
    assert (backend.alias, backend.fail_silently) == ("default", options.get("fail_silently", False))
    if "category" not in options:
        assert Message.objects.get().status == "queued"


def test_author_is_named(mailers, operator):
    hold_mail()
    mailers.make(author="anna").send_messages([message()])
    assert Message.objects.get().author == operator
    with pytest.raises(ImproperlyConfigured, match="“nobody”"):
        mailers.make(author="nobody").send_messages([message()])


def test_fail_silently_is_honoured(mailers):
    with FaultServer() as server:
        set_up(server)
        server.at("RCPT", "550 5.1.1 no such user")
        assert mailers.make(fail_silently=True).send_messages([message()]) == 0
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            mailers.make().send_messages([message()])


def test_unknown_option_is_told(mailers):
    with pytest.raises(mailers.error, match="host"):
        mailers.make(host="mail.example")


def test_what_django_passes_on_for_older_callers_is_no_unknown_option(mailers):
    """send_mail(fail_silently=True) with MAILERS, until Django removes it."""
    backend = QueueEmailBackend(alias="default", fail_silently=True, _ignore_unknown_kwargs={"fail_silently"})
    assert backend.fail_silently
