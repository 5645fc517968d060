"""Reads the variables of the environment: each as it stands, from NAME or from the file that NAME_FILE names.

Nothing is replaced in a value: `$OTHER` is what it says. A value that makes no sense ends the start, with one line on
standard error that names the variable: of an error gunicorn, celery and manage.py would show a traceback. What is in a
secret is never told.
"""

import base64
import os
import re
from collections.abc import Iterable, MutableMapping
from email.utils import getaddresses
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

from kombu import Connection
from kombu.transport import TRANSPORT_ALIASES
from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from config import sqlite_file

SECRETS = ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "DATABASE_URL", "CELERY_BROKER_URL", "HEALTH_TOKEN")
RANDOM = ("SECRET_KEY", "HEALTH_TOKEN")  # whatever they begin with
SWITCH = dict.fromkeys(("on", "true", "yes", "y", "1"), True) | dict.fromkeys(("off", "false", "no", "n", "0"), False)
MOST = 10**9  # seconds: 31 years, with which dates can still be counted
POSTGRESQL = ("postgres", "postgresql", "pgsql", "psql")
REFERENCE = re.compile(r"\$(\w|\{)")
HOST_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(:(?P<port>[0-9]{1,5}))?")
NAME = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?"
HOST = re.compile(rf"\*|\.?{NAME}|\[[0-9A-Fa-f:.]+\]")
ORIGIN = re.compile(rf"https?://((\*\.)?{NAME}|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?")
LINE = re.compile(r"\s*(?:export\s+)?(?P<name>\w+)\s*=\s*(?P<value>.*?)\s*")
MAKE_KEY = (
    "Set it to a long random text, for example the output of: "
    'python3 -c "import secrets; print(secrets.token_urlsafe(50))". On one machine, `make run` does this for you.'
)
WRITABLE = "Let this user write there, or name another folder."
ENCODE = "Within a name or password write % as %25, / as %2F, # as %23, ? as %3F, @ as %40 and : as %3A."


Folder = TypeVar("Folder", bound=Path | None)


class Unready(SystemExit):
    """The variables make sense, and a file or folder that they name cannot be used at the moment."""


def stop(words: str) -> NoReturn:
    """End the process with exit code 1 and a line of why."""
    raise SystemExit(words)


def is_folder(path: Path) -> bool:
    """Whether there is a folder that may be seen; Path.is_dir raises where it may not be."""
    try:
        return path.is_dir()
    except OSError:
        return False


def make_folder(path: Path, name: str) -> None:
    """Make a folder that is not there yet, with those around it, and see that it can be written; `name` is the variable
    that says where. Raises Unready.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unready(
            f"{name} cannot be used: no folder {_shown(str(path))} can be made. {error.strerror}. {WRITABLE}"
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise Unready(f"{name} cannot be used: this user may not write to {_shown(str(path))}. {WRITABLE}")


def check_sqlite(path: Path, name: str) -> None:
    """See that the file of a database can be used; `name` is the variable that says where. Raises Unready."""
    if why := sqlite_file.why_unusable(path):
        raise Unready(f"{name} leads to the database file {_shown(str(path))}, which cannot be used: {why}")


class BadLine(ValueError):
    """A line of an `.env` that sets nothing; `number` counts from 1."""

    def __init__(self, number: int) -> None:
        super().__init__(f"line {number} is not understood")
        self.number = number


def read_file(text: str) -> dict[str, str]:
    """The variables of an `.env`: NAME=value, NAME='as it stands', NAME="with \\" in it". Raises BadLine."""
    found = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if match is None:
            raise BadLine(number)
        name, value = match["name"], match["value"]
        if len(value) > 1 and value[0] == value[-1] == "'":
            value = value[1:-1]
        elif len(value) > 1 and value[0] == value[-1] == '"':
            value = re.sub(r'\\(["\\$`])', r"\1", value[1:-1])
        found[name] = value
    return found


class Environment:
    """Variables by name. `names` are those that were asked for. Each method ends the process as `stop` does."""

    def __init__(self, variables: MutableMapping[str, str]) -> None:
        self.variables = variables
        self.names: set[str] = set()
        self._in_file: dict[str, str] = {}

    def add_file(self, default: Path) -> None:
        """Take in what the `.env` says that ENV_FILE names, or `default` if that is there; the environment wins."""
        path = self.variables.get("ENV_FILE")
        if path is None and not default.exists():
            return
        if path is not None:
            self._check("ENV_FILE", path)
        text = self._content("ENV_FILE", str(default) if path is None else path)
        try:
            values = read_file(text)
        except BadLine as bad:
            words = f"whose {bad}. Write NAME=value, or # before a comment."
            stop(f"ENV_FILE names {default if path is None else path}, {words}")
        named = {name.removesuffix("_FILE") for name in self.variables}
        taken = {name: value for name, value in values.items() if name.removesuffix("_FILE") not in named}
        self.variables.update(taken)
        self._in_file = dict.fromkeys(taken, str(default) if path is None else path)

    # --- Kinds of values -------------------------------------------------------------------------

    def text(self, name: str, default: str = "") -> str:
        value = self._read(name)
        return default if value is None else value

    __call__ = text

    def switch(self, name: str, default: bool) -> bool:
        value = self._read(name)
        if value is None:
            return default
        found = SWITCH.get(value.strip().lower())
        return self._bad(name, value, "Write on or off.") if found is None else found

    def number(self, name: str, default: int, *, least: int = 1, most: int = MOST) -> int:
        value = self._read(name)
        return default if value is None else self._number(name, value, least, most)

    def port(self, name: str, default: int) -> int:
        value = self._read(name)
        if value is None:
            return default
        if not re.fullmatch(r"\s*[0-9]{1,5}\s*", value) or not 1 <= int(value) <= 65535:
            stop(f"{name} is {_shown(value)}, and a port is a number from 1 to 65535.")
        return int(value)

    def decimal(self, name: str, default: float) -> float:
        value = self._read(name)
        if value is None:
            return default
        if not re.fullmatch(r"\s*[0-9]{1,10}(\.[0-9]{1,10})?\s*", value) or not 0 < float(value) <= MOST:
            self._bad(name, value, "Write a number over 0, such as 0.5.")
        return float(value)

    def words(
        self, name: str, default: list[str], pattern: re.Pattern[str] | None = None, example: str = ""
    ) -> list[str]:
        """What stands between commas."""
        value = self._read(name)
        if value is None:
            return default
        found = [word.strip() for word in value.split(",")]
        for word in found:
            if not word or (pattern is not None and not pattern.fullmatch(word)):
                self._bad(name, word, f"Write {example or 'words'}, with commas between several.")
        return found

    def networks(self, name: str, default: list[str]) -> list[str]:
        """Addresses, or networks such as 10.1.0.0/16, between commas; as texts."""
        found = self.words(name, default)
        for word in found:
            try:
                ip_network(word)
            except ValueError:
                self._bad(name, word, "Write addresses or networks such as 10.1.0.0/16, with commas between several.")
        return found

    def numbers(self, name: str, default: list[int]) -> list[int]:
        found = self.words(name, [], example="whole numbers such as 30,120")
        return [self._number(name, word, 1, MOST) for word in found] if found else default

    def choice(self, name: str, default: str, choices: Iterable[str]) -> str:
        """One of `choices`, which are in capitals."""
        value = self._read(name)
        if value is None:
            return default
        found = value.strip().upper()
        return found if found in choices else self._bad(name, value, f"Write one of {', '.join(choices)}.")

    def folder(self, name: str, default: Folder) -> Path | Folder:
        """A folder; it need not be there."""
        value = self._read(name)
        if value is not None and (value != value.strip() or value[0] in "~\"'" or REFERENCE.search(value)):
            self._bad(name, value, "Write the path as it is: nothing in it is replaced or taken off.")
        path = default if value is None else Path(value)
        if path is None:
            return path
        try:
            is_other = path.exists() and not path.is_dir()
        except OSError as error:
            stop(f"{name} is {_shown(str(path))}, which cannot be used: {error.strerror}.")
        return self._bad(name, str(path), "It is no folder.") if is_other else path

    def address(self, name: str, default: str) -> str:
        """One mailbox, with or without a name."""
        value = self._read(name)
        if value is None:
            return default
        found = getaddresses([value])
        if len(found) != 1 or not re.fullmatch(r"[^@\s]+@[^@\s]+", found[0][1]):
            self._bad(name, value, "Write one address, such as Office <office@example.com>.")
        return value

    def time_zone(self, name: str, default: str) -> str:
        value = self._read(name)
        if value is None:
            return default
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            self._bad(name, value, "Write a name of the IANA time zone database, such as Europe/Berlin.")
        return value

    def encryption_keys(self, name: str) -> list[str]:
        """Fernet keys; none is possible."""
        found = self.words(name, [])
        for number, key in enumerate(found, start=1):
            try:
                is_key = len(base64.urlsafe_b64decode(key)) == 32
            except ValueError:
                is_key = False
            if not is_key:
                stop(f"Number {number} of {name} is no Fernet key (32 octets in URL-safe base64, 44 characters).")
        return found

    # --- URLs ------------------------------------------------------------------------------------

    def database(self, name: str, default: Path) -> dict[str, Any]:
        """The settings of a database that a URL names."""
        value = self._read(name)
        if value is None:
            return {"ENGINE": "config.sqlite3", "NAME": str(default)}
        if value == "sqlite://:memory:":
            return {"ENGINE": "config.sqlite3", "NAME": ":memory:"}
        example = "postgres://user:password@host:5432/name or sqlite:////absolute/path"
        parts = self._url(name, value, ("sqlite", *POSTGRESQL), example)
        path = unquote(parts.path[1:])
        if parts.scheme == "sqlite":
            if parts.netloc or not path:
                stop(f"{name} names no file. Write sqlite:////absolute/path, with four slashes.")
            return {"ENGINE": "config.sqlite3", "NAME": path}
        folder, _, database = path.rpartition("/")  # postgres:////var/run/postgresql/name
        if not database:
            stop(f"{name} names a server and no database on it. Write {example}.")
        hosts = self._hosts(name, parts)
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        ports = [port for _, port in hosts if port]
        return {
            "ENGINE": "config.postgresql",
            "NAME": database,
            "USER": unquote(user),
            "PASSWORD": unquote(password),
            "HOST": folder or ",".join(host for host, _ in hosts),
            "PORT": int(ports[0]) if len(ports) == 1 else ",".join(ports),
            "OPTIONS": self._options(name, parts),
        }

    def broker(self, name: str, default: str) -> str:
        """The URL of a broker, or several with semicolons between them, as kombu has it."""
        value = self._read(name)
        if value is None:
            return default
        for url in value.split(";"):
            parts = self._url(name, url, TRANSPORT_ALIASES, "redis://:password@host:6379/0")
            if parts.scheme.startswith("filesystem"):
                continue
            self._hosts(name, parts)
            if parts.scheme in ("redis", "rediss") and not re.fullmatch(r"(/[0-9]{0,4})?", parts.path):
                stop(f"{name} ends in something else than the number of a database, such as /0. {ENCODE}")
        try:
            Connection(value)  # which does not connect yet
        except Exception:
            stop(f"{name} has something in it that its kind of broker does not know, such as an option. {ENCODE}")
        return value

    def _url(self, name: str, text: str, schemes: Iterable[str], example: str) -> SplitResult:
        try:
            parts = urlsplit(text)
        except ValueError:
            stop(f"{name} is no URL: its brackets do not match. Write {example}. {ENCODE}")
        if "://" not in text or parts.scheme.partition("+")[0] not in schemes:
            stop(f"{name} is no URL of a kind that is known here. Write {example}.")
        # The path of a file may have blanks, but hardly at its end.
        if re.search(r"\s", text if parts.scheme != "sqlite" else text[-1]):
            stop(f"{name} has a blank in it. Write {example}, and a blank in a password as %20.")
        is_unclear = re.search(r"%(?![0-9A-Fa-f]{2})|%[01][0-9A-Fa-f]|%7[Ff]", text)
        if is_unclear or parts.fragment or text.endswith("#"):
            stop(f"{name} has a sign in it that has to be written another way. {ENCODE}")
        return parts

    def _hosts(self, name: str, parts: SplitResult) -> list[tuple[str, str]]:
        """Host and port of each server."""
        found = []
        for each in parts.netloc.rpartition("@")[2].split(","):
            match = HOST_PORT.fullmatch(each)
            if match is None or not 1 <= int(match["port"] or 1) <= 65535:
                stop(f"{name} has no port number from 1 to 65535 behind its host's colon. {ENCODE}")
            found.append((unquote(match["host"].strip("[]")), match["port"] or ""))
        return found

    def _options(self, name: str, parts: SplitResult) -> dict[str, str]:
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        for option in options:
            try:
                make_conninfo(**{option: options[option]})
            except ProgrammingError:
                stop(f"{name} has an option behind its question mark that PostgreSQL does not know. {ENCODE}")
        return options

    # --- One variable ----------------------------------------------------------------------------

    def _read(self, name: str) -> str | None:
        """The variable, or what is in the file that its NAME_FILE names; None: it is not set."""
        self.names.add(name)
        value, path = self.variables.get(name), self.variables.get(f"{name}_FILE")
        if path is not None:
            if value is not None and value.strip():
                stop(f"{name} and {name}_FILE are both set. Keep one of them.")
            self._check(f"{name}_FILE", path)
            value = self._content(f"{name}_FILE", path)
        if value is not None:
            self._check(name, value)
        return value

    def _check(self, name: str, value: str) -> None:
        if not value.strip():
            where = f" in {self._in_file[name]}" if name in self._in_file else ""
            how = MAKE_KEY if name == "SECRET_KEY" else "Give it a value, or leave it out to have the default."
            stop(f"{name} is set to nothing{where}. {how}")
        if re.search(r"[\x00-\x1f\x7f]", value):
            stop(f"{name} has a line break or another control character in it. Take it out.")
        if name not in RANDOM and REFERENCE.match(value):
            words = "names of other variables are not replaced. Write the value itself."
            stop(f"{name} begins with a dollar sign, and is read as it stands: {words}")

    def _content(self, name: str, path: str) -> str:
        """The text of a file without the line break at its end."""
        try:
            text = Path(path).read_text("utf-8")
        except (OSError, ValueError) as error:
            why = "it is no text in UTF-8" if isinstance(error, ValueError) else error.strerror
            stop(f"{name} names {_shown(path)}, which cannot be read: {why}.")
        if name != "ENV_FILE" and not text.strip():
            stop(f"{name} names {_shown(path)}, and there is nothing in it.")
        return text.rstrip("\r\n")

    def _number(self, name: str, value: str, least: int, most: int) -> int:
        if not re.fullmatch(r"\s*[0-9]{1,18}\s*", value) or not least <= int(value) <= most:
            self._bad(name, value, f"Write a whole number from {least:,} to {most:,}.")
        return int(value)

    def _bad(self, name: str, value: str, words: str) -> NoReturn:
        told = " is not understood" if name in SECRETS else f" is {_shown(value)}, which is not understood"
        stop(f"{name}{told}. {words}")


def _shown(value: str) -> str:
    return value if len(value) <= 80 and value.isprintable() else f"{ascii(value[:80])[1:-1]} ..."
