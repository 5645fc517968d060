"""Asks sign-in providers for access tokens: Microsoft through msal, Google through google-auth, others by RFC 6749.

Whatever goes wrong is one SignInFailed: a word that the outcome table knows, and the provider's own words without
anything secret in them.
"""

import json
import re
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import msal
import requests
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import Request
from google.oauth2 import credentials, service_account
from msal.exceptions import MsalServiceError

from messaging.content import mime
from messaging.models import Phrase
from messaging.setup.fields import SECRETS
from messaging.setup.layers import EmailSetup, SignIn
from messaging.setup.oauth import http
from messaging.setup.oauth.grants import BadAnswer, Grant, RefusedUrl, SignInFailed, Trouble
from messaging.setup.secrets import Secret
from messaging.system_errors import words_of

MICROSOFT = "https://login.microsoftonline.com"
GOOGLE = "https://oauth2.googleapis.com/token"
MICROSOFT_APP_SCOPE = "https://outlook.office365.com/.default"
MICROSOFT_USER_SCOPE = "https://outlook.office.com/SMTP.Send"
GOOGLE_SCOPE = "https://mail.google.com/"
ADDED_BY_MSAL = ("openid", "profile", "offline_access")
OF_THE_CODE = (
    "authorization_pending", "slow_down", "expired_token", "code_expired", "authorization_declined", "access_denied",
    "bad_verification_code",
)  # fmt: skip
USUAL_SECONDS = 3600.0
LONGEST_SECONDS = 24 * 3600.0  # some mean “never ends” by a number that no date can hold
LONGEST_WORDS = 600
LONGEST_INTERVAL = 300  # seconds between two looks at a sign-in by code
LONGEST_CODE = 100
TOKEN = re.compile("[ -~]+")  # RFC 6749 A.12, A.17
ADDRESS = re.compile("[!-~]{1,2000}")


def ask(setup: EmailSetup, refresh_token: Secret) -> Grant:
    """A new access token for the sign-in of a setup.

    Args:
        setup: one that `uses_oauth` and has no problems.
        refresh_token: where the way to sign in has one; it may be newer than the one in the settings.

    Raises:
        SignInFailed
    """
    with telling(setup, refresh_token), http.session(setup.ca_bundle) as session:
        if setup.text("token_url"):
            http.check(setup.text("token_url"))
        if setup.sign_in == SignIn.MICROSOFT_APP:
            app = msal.ConfidentialClientApplication(
                setup.text("client_id"),
                client_credential=str(setup.secret("client_secret")),
                **at_microsoft(setup, session),
            )
            return grant_of(setup, app.acquire_token_for_client(scopes(setup)))
        if setup.sign_in == SignIn.MICROSOFT_USER:
            public = msal.PublicClientApplication(setup.text("client_id"), **at_microsoft(setup, session))
            return grant_of(setup, public.acquire_token_by_refresh_token(str(refresh_token), scopes(setup)))
        if setup.sign_in == SignIn.OAUTH2:
            return _from_endpoint(setup, refresh_token, session)
        return _from_google(setup, refresh_token, session)


def ask_for_code(setup: EmailSetup) -> dict[str, Any]:
    """What Microsoft gives a person to sign in with elsewhere, as `_device_flow` has it. Raises SignInFailed."""
    with telling(setup), http.session(setup.ca_bundle) as session:
        app = msal.PublicClientApplication(setup.text("client_id"), **at_microsoft(setup, session))
        flow: dict[str, Any] = app.initiate_device_flow(scopes(setup))
        if not flow.get("user_code"):
            raise failure(setup, str(flow.get("error") or ""), str(flow.get("error_description") or ""))
        return _device_flow(flow)


def ask_about_code(setup: EmailSetup, flow: dict[str, Any]) -> Grant | str:
    """Ask Microsoft once whether the person has signed in: what it gives, or why not (RFC 8628 3.5).

    Raises:
        SignInFailed: for no reason that has to do with the code.
    """
    with telling(setup, flow["device_code"]), http.session(setup.ca_bundle) as session:
        app = msal.PublicClientApplication(setup.text("client_id"), **at_microsoft(setup, session))
        answer: dict[str, Any] = app.acquire_token_by_device_flow(flow, exit_condition=lambda flow: True)
        error = str(answer.get("error") or "")
        return error if error in OF_THE_CODE else grant_of(setup, answer)


def scopes(setup: EmailSetup) -> list[str]:
    """What the token is to be good for."""
    usual = {SignIn.MICROSOFT_APP: MICROSOFT_APP_SCOPE, SignIn.MICROSOFT_USER: MICROSOFT_USER_SCOPE, SignIn.OAUTH2: ""}
    wanted = (setup.text("scope") or usual.get(SignIn(setup.sign_in), GOOGLE_SCOPE)).split()
    if setup.sign_in in (SignIn.MICROSOFT_APP, SignIn.MICROSOFT_USER):
        return [scope for scope in wanted if scope not in ADDED_BY_MSAL]
    return wanted


def at_microsoft(setup: EmailSetup, session: requests.Session) -> dict[str, Any]:
    """Where msal finds the tenant, and by which session. It asks no other server whether that is Microsoft's own."""
    base = (setup.text("token_url") or MICROSOFT).rstrip("/")
    if urlsplit(base).scheme != "https":
        raise RefusedUrl(Phrase("sign-in url not https"))
    authority = f"{base}/{quote(setup.text('tenant'), safe='')}"
    return {"authority": authority, "http_client": session, "instance_discovery": False}


def _from_endpoint(setup: EmailSetup, refresh_token: Secret, session: requests.Session) -> Grant:
    """The refresh token's grant (RFC 6749 6) where there is one, otherwise the client's own (4.4)."""
    data = {"grant_type": "client_credentials"}
    if refresh_token:
        data = {"grant_type": "refresh_token", "refresh_token": str(refresh_token)}
    if wanted := scopes(setup):
        data["scope"] = " ".join(wanted)
    client_id, secret, auth = setup.text("client_id"), setup.secret("client_secret"), None
    if secret:
        auth = (quote_plus(client_id), quote_plus(secret))  # RFC 6749 2.3.1
    else:
        data["client_id"] = client_id
    response = session.post(setup.text("token_url"), data=data, auth=auth, headers={"Accept": "application/json"})
    if response.status_code == 429 or response.status_code >= 500:
        raise SignInFailed(Trouble.UNREACHABLE, detail=Phrase("sign-in server status", status=response.status_code))
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise BadAnswer(Phrase("sign-in no token", status=response.status_code))
    return grant_of(setup, answer)


def _from_google(setup: EmailSetup, refresh_token: Secret, session: requests.Session) -> Grant:
    address = setup.text("token_url") or GOOGLE
    holder: Any
    if setup.sign_in == SignIn.GOOGLE_SERVICE:
        holder = _service_account(setup, address)
    else:
        holder = credentials.Credentials(
            None,
            refresh_token=str(refresh_token),
            token_uri=address,
            client_id=setup.text("client_id"),
            client_secret=str(setup.secret("client_secret")),
            scopes=setup.text("scope").split() or None,  # those that the person has agreed to
        )
    try:
        holder.refresh(Request(session))
    except RefreshError as error:
        answer = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
        if error.retryable and not answer.get("error"):
            raise SignInFailed(Trouble.UNREACHABLE, detail=Phrase("sign-in server busy")) from None
        described = str(answer.get("error_description") or "") or ("" if answer else str(error))
        raise failure(setup, str(answer.get("error") or ""), described) from None
    left = None if holder.expiry is None else (holder.expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    newer = getattr(holder, "refresh_token", None)
    return _grant(holder.token, left, newer if newer != refresh_token else None)


def _service_account(setup: EmailSetup, address: str) -> Any:
    """The credentials of a key file. Its own token_uri could be anyone’s, so it is not looked at."""
    try:
        key = json.loads(setup.secret("service_account"))
        info = {"client_email": key["client_email"], "private_key": key["private_key"], "token_uri": address}
        if "private_key_id" in key:
            info["private_key_id"] = key["private_key_id"]
        return service_account.Credentials.from_service_account_info(info, scopes=scopes(setup), subject=setup.username)
    except (ValueError, KeyError, TypeError, AttributeError, GoogleAuthError):
        raise SignInFailed(Trouble.KEY, detail=Phrase("service account key")) from None


# --- What is made of an answer -------------------------------------------------------------------------

# An answer is JSON of any kind: half a character, no text at all, a number that no date can hold. Here it is checked.


def grant_of(setup: EmailSetup, answer: Mapping[str, Any]) -> Grant:
    """The answer of a token endpoint (RFC 6749 5.1) as a Grant. Raises SignInFailed: it is another; BadAnswer."""
    token = answer.get("access_token")
    if not isinstance(token, str) or not token:
        raise failure(setup, str(answer.get("error") or ""), str(answer.get("error_description") or ""))
    return _grant(token, answer.get("expires_in"), answer.get("refresh_token"))


def _grant(token: Any, seconds: Any, refresh_token: Any) -> Grant:
    """What a token endpoint gives (RFC 6749 5.1). Raises BadAnswer."""
    return Grant(_token(token), _seconds(seconds), _token(refresh_token) if refresh_token else Secret())


def _token(said: Any) -> Secret:
    """A token that a mail server can be given, and a row can keep. Raises BadAnswer: another would end its line."""
    if not isinstance(said, str) or not TOKEN.fullmatch(said):
        raise BadAnswer(Phrase("sign-in bad token"))
    return Secret(said)


def _device_flow(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What a device endpoint gives (RFC 8628 3.2), as msal keeps it, and no more of it than is used.

    Returns:
        {"device_code", "user_code", "verification_uri", "interval", "expires_at", "_correlation_id"}: text that can be
        shown, whole seconds, and a time of the clock.

    Raises:
        BadAnswer
    """
    address, user_code = answer["verification_uri"], answer["user_code"]
    if not isinstance(address, str) or not address.startswith("https://"):
        raise BadAnswer(Phrase("sign-in page not https"))
    if not ADDRESS.fullmatch(address) or mime.displayable(str(user_code), LONGEST_CODE) != user_code:
        raise BadAnswer(Phrase("sign-in bad code"))
    return {
        "device_code": str(_token(answer["device_code"])),
        "user_code": user_code,
        "verification_uri": address,
        "interval": min(max(answer["interval"], 1), LONGEST_INTERVAL),
        "expires_at": min(max(answer["expires_at"], 0.0), time.time() + LONGEST_SECONDS),
        "_correlation_id": answer["_correlation_id"],
    }


def _seconds(said: Any) -> float:
    """How long a token lasts, of whatever a provider says (RFC 6749 5.1 recommends that it does)."""
    try:
        seconds = float(said)
    except (TypeError, ValueError, OverflowError):
        return USUAL_SECONDS
    return min(seconds, LONGEST_SECONDS) if seconds > 0 else USUAL_SECONDS  # no number (NaN) is not above 0


# --- What went wrong -----------------------------------------------------------------------------------

# By error code (RFC 6749 5.2, RFC 8628 3.5) and Microsoft's number in the description (its list of AADSTS error codes);
# the first that fits. Conditional access and the state of the account come with the codes of an ended sign-in, but
# a user who signs in again meets them again.
_RULES = [
    (Trouble.UNREACHABLE, r"temporarily_unavailable|server_error|internal_failure|AADSTS(90033|50196)\b"),
    (
        Trouble.RULE,
        r"AADSTS(530\d{2,3}|50005|50097|50127|50129|50131|50158|54000|135011)\b|Conditional Access",
    ),
    (Trouble.LOCKED, r"AADSTS(50053|50057)\b"),
    (
        Trouble.CONSENT,
        r"AADSTS(6500\d|650052|500011|50105|9009[0-9])\b|consent_required|access_denied|admin_policy_enforced",
    ),
    (
        Trouble.UNKNOWN,
        r"AADSTS(90002|900023|900971|700016|700038|50059|7000218|700025|500014|7000112|7000113)\b|invalid_tenant|"
        r"^unauthorized_client|invalid_audience",
    ),
    (Trouble.SECRET, r"^invalid_client|^deleted_client|AADSTS70002(15|22)\b"),
    (
        Trouble.ENDED,
        r"^invalid_grant|interaction_required|Reauthentication is needed|^expired_token|authorization_declined|"
        r"AADSTS(70008\d?|70043|50173|5007[2469]|50058|700084)\b",
    ),
]
_SERVICE_ACCOUNT = re.compile(r"invalid_grant|unauthorized_client|invalid_client|access_denied")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def failure(setup: EmailSetup, error: str, description: str, *secret: str) -> SignInFailed:
    """What an error answer means; the words are the provider's own."""
    said = f"{error} {description}"
    words = scrubbed(description or error, setup, *secret)
    detail = None if words else Phrase("sign-in says nothing")
    if setup.sign_in == SignIn.GOOGLE_SERVICE and _SERVICE_ACCOUNT.search(error):
        return SignInFailed(Trouble.KEY, words, detail)
    for trouble, pattern in _RULES:
        if re.search(pattern, said):
            return SignInFailed(trouble, words, detail)
    return SignInFailed(Trouble.REFUSED, words, detail)


@contextmanager
def telling(setup: EmailSetup, *secret: str) -> Iterator[None]:
    """Turn whatever the libraries raise into SignInFailed, with nothing secret in it or behind it."""
    try:
        yield
    except SignInFailed as failed:
        raise SignInFailed(failed.trouble, scrubbed(failed.words, setup, *secret), failed.detail) from None
    except (RefusedUrl, BadAnswer) as error:
        raise SignInFailed(Trouble.SERVER, detail=error.phrase) from None
    except (requests.RequestException, TransportError) as error:
        innermost = _innermost(error)
        is_certificate = isinstance(innermost, ssl.SSLCertVerificationError)
        trouble = Trouble.CERTIFICATE if is_certificate else Trouble.UNREACHABLE
        raise SignInFailed(trouble, scrubbed(words_of(innermost), setup, *secret)) from None
    except MsalServiceError as error:
        raise SignInFailed(
            Trouble.UNREACHABLE, detail=Phrase("sign-in server error", words=scrubbed(str(error), setup, *secret))
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError) as error:
        # msal finds no tenant, or something that is not the answer of a sign-in server.
        found = re.search(r'AADSTS\d+[^"\r\n]*', str(_innermost(error)))
        if found:
            raise failure(setup, "invalid_tenant", found[0], *secret) from None
        raise SignInFailed(Trouble.SERVER, detail=Phrase("sign-in server not oauth")) from None


def _innermost(error: BaseException) -> BaseException:
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return error


def scrubbed(words: str, setup: EmailSetup, *secret: str) -> str:
    """Words of a provider on one line, not too long, with every secret of the setup and those given made unreadable."""
    for one in sorted(_pieces([*map(setup.secret, SECRETS), *secret]), key=len, reverse=True):
        words = words.replace(one, "***")
    return mime.undeceptive(_CONTROL.sub(" ", words)).strip()[:LONGEST_WORDS]  # JSON may bring lone surrogates


def _pieces(secrets: Iterable[str]) -> Iterator[str]:
    """What must not be seen of secrets: each as it is and as URLs have it, and each long line of a key."""
    for one in secrets:
        for line in re.split(r"\\n|\s|\"", one):
            if len(line) >= 6:
                yield from (line, quote(line, safe=""), quote_plus(line))
        if len(one) >= 4:
            yield one
