"""AUTH with an access token: XOAUTH2 as Microsoft and Google publish it, or OAUTHBEARER (RFC 7628)."""

import base64
import json
from dataclasses import replace

from messaging.delivery.outcomes.reply import sign_in_failed
from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage
from messaging.delivery.smtp.dialogue import Client, StageFailed
from messaging.delivery.smtp.mechanisms import is_about_mechanism, sign_in_with
from messaging.setup.layers import EmailSetup
from messaging.setup.oauth.tokens import SignInFailed, access_token

MECHANISMS = ("XOAUTH2", "OAUTHBEARER")


def sign_in(client: Client, setup: EmailSetup) -> str:
    """Sign in; a token that the server refuses is asked for anew once, unless it is brand-new.

    Returns:
        The mechanism.

    Raises:
        StageFailed: at AUTH. What is wrong with the token is told apart from what is wrong with a password.
    """
    mechanism, reply = sign_in_with(
        MECHANISMS, client, setup.server, lambda name: _with_token(client, name, setup), LocalError.NO_TOKEN_SIGN_IN
    )
    if reply.code == 535:
        reply = replace(reply, error=LocalError.TOKEN_REFUSED)
    if reply.code != 235 or reply.error is not None:
        raise StageFailed(reply)
    return mechanism


def _with_token(client: Client, mechanism: str, setup: EmailSetup) -> Reply:
    token = _token(client, setup)
    reply = _auth(client, mechanism, setup, token)
    if reply.code == 535 and not is_about_mechanism(reply):
        newer = _token(client, setup, refused=token)
        if newer != token:
            reply = _auth(client, mechanism, setup, newer)
    return reply


def _token(client: Client, setup: EmailSetup, refused: str = "") -> str:
    try:
        return access_token(setup, refused=refused, seconds=client.patience.seconds(Stage.AUTH))
    except SignInFailed as failed:
        raise StageFailed(sign_in_failed(failed)) from None


def _auth(client: Client, mechanism: str, setup: EmailSetup, token: str) -> Reply:
    """The reply that decides; where the server gave its reason before it (334), with that."""
    client.on_line("C", f"AUTH {mechanism} ***")
    words = _first_words(mechanism, setup, token)
    client.hidden = True
    client.conceal(words)
    client.conceal(token)
    try:
        reply = client.ask(Stage.AUTH, f"AUTH {mechanism} {words}")
        if reply.code == 334:
            reason = _reason(reply.text)
            reply = client.ask(Stage.AUTH, "" if mechanism == "XOAUTH2" else "AQ==")  # RFC 7628 3.2.3: a lone ^A
            reply = replace(reply, text=f"{reply.text} {reason}".strip())
    finally:
        client.hidden = False
        client.reveal_words()
    return replace(reply, text=reply.text.replace(token, "***"))


def _first_words(mechanism: str, setup: EmailSetup, token: str) -> str:
    words = f"user={setup.username}\1auth=Bearer {token}\1\1"
    if mechanism == "OAUTHBEARER":
        user = setup.username.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 4
        host = setup.host.strip("[]")
        words = f"n,a={user},\1host={host}\1port={setup.port}\1auth=Bearer {token}\1\1"
    return base64.b64encode(words.encode()).decode()


def _reason(challenge: str) -> str:
    """What a server says of a token in base64 and JSON, as words; "" when it cannot be read."""
    try:
        told = json.loads(base64.b64decode(challenge, validate=True))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(told, dict):
        return ""
    said = {name: told.get(name) for name in ("status", "schemes", "scope")}
    known = {name: str(value)[:200] for name, value in said.items() if value and isinstance(value, str | int)}
    return f"({', '.join(f'{name}: {value}' for name, value in known.items())})" if known else ""
