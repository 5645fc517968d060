"""Why nothing can be delivered in bulk with some settings, each problem with what to change.

EmailSetup.problems() finds them. A row that could not be sent because of them keeps them as phrases.
"""

from collections.abc import Sequence
from enum import StrEnum

from messaging.company import windows
from messaging.models import Words

from .fields import LABELS, label_within


class Problem(StrEnum):
    """What can be wrong."""

    FILE = "opt file unusable"
    NOT_POSSIBLE = "setting not possible"
    MAPI = "mapi in bulk"
    NO_SERVER = "no server set"
    SSL = "ssl is gone"
    LOST = "secret unreadable"
    NOBODY_SIGNED_IN = "nobody signed in"
    INCOMPLETE = "sign-in incomplete"
    MOVED = "secret for another place"
    TOKEN_IN_CLEAR = "token in clear"  # noqa: S105
    WINDOW = "window unreadable"


def _not_possible(name: str, value: str, whose: str) -> str:
    source = f"settings of {whose}" if whose else "company settings"
    return f"{LABELS[name]} “{value}” in the {source} is not valid. Correct it in Email Setup."


def _lost(names: Sequence[str]) -> str:
    what = " and ".join(map(label_within, names))
    return f"The stored {what} cannot be read with the keys of this server. Enter it again in Email Setup."


def _moved(names: Sequence[str]) -> str:
    what = " and ".join(map(label_within, names))
    return (
        f"The stored {what} was entered for another server, port or way to sign in, and is not sent there. "
        "Enter it again in Email Setup, or, if an .opt file sets the server, set what goes with it in .opt files too."
    )


def _incomplete(names: Sequence[str]) -> str:
    missing = list(map(label_within, names))
    verb = "is" if len(missing) == 1 else "are"
    what = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
    return f"Send type 3 signs in, but {what} {verb} not set in Email Setup."


WORDS: dict[str, Words] = {
    # Everyone reads this; what is in the file is for administrators (see the banner).
    Problem.FILE: (
        "This server sends nothing until its file {file} is fixed. Administrators see what is wrong with it."
    ),
    Problem.NOT_POSSIBLE: _not_possible,
    Problem.MAPI: (
        "The send type is {send_type} (MAPI, Outlook), which hands over one message at a time and cannot send in bulk. "
        "Choose send type 2 or 3 (SMTP) in Email Setup. It is enough to do this for the account that runs batches, "
        "under Users’ own settings there."
    ),
    Problem.NO_SERVER: "No SMTP server is set. Enter one in Email Setup.",
    Problem.SSL: (
        "The auth type “ssl” means SSL 3.0, which this machine’s OpenSSL no longer has. Choose tls-implicit in Email "
        "Setup."
    ),
    Problem.LOST: _lost,
    Problem.NOBODY_SIGNED_IN: "No one has signed in yet: choose “Sign in with Microsoft” in Email Setup.",
    Problem.INCOMPLETE: _incomplete,
    Problem.MOVED: _moved,
    Problem.TOKEN_IN_CLEAR: (
        "A sign-in with a token needs TLS: anyone who reads it could send with it. Choose tls-explicit or "
        "tls-implicit in Email Setup."
    ),
    Problem.WINDOW: "The sending window cannot be read: {why} Correct it in Email Setup.",
    **windows.WORDS,
}
