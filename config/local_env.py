"""Gives one machine its private keys: writes what is missing into `.env`, before Django starts.

    python config/local_env.py

Settings refuse to load without SECRET_KEY, so this needs nothing but the standard library. What the file or the
environment already says is left alone. ENV_FILE names another file.
"""

import base64
import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

HEADER = """\
# Keys of this machine, written by `make run`. Keep this file with the database: without it the passwords
# stored in Email Setup cannot be read. A variable set in the environment wins.
"""


def missing(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that one machine needs and that neither the file's text nor the environment sets, with values.

    One is set by NAME or by NAME_FILE. `NAME=` with nothing behind it, as in a template, sets nothing.
    """
    values = {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "HTTPS": "off",
    }
    named = (
        set(re.findall(r"^\s*(?:export\s+)?(\w+)[ \t]*=[ \t]*(?!\'\'|\"\")\S", text, re.MULTILINE)) | environment.keys()
    )
    return {name: value for name, value in values.items() if not {name, f"{name}_FILE"} & named}


def complete(path: Path, environment: Mapping[str, str]) -> list[str]:
    """Add to the file, of mode 0600, what it needs; the names added. Raises OSError, UnicodeDecodeError."""
    if path.exists() and not path.is_file():  # /dev/null: the environment says it all
        return []
    text = path.read_text("utf-8") if path.exists() else ""
    added = missing(text, environment)
    if added:
        lines = "".join(f"{name}={value}\n" for name, value in added.items())
        before = HEADER if not text else "" if text.endswith("\n") else "\n"
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a") as file:
            file.write(before + lines)
    return list(added)


def close(path: Path) -> None:
    """Keep the keys from the other users of the machine. Raises OSError."""
    if path.is_file() and path.stat().st_mode & 0o077:
        path.chmod(0o600)


def main() -> None:
    named = os.environ.get("ENV_FILE", "")
    if named.startswith("$"):  # it stands for no other variable: environment.py says so, and no file is made of it
        return
    path = Path(named or Path(__file__).resolve().parent.parent / ".env")
    try:
        close(path)  # before the keys are in it
    except OSError as error:
        words = f"Its owner can change that: chmod 600 {path}"
        sys.stderr.write(f"Other users of this machine can read {path}, with its keys: {error.strerror}. {words}\n")
    try:
        complete(path, os.environ)
    except UnicodeDecodeError:
        sys.exit(f"ENV_FILE: {path} cannot be read: it is no text in UTF-8. Correct it, or move it away.")
    except OSError as error:
        words = "Let this user read and write it, and the folder that it is in."
        sys.exit(f"ENV_FILE: the keys of this machine cannot be kept in {path}: {error.strerror}. {words}")


if __name__ == "__main__":
    main()
