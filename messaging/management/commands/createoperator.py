"""Make someone who may sign in, or give them a new password."""

import getpass
import sys
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from messaging import users
from messaging.access import roles, second_factor
from messaging.management import arguments


class Command(BaseCommand):
    help = (
        "Create an operator (with --role: a viewer or an administrator). Without --password-stdin or --generate the "
        "password is asked for; without a terminal one is generated and printed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", type=arguments.text)
        role = parser.add_mutually_exclusive_group()
        role.add_argument("--role", type=str.capitalize, choices=roles.ROLES, default=roles.OPERATOR)
        role.add_argument("--admin", action="store_const", const=roles.ADMIN, dest="role", help="an administrator")
        parser.add_argument("--email", type=arguments.text, default="")
        parser.add_argument("--full-name", type=arguments.text, default="")
        parser.add_argument("--new-password", action="store_true", help="the user exists: only set a new password")
        parser.add_argument(
            "--without-second-factor",
            action="store_true",
            help="with --new-password: also take away the second factor of a user who lost it and all recovery codes",
        )
        password = parser.add_mutually_exclusive_group()
        password.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
        password.add_argument("--generate", action="store_true", help="make a random password and print it")

    def handle(self, *args: Any, **options: Any) -> None:
        username = options["username"]
        user = User.objects.filter(username=username).first()
        if user and not options["new_password"]:
            raise CommandError(f"“{username}” exists already. To set a new password, add --new-password.")
        if not user and options["new_password"]:
            raise CommandError(f"There is no user “{username}”. To create one, leave --new-password out.")
        if options["without_second_factor"] and not options["new_password"]:
            raise CommandError("--without-second-factor goes with --new-password: a new user has none.")
        password, is_generated = _password(options)
        with transaction.atomic():
            self._carry_out(username, user, password, is_generated, options)
            self.stdout.flush()  # a password that could not be told is given to no one

    def _carry_out(
        self, username: str, user: User | None, password: str, is_generated: bool, options: dict[str, Any]
    ) -> None:
        try:
            if user:
                users.set_password(user, password, via="createoperator")
                if options["without_second_factor"]:
                    had_one = second_factor.reset(user, via="createoperator")
                    self.stdout.write(f"Second factor: {'taken away' if had_one else 'there was none'}.")
            else:
                first_name, _, last_name = options["full_name"].partition(" ")
                users.create(
                    username,
                    password,
                    role=options["role"],
                    email=options["email"],
                    first_name=first_name,
                    last_name=last_name,
                    via="createoperator",
                )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        if user and not user.is_active:
            words = f"{username} is deactivated and cannot sign in until an administrator activates the account."
            self.stdout.write(words + (f" Then with this password: {password}" if is_generated else ""))
            return
        self.stdout.write(f"{username} can sign in" + (f" with this password: {password}" if is_generated else "."))


def _password(options: dict[str, Any]) -> tuple[str, bool]:
    """The password, and whether it was generated."""
    if options["password_stdin"]:
        return sys.stdin.readline().rstrip("\r\n"), False
    if options["generate"] or not sys.stdin.isatty():
        return users.readable_password(), True
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise CommandError("The two passwords are not the same. Nothing was changed.")
    return password, False
