"""createoperator, and passwords that can be read out."""

import io
import re

import pytest
from django.core.management import CommandError, call_command

from messaging.management import operators

pytestmark = pytest.mark.django_db


@pytest.fixture
def typed(monkeypatch):
    """Sets what standard input holds."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_password_from_standard_input(typed, django_user_model):
    typed("correct horse battery\n")
    call_command(
        "createoperator", "ben", "--password-stdin", "--email", "ben@office.example", "--full-name", "Ben Oak Hill"
    )
    user = django_user_model.objects.get()
    assert user.check_password("correct horse battery")
    assert (user.first_name, user.last_name, user.email) == ("Ben", "Oak Hill", "ben@office.example")
    assert not user.is_superuser
    assert not user.is_staff


def test_generated_password_is_shown_and_works(capsys, django_user_model):
    call_command("createoperator", "root", "--admin", "--generate")
    user = django_user_model.objects.get()
    assert user.is_superuser
    password = capsys.readouterr().out.split()[-1]
    assert re.fullmatch(r"([a-z]{4}[2-9]-){3}[a-z]{4}[2-9]", password)
    assert user.check_password(password)


def test_asked_for_twice(monkeypatch, django_user_model):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    answers = iter(["a long password", "another password", "a long password", "a long password"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    with pytest.raises(CommandError, match="not the same"):
        call_command("createoperator", "ben")
    call_command("createoperator", "ben")
    assert django_user_model.objects.get().check_password("a long password")


def test_weak_password_and_bad_name_are_refused(typed, django_user_model):
    typed("12\n")
    with pytest.raises(CommandError, match="too short"):
        call_command("createoperator", "ben", "--password-stdin")
    with pytest.raises(CommandError, match="valid username"):
        call_command("createoperator", "b n!", "--generate")
    assert not django_user_model.objects.exists()


def test_new_password_only_for_who_exists(operator, capsys):
    with pytest.raises(CommandError, match="exists already"):
        call_command("createoperator", "anna", "--generate")
    with pytest.raises(CommandError, match="no user"):
        call_command("createoperator", "ben", "--new-password", "--generate")
    call_command("createoperator", "anna", "--new-password", "--generate")
    operator.refresh_from_db()
    assert operator.check_password(capsys.readouterr().out.split()[-1])


def test_passwords_differ():
    assert len({operators.readable_password() for _ in range(200)}) == 200
