"""`.opt` files: settings of this server alone, over everybody's (seed row S10).

Read whenever settings are resolved, so a change needs no restart. Tolerant of how Notepad writes a file, strict about
what it says: a file that cannot be understood stops this server's sending rather than have it guess.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from messaging.models import EmailSettings

from .secrets import Secret
from .servers import BadServer, server_name

FILES = {
    "email.send_type.opt": "send_type",
    "email.auth_type.opt": "auth_type",
    "email.smtp_server": "host",
    "email.smtp_server.opt": "host",
    "email.smtp_port.opt": "port",
    "email.smtp_user.opt": "username",
    "email.smtp_pass.opt": "password",
}
MAX_OCTETS = 4096
MAX_LENGTH = {"username": 255, "password": 1000}


@dataclass(frozen=True)
class OptError:
    """A file that cannot be used: its name, and what is wrong and allowed; never a password."""

    file: str
    words: str

    def __str__(self) -> str:
        return f"{self.file}: {self.words}"


@dataclass(frozen=True)
class OptFiles:
    """What the folder says: `values` maps a field's name to (value, file name)."""

    values: dict[str, tuple[Any, str]] = field(default_factory=dict)
    errors: list[OptError] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


class _Bad(ValueError):
    pass


def read(folder: Path | None = None) -> OptFiles:
    """Read the `.opt` files of a folder; without one, of EMAIL_OPT_DIR. Raises nothing: `errors` says what is wrong."""
    folder = folder or settings.EMAIL_OPT_DIR
    found = OptFiles()
    if folder is None:
        return found
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        found.errors.append(OptError(str(folder), f"The folder of .opt files cannot be read: {error.strerror}."))
        return found
    for path in paths:
        name = FILES.get(path.name.lower())
        if name is not None:
            _take(found, name, path)
        elif path.name.lower().startswith("email.") and not path.is_dir():
            found.ignored.append(path.name)
    return found


def _take(found: OptFiles, name: str, path: Path) -> None:
    try:
        value = READERS[name](_one_line(path))
    except _Bad as bad:
        found.errors.append(OptError(path.name, str(bad)))
        return
    before = found.values.setdefault(name, (value, path.name))
    if before[0] != value:
        found.errors.append(OptError(path.name, f"It says something else than {before[1]}. Delete one of the two."))


def _one_line(path: Path) -> str:
    """The one line of a file, without blanks at its end."""
    try:
        if not path.is_file():
            raise _Bad("It is not a file.")
        if path.stat().st_size > MAX_OCTETS:
            raise _Bad(f"It has {path.stat().st_size:,} octets. It must be one line with the value alone.")
        text = _decoded(path.read_bytes())
    except OSError as error:
        raise _Bad(f"It cannot be read: {error.strerror}.") from error
    text = text.rstrip()
    if not text:
        raise _Bad("It is empty. Write the value on one line, or delete the file.")
    if len(text.splitlines()) > 1:
        raise _Bad(f"It has {len(text.splitlines())} lines. It must be one line with the value alone.")
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise _Bad("It has control characters. Save it as plain text, with the value on one line.")
    return text


def _decoded(data: bytes) -> str:
    """Text as Notepad saves it: UTF-8, "Unicode" (UTF-16 with its mark), or ANSI."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _shown(text: str) -> str:
    return f"“{text[:60]}…”" if len(text) > 60 else f"“{text}”"


def _send_type(text: str) -> int:
    if text.strip() not in ("0", "1", "2", "3"):
        raise _Bad(f"{_shown(text)} is no send type. Allowed are 0, 1, 2 and 3.")
    return int(text)


def _auth_type(text: str) -> str:
    word = text.strip().lower()
    if word not in EmailSettings.AuthType.values:
        raise _Bad(f"{_shown(text)} is no auth type. Allowed are {', '.join(EmailSettings.AuthType.values)}.")
    return word


def _port(text: str) -> int:
    digits = text.strip()
    if not re.fullmatch(r"[0-9]{1,5}", digits) or not 1 <= int(digits) <= 65535:
        raise _Bad(f"{_shown(text)} is no port. Allowed is a number from 1 to 65535.")
    return int(digits)


def _host(text: str) -> str:
    try:
        return server_name(text)
    except BadServer as bad:
        raise _Bad(f"{_shown(text)} is no server. {bad}") from bad


def _username(text: str) -> str:
    return _not_too_long("username", text.strip())


def _password(text: str) -> str:
    return Secret(_not_too_long("password", text))


def _not_too_long(name: str, text: str) -> str:
    if len(text) > MAX_LENGTH[name]:
        raise _Bad(f"It has {len(text)} characters. Allowed are at most {MAX_LENGTH[name]}.")
    return text


READERS: dict[str, Callable[[str], Any]] = {
    "send_type": _send_type,
    "auth_type": _auth_type,
    "host": _host,
    "port": _port,
    "username": _username,
    "password": _password,
}
