"""createoperator, and passwords that can be read out."""

import io
import re

import pytest
from django.core.management import CommandError, call_command

from messaging import users
from messaging.access import roles

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
    assert roles.role_of(user) == roles.OPERATOR


def test_generated_password_is_shown_and_works(capsys, django_user_model):
    call_command("createoperator", "root", "--admin", "--generate")
    user = django_user_model.objects.get()
    assert roles.role_of(user) == roles.ADMIN
    password = capsys.readouterr().out.split()[-1]
    assert re.fullmatch(r"([a-z]{4}[2-9]-){3}[a-z]{4}[2-9]", password)
    assert user.check_password(password)


@pytest.mark.parametrize("role", roles.ROLES)
def test_any_role_is_given(role, django_user_model):
    call_command("createoperator", "vera", "--role", role.lower(), "--generate")
    assert roles.role_of(django_user_model.objects.get()) == role


def test_superuser_has_every_right(monkeypatch, django_user_model):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse battery")
    call_command("createsuperuser", "--noinput", "--username", "root", "--email", "root@office.example")
    assert roles.role_of(django_user_model.objects.get()) == roles.ADMIN


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


def test_new_password_of_a_deactivated_user_lets_nobody_in_and_says_so(operator, capsys):
    operator.is_active = False
    operator.save()
    call_command("createoperator", "anna", "--new-password", "--generate")
    said = capsys.readouterr().out
    assert "anna can sign in" not in said
    assert "anna is deactivated and cannot sign in until an administrator activates the account." in said
    operator.refresh_from_db()
    assert not operator.is_active
    assert operator.check_password(said.split()[-1])


def test_passwords_differ():
    assert len({users.readable_password() for _ in range(200)}) == 200
