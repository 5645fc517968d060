"""The mechanisms of AUTH (RFC 4954): which a server offers, and the next one where it does not know one after all."""

import re
from collections.abc import Callable, Sequence

from messaging.delivery.outcomes.patterns import REFUSED_CREDENTIALS
from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage
from messaging.delivery.smtp.dialogue import Client, StageFailed
from messaging.setup.network import Remembered

# Mechanisms that a server offered and did not know, as (host and port, mechanism): some hang up when asked for one.
useless = Remembered(3600.0, 1000)

# A command, a parameter or a mechanism that is not known (RFC 5321 4.2.3, RFC 4954 4 and 6), or an exchange that was
# broken off. What is said about a sign-in itself should have another code; where it has not, its words tell.
_NOT_KNOWN = (500, 501, 502, 503, 504)
_MECHANISM = re.compile(
    r"\b(mechanism|auth(entication)? (type|method|scheme))\b|unrecogni[sz]ed auth|unsupported auth", re.IGNORECASE
)
_WRONG = re.compile(REFUSED_CREDENTIALS, re.IGNORECASE)
_CREDENTIALS = re.compile(r"password|credential|browser|log ?in\b|account", re.IGNORECASE)


def sign_in_with(
    known: Sequence[str], client: Client, server: str, auth: Callable[[str], Reply], missing: LocalError
) -> tuple[str, Reply]:
    """Try those of the `known` mechanisms that a server offers, in their order, until one is not refused as such.

    `auth` asks for one of them; `missing` is what to tell when none is offered.

    Returns:
        The mechanism tried last and the reply to it.

    Raises:
        StageFailed: none is offered, or the dialogue broke off.
    """
    offered = client.esmtp_features.get("auth", "").upper().split()
    fitting = [name for name in known if name in offered]
    if not fitting:
        raise StageFailed(Reply(Stage.AUTH, None, "", missing, {"offered": offered}))
    fitting.sort(key=lambda name: (server, name) in useless)
    for mechanism in fitting:
        reply = auth(mechanism)
        if not is_about_mechanism(reply):
            useless.forget((server, mechanism))
            break
        useless.note((server, mechanism))
    return mechanism, reply


def is_about_mechanism(reply: Reply) -> bool:
    """Whether a server refuses the mechanism, and not who signs in with it. In doubt it does not."""
    if reply.enhanced in ("5.5.4", "5.7.4"):
        return True
    if reply.code in _NOT_KNOWN:
        return reply.enhanced != "5.7.8" and not _WRONG.search(reply.words)
    # 534 is "mechanism too weak" in RFC 4954, and "password of another kind required" at some providers.
    says_so = _MECHANISM.search(reply.words) is not None and not _CREDENTIALS.search(reply.words)
    return reply.code in (534, 535, 550, 554) and says_so
