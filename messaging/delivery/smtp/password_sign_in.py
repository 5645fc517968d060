"""AUTH with a user name and a password (RFC 4954): by PLAIN (RFC 4616), LOGIN or CRAM-MD5 (RFC 2195)."""

import base64
import hmac
from collections.abc import Callable

from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage
from messaging.delivery.smtp.dialogue import Client, StageFailed, failing_at
from messaging.delivery.smtp.mechanisms import sign_in_with
from messaging.setup.layers import EmailSetup

# The best first. A server that offers PLAIN or LOGIN in the clear gets the password so, as Email Setup allows.
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5")


def sign_in(client: Client, setup: EmailSetup) -> str:
    """Sign in; where the server refuses a mechanism as such, with the next one that both sides know.

    Returns:
        The mechanism.

    Raises:
        StageFailed: at AUTH. After a refusal of user name or password no other mechanism is tried.
    """
    mechanism, reply = sign_in_with(
        MECHANISMS, client, setup.server, lambda name: _auth(client, name, setup), LocalError.NO_AUTH
    )
    if reply.code != 235:
        raise StageFailed(reply)
    return mechanism


def _auth(client: Client, mechanism: str, setup: EmailSetup) -> Reply:
    user, password = setup.username, setup.password
    plain = _base64(f"\0{user}\0{password}")
    answers: dict[str, list[Callable[[str], str]]] = {
        "PLAIN": [lambda challenge: plain],  # for a server that does not take it with the command (RFC 4954 4)
        "LOGIN": [lambda challenge: _base64(user), lambda challenge: _base64(password)],
        "CRAM-MD5": [lambda challenge: _cram_md5(user, password, challenge)],
    }
    client.on_line("C", f"AUTH {mechanism} ***")
    client.hidden = True
    client.conceal(plain)
    client.conceal(password)
    try:
        reply = client.ask(Stage.AUTH, f"AUTH PLAIN {plain}" if mechanism == "PLAIN" else f"AUTH {mechanism}")
        for answer in answers[mechanism]:
            if reply.code != 334:
                return reply
            with failing_at(Stage.AUTH):
                line = answer(reply.text)
            reply = client.ask(Stage.AUTH, line)
        # Still asking: broken off (RFC 4954 4), and the reply to that is 501.
        return client.ask(Stage.AUTH, "*") if reply.code == 334 else reply
    finally:
        client.hidden = False
        client.reveal_words()


def _base64(text: str) -> str:
    """Passwords are UTF-8 (RFC 4616 2)."""
    return base64.b64encode(text.encode()).decode()


def _cram_md5(user: str, password: str, challenge: str) -> str:
    digest = hmac.new(password.encode(), base64.b64decode(challenge), "md5").hexdigest()
    return _base64(f"{user} {digest}")
