"""For which place each secret was entered, and whether it would now go elsewhere: the one answer for all layers.

A place is what decides where a secret ends up: the mail server (host, port, TLS, as which user), and where tokens are
asked for. A secret is used only where it was meant to go, whatever layer, page, command or file has since named another
place. It is kept, so it serves again when the place is named again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from messaging.models import EmailSettings

from .fields import SECRETS, WAYS
from .servers import is_loopback

Place = Mapping[str, Any]  # JSON: it is kept with the secret
AuthType = EmailSettings.AuthType

PARTS = ("host", "port", "token_url", "auth_type", "sign_in", "tenant", "username")
# Where a secret goes. Another user name at the same place shows it to no one else, so an account may sign in under its
# own name with the company's password; a person who changes the name of a layer has to know the password.
WHERE = tuple(part for part in PARTS if part != "username")
_ONLY_OF = {
    "username": ("password",),
    "tenant": ("client_secret", "refresh_token"),
}
AGAIN = {
    "host": "the server has changed",
    "port": "the port has changed",
    "auth_type": "it would now travel in the clear",
    "username": "the user name has changed",
    "sign_in": "the way to sign in has changed",
    "tenant": "the tenant has changed",
    "token_url": "the sign-in server has changed",
}


def place(values: Mapping[str, Any]) -> dict[str, Any]:
    """The place that settings name; `values` has what each of PARTS resolves to."""
    found = {part: values[part] for part in PARTS}
    return found | {"host": str(found["host"]).lower().rstrip("."), "port": int(found["port"])}


def moved(secret: str, meant_for: Place, now: Place, parts: Sequence[str] = WHERE) -> str:
    """The first of `parts` by which one of SECRETS would go elsewhere than it was meant to; "" when it would not."""
    assert secret in SECRETS
    for part in parts:
        before, after = meant_for.get(part), now[part]
        if before == after or secret not in _ONLY_OF.get(part, SECRETS):
            continue
        if part == "auth_type" and (after != AuthType.DEFAULT or is_loopback(now["host"])):
            continue  # as well protected as before, or better
        if part == "sign_in" and before not in WAYS[secret]:
            continue  # it was of no use there
        return part
    return ""


def why_not(secret: str, meant_for: Place, now: Place, parts: Sequence[str] = WHERE) -> str:
    """Why a secret is not used, as a note beside it; "" when it is."""
    match moved(secret, meant_for, now, parts):
        case "":
            return ""
        case "auth_type":
            return "not used: it was not meant to travel in the clear"
        case "sign_in":
            return "not used: it is for another way to sign in"
        case "port":
            return f"not used: it is not for {now['host']}, port {now['port']}"
        case part:
            return f"not used: it is not for {now[part]}" if now[part] else "not used: it is for another place"
