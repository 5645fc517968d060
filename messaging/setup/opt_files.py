"""`.opt` files: settings of this server alone, over everyone's (S10).

Read whenever settings are resolved, so a change needs no restart. Tolerant of how Notepad writes a file, strict about
what it says: a file that cannot be understood stops this server's sending rather than have it guess.
"""

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from messaging.models import EmailSettings, Phrase, PhraseError, Words

from . import servers
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
SAVE_AGAIN = "Save it again as UTF-8, with the value alone on one line."

_LINE_END = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
# A byte order mark within the text is as invisible as a control character, and as little part of a value.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\ufeff]")

WORDS: dict[str, Words] = {
    "opt error": "{file}: {problem}",
    "opt folder unreadable": "The folder {folder} cannot be read: {error}.",
    "opt files differ": "It says something different from {other}. Delete one of the two.",
    "opt not a file": "It is not a file.",
    "opt unreadable": "It cannot be read: {error}.",
    "opt too long": f"It has more than {MAX_OCTETS:,} octets. It must be one line with the value alone.",
    "opt empty": "It is empty. Write the value on one line, or delete the file.",
    "opt lines": "It has {number} lines. It must be one line with the value alone.",
    "opt control characters": f"It has control characters. {SAVE_AGAIN}",
    "opt not utf-16": f"It is marked as UTF-16 and cannot be read as such. {SAVE_AGAIN}",
    "opt neither utf-8 nor ansi": f"It is neither UTF-8 nor ANSI (Windows-1252). {SAVE_AGAIN}",
    "opt no send type": "{shown} is not a send type. Write 0, 1, 2 or 3.",
    "opt no auth type": f"{{shown}} is not an auth type. Write one of {', '.join(EmailSettings.AuthType.values)}.",
    "opt no port": "{shown} is not a port. Write a number from 1 to 65535.",
    "opt no server": "{shown} is not a server. {why}",
    "opt too many characters": "It has {number} characters. At most {most} are allowed.",
    **servers.WORDS,
}


@dataclass(frozen=True)
class OptError:
    """A file that cannot be used: its name, and what is wrong and allowed; never a password."""

    file: str
    problem: Phrase

    @property
    def phrase(self) -> Phrase:
        return Phrase("opt error", file=self.file, problem=self.problem)

    def __str__(self) -> str:
        return self.phrase.render(WORDS)


@dataclass(frozen=True)
class OptFiles:
    """What the folder says: `values` maps a field's name to (value, file name).

    `ignored` are files whose names are none of FILES but look like it, with a hint where it is clear what was meant.
    """

    values: dict[str, tuple[Any, str]] = field(default_factory=dict)
    errors: list[OptError] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


class _Bad(PhraseError, ValueError):
    words = WORDS


def read(folder: Path | None = None) -> OptFiles:
    """Read the `.opt` files of a folder; without one, of EMAIL_OPT_DIR. Raises nothing: `errors` says what is wrong."""
    source = str(folder) if folder is not None else "EMAIL_OPT_DIR"
    folder = folder if folder is not None else settings.EMAIL_OPT_DIR
    found = OptFiles()
    if folder is None:
        return found
    try:
        with os.scandir(folder) as entries:  # a Path for each of hundreds of other files would take longer than reading
            names = sorted(entry.name for entry in entries if entry.name.lower().startswith("email."))
    except OSError as error:
        found.errors.append(OptError(source, Phrase("opt folder unreadable", folder=str(folder), error=error.strerror)))
        return found
    for path in (folder / name for name in names):
        name = FILES.get(path.name.lower())
        if name is not None:
            _take(found, name, path)
        elif not path.is_dir():
            found.ignored.append(_ignored(path.name))
    return found


def _take(found: OptFiles, name: str, path: Path) -> None:
    try:
        data = _content(path)
        if data is None:
            return
        value = READERS[name](_one_line(data))
    except _Bad as bad:
        found.errors.append(OptError(path.name, bad.phrase))
        return
    before = found.values.setdefault(name, (value, path.name))
    if before[0] != value:
        found.errors.append(OptError(path.name, Phrase("opt files differ", other=before[1])))


@lru_cache(maxsize=256)
def _ignored(name: str) -> str:
    """The name of a file that is not read, with what it should be called where that is clear."""
    shown, meant = _printable(name), name.lower().removesuffix(".txt")
    if meant in FILES:
        return f"{shown} (Notepad added “.txt”: rename it to {meant})"
    alike = get_close_matches(name.lower(), FILES, n=1, cutoff=0.8)
    return f"{shown} (did you mean {alike[0]}?)" if alike else shown


def _content(path: Path) -> bytes | None:
    """The octets of a file; None when it was deleted since the folder was listed. Waits for no one."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _Bad(Phrase("opt not a file"))
            data = file.read(MAX_OCTETS + 1)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return None
        raise _Bad(Phrase("opt unreadable", error=error.strerror)) from error
    if len(data) > MAX_OCTETS:
        raise _Bad(Phrase("opt too long"))
    return data


def _open_without_waiting(path: str, flags: int) -> int:
    """A pipe would keep its reader until someone writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _one_line(data: bytes) -> str:
    """The one line of a file, without blanks at its end."""
    text = _decoded(data).rstrip(" \t\r\n")
    if not text.strip():
        raise _Bad(Phrase("opt empty"))
    lines = len(_LINE_END.split(text))
    if lines > 1:
        raise _Bad(Phrase("opt lines", number=lines))
    if _UNSEEN.search(text):
        raise _Bad(Phrase("opt control characters"))
    return text


def _decoded(data: bytes) -> str:
    """Text as Notepad saves it: UTF-8, "Unicode" (UTF-16, of western text also without its mark), or ANSI."""
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        even, odd = data[::2], data[1::2]
        if len(even) == len(odd) and even and not odd.strip(b"\0") and b"\0" not in even:
            return data.decode("utf-16-le")
        if len(even) == len(odd) and even and not even.strip(b"\0") and b"\0" not in odd:
            return data.decode("utf-16-be")
    except UnicodeDecodeError as error:
        raise _Bad(Phrase("opt not utf-16")) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise _Bad(Phrase("opt neither utf-8 nor ansi")) from error


def _shown(text: str) -> str:
    text = _printable(text)
    return f"“{text[:60]}…”" if len(text) > 60 else f"“{text}”"


def _printable(text: str) -> str:
    """What turns the direction of writing around, or is no character at all, as its number."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _send_type(text: str) -> int:
    if text.strip() not in ("0", "1", "2", "3"):
        raise _Bad(Phrase("opt no send type", shown=_shown(text)))
    return int(text)


def _auth_type(text: str) -> str:
    word = text.strip().lower()
    if word not in EmailSettings.AuthType.values:
        raise _Bad(Phrase("opt no auth type", shown=_shown(text)))
    return word


def _port(text: str) -> int:
    digits = text.strip()
    if not re.fullmatch(r"[0-9]{1,5}", digits) or not 1 <= int(digits) <= 65535:
        raise _Bad(Phrase("opt no port", shown=_shown(text)))
    return int(digits)


def _host(text: str) -> str:
    try:
        return server_name(text)
    except BadServer as bad:
        assert bad.fault is not None
        raise _Bad(Phrase("opt no server", shown=_shown(text), why=Phrase(bad.fault))) from bad


def _username(text: str) -> str:
    return _not_too_long("username", text.strip())


def _password(text: str) -> str:
    return Secret(_not_too_long("password", text))


def _not_too_long(name: str, text: str) -> str:
    if len(text) > MAX_LENGTH[name]:
        raise _Bad(Phrase("opt too many characters", number=len(text), most=MAX_LENGTH[name]))
    return text


READERS: dict[str, Callable[[str], Any]] = {
    "send_type": _send_type,
    "auth_type": _auth_type,
    "host": _host,
    "port": _port,
    "username": _username,
    "password": _password,
}
