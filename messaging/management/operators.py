"""Making the people who may sign in, for the commands that do."""

import secrets

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password

from messaging import roles

CONSONANTS = "bdfghklmnprstvz"
VOWELS = "aeiou"


def readable_password() -> str:
    """A random password that can be read out and typed: four groups such as `rako-7`, about 60 bits."""
    return "-".join(_group() for _ in range(4))


def _group() -> str:
    letters = "".join(secrets.choice(letters) for letters in (CONSONANTS, VOWELS, CONSONANTS, VOWELS))
    return letters + secrets.choice("23456789")


def create(username: str, password: str, *, is_admin: bool, email: str = "", full_name: str = "") -> User:
    """Make an operator. Raises ValidationError: the name is not allowed or taken, or the password is too weak."""
    first_name, _, last_name = full_name.partition(" ")
    user = User(
        username=username,
        email=email,
        first_name=first_name,
        last_name=last_name,
        is_staff=is_admin,
        is_superuser=is_admin,
    )
    set_password(user, password)
    roles.give(user, roles.ADMIN if is_admin else roles.OPERATOR)
    return user


def set_password(user: User, password: str) -> None:
    """Give a user a new password and save. Raises ValidationError."""
    validate_password(password, user)
    user.set_password(password)
    user.full_clean()
    user.save()
