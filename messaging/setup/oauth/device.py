"""A person signs in at Microsoft with a code, on whatever device they like (RFC 8628): the refresh token of that."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from messaging.models import Phrase
from messaging.setup import secret_destinations
from messaging.setup.fields import LABELS
from messaging.setup.layers import EmailSetup, SignIn
from messaging.setup.oauth.grants import SignInFailed, Trouble
from messaging.setup.secrets import LostKey, Secret, check_keys, decrypt, encrypt

NEEDED = ("tenant", "client_id")
PLACE = "outtray_place"  # beside what msal keeps in a flow: where the refresh token will be used
MOVED = "The settings have changed since this sign-in was begun: it was for another server. Begin again."


@dataclass(frozen=True)
class DeviceSignIn:
    """What the person has to do: enter `user_code` at `address` until `ends_at`; ask every `interval` seconds whether
    they have. `state` is all of it, encrypted."""

    user_code: str
    address: str
    interval: int
    ends_at: datetime
    state: str


class NotDone(SignInFailed):
    """The person did not sign in; `words` are all there is to say."""

    def __init__(self, words: str) -> None:
        super().__init__(Trouble.ENDED, words)


_NOT_DONE = {
    "expired_token": "The code was not used in time. Begin again.",
    "code_expired": "The code was not used in time. Begin again.",
    "authorization_declined": "The sign-in was declined at Microsoft. Begin again, and agree to what is asked.",
    "access_denied": "The sign-in was declined at Microsoft. Begin again, and agree to what is asked.",
    "bad_verification_code": "Microsoft no longer recognises this code. Begin again.",
}


def obstacles(setup: EmailSetup) -> list[str]:
    """Why no one can sign in with this setup, in words."""
    if setup.sign_in != SignIn.MICROSOFT_USER:
        return [
            f"Here “{LABELS['sign_in']}” is not “{SignIn.MICROSOFT_USER.label}”. Choose it in Email Setup and save."
        ]
    try:
        check_keys()
    except ImproperlyConfigured as error:
        return [f"What Microsoft gives cannot be stored safely on this server. {error}"]
    return [f"{LABELS[name]} is not set. Enter it in Email Setup and save." for name in NEEDED if not setup.text(name)]


def begin_device_sign_in(setup: EmailSetup) -> DeviceSignIn:
    """Ask for a code. Raises SignInFailed."""
    from messaging.setup.oauth import providers  # not before it is needed, see tokens.py

    return _shown(providers.ask_for_code(setup) | {PLACE: setup.place})


@dataclass(frozen=True)
class SignedIn:
    """The person has signed in: the refresh token, and the place that it is for."""

    refresh_token: Secret
    place: secret_destinations.Place


def finish_device_sign_in(setup: EmailSetup, state: str) -> DeviceSignIn | SignedIn:
    """Ask once whether the person has signed in: what came of it, or what they still have to do.

    Raises:
        NotDone: they have not, and cannot any more with this code; or the settings name another place by now.
        SignInFailed: anything else.
    """
    from messaging.setup.oauth import providers

    flow = _read(state)
    check_place(setup, flow[PLACE])
    flow.pop("latest_attempt_at", None)  # the provider says where it is too soon, and msal need not warn
    said = providers.ask_about_code(setup, flow)
    if isinstance(said, str):
        if said in _NOT_DONE:
            raise NotDone(_NOT_DONE[said])
        return _shown(flow)  # msal has made the interval longer where it was asked to
    if not said.refresh_token:
        raise SignInFailed(Trouble.REFUSED, detail=Phrase("no refresh token"))
    return SignedIn(said.refresh_token, flow[PLACE])


def check_place(setup: EmailSetup, place: secret_destinations.Place) -> None:
    """Raises NotDone: the settings name another place than that of a sign-in."""
    if secret_destinations.moved("refresh_token", place, setup.place):
        raise NotDone(MOVED)


def read(state: str) -> DeviceSignIn:
    """What a state says. Raises NotDone: it cannot be read any more, or its time is over."""
    return _shown(_read(state))


def _read(state: str) -> dict[str, Any]:
    try:
        flow: dict[str, Any] = json.loads(decrypt(state))
    except (LostKey, ValueError):
        flow = {}
    if PLACE not in flow:
        raise NotDone("This sign-in was begun too long ago. Begin again.")
    if datetime.fromtimestamp(flow["expires_at"], UTC) < datetime.now(UTC):
        raise NotDone(_NOT_DONE["expired_token"])
    return flow


def _shown(flow: dict[str, Any]) -> DeviceSignIn:
    return DeviceSignIn(
        str(flow["user_code"]),
        str(flow["verification_uri"]),
        int(flow["interval"]),
        datetime.fromtimestamp(flow["expires_at"], UTC),
        encrypt(json.dumps(flow)),
    )
