"""Providers of sign-ins on loopback: Microsoft's and Google's endpoints as their libraries call them, and any other.

Over HTTPS, with a ledger of who asked for what. Refresh tokens are used up: each gives a new one, and one used twice
ends the whole sign-in, as RFC 9700 4.14.2 wants it. `secrets` is everything that must never be seen.
"""

import base64
import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote_plus

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

TENANT = "brightwater.example"
CLIENT = "11111111-2222-3333-4444-555555555555"
SERVICE_ACCOUNT = "outtray@project.iam.gserviceaccount.example"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"

KEYS = itertools.cycle([rsa.generate_private_key(65537, 2048) for _ in range(2)])  # they take their time


class Dripping:
    """Writes a byte at a time."""

    def __init__(self, file, seconds):
        self.file, self.seconds = file, seconds

    def write(self, octets):
        for octet in octets:
            self.file.write(bytes([octet]))
            self.file.flush()
            time.sleep(self.seconds)

    def __getattr__(self, name):
        return getattr(self.file, name)


class Refused(Exception):
    def __init__(self, error, description, status=400):
        self.answer = {"error": error, "error_description": description}
        self.status = status


@dataclass
class Asked:
    path: str
    form: dict
    client: str = ""


@dataclass
class Device:
    code: str
    user_code: str
    state: str = "authorization_pending"


@dataclass
class Identity:
    """`fails` is answered to every request for a token while it is set: (status, body), or Refused."""

    context: object
    lasts: int = 3600
    interval: int = 5  # seconds between two looks at a sign-in by code
    delegated: bool = True  # Google Workspace lets the service account act for its users
    fails: object = None
    spoils: str = ""  # stands at the end of every access token
    adds: dict = field(default_factory=dict)  # stands in every answer with a token
    adds_to_code: dict = field(default_factory=dict)  # and in every one with a code for a sign-in elsewhere
    drips: float = 0.0  # seconds for each byte of an answer
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list = field(default_factory=list)
    tokens: dict = field(default_factory=dict)  # token: the only user it is good for, "" for any
    sign_ins: dict = field(default_factory=dict)  # refresh token: name of the sign-in
    used: dict = field(default_factory=dict)
    devices: dict = field(default_factory=dict)
    secrets: set = field(default_factory=set)

    def __post_init__(self):
        self.gate.set()
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.client_secret = self._secret("client-secret")
        self.key = next(KEYS)

    def __enter__(self):
        identity = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                identity._answer(self, {})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                identity._answer(self, {name: values[0] for name, values in parse_qs(body).items()})

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda request, address: None  # a client that does not trust us hangs up
        self.url = f"https://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    # --- What a test asks and says -------------------------------------------------------------

    def sign_in(self):
        """A person signs in: the refresh token of that."""
        return self._refresh_token(f"sign-in {next(self.numbers)}")

    def revoke(self):
        """End every sign-in and every token."""
        self.sign_ins.clear()
        self.tokens.clear()

    def takes_token(self, user, token):
        """What the mail server asks."""
        return self.tokens.get(token) in ("", user)

    @property
    def token_requests(self):
        return [asked for asked in self.asked if "grant_type" in asked.form]

    def key_file(self, **changed):
        """The service account's key, as Google hands it out."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        self.secrets.update(line for line in pem.splitlines() if len(line) > 40)
        key = {
            "type": "service_account",
            "client_email": SERVICE_ACCOUNT,
            "private_key_id": "1",
            "private_key": pem,
            "token_uri": "http://169.254.169.254/token",  # someone has been at the file
        }
        return json.dumps(key | changed)

    # --- The endpoints -------------------------------------------------------------------------

    def _answer(self, handler, form):
        asked = Asked(handler.path, form, self._basic(handler.headers.get("Authorization", "")))
        with self.lock:
            self.asked.append(asked)
        self.gate.wait(10)
        location = None
        try:
            status, answer = 200, self._dispatch(asked)
        except Refused as refused:
            status, answer = refused.status, refused.answer
        if isinstance(answer, tuple):
            status, answer = answer
        if isinstance(answer, str) and answer.startswith("Location: "):
            location = answer.removeprefix("Location: ")
        body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        if self.drips:
            handler.wfile = Dripping(handler.wfile, self.drips)
        handler.send_response(status)
        if location:
            handler.send_header("Location", location)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _dispatch(self, asked):
        tenant, _, rest = asked.path.strip("/").partition("/")
        if rest == "v2.0/.well-known/openid-configuration":
            return self._configuration(tenant)
        if rest == "oauth2/v2.0/devicecode":
            return self._device(asked.form)
        if self.fails is not None:
            if isinstance(self.fails, Refused):
                raise self.fails
            return self.fails
        with self.lock:
            if rest == "oauth2/v2.0/token":
                return self._microsoft(asked.form)
            if asked.path == "/google/token":
                return self._google(asked.form)
            if asked.path == "/token":
                return self._any(asked)
        return 404, "not here"

    def _configuration(self, tenant):
        if tenant != TENANT:
            words = f"AADSTS90002: Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."
            raise Refused("invalid_tenant", words)
        base = f"{self.url}/{tenant}/oauth2/v2.0"
        return {
            "issuer": f"{self.url}/{tenant}/v2.0",
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "device_authorization_endpoint": f"{base}/devicecode",
        }

    def _microsoft(self, form):
        if form["client_id"] != CLIENT:
            words = f"AADSTS700016: Application with identifier '{form['client_id']}' was not found in the directory."
            raise Refused("unauthorized_client", words)
        if form["grant_type"] == "client_credentials":
            if form.get("client_secret") != self.client_secret:
                words = "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent is the value."
                raise Refused("invalid_client", f"{words} Sent: {form.get('client_secret')}", 401)
            assert form["scope"] == "https://outlook.office365.com/.default"
            return self._grant()
        if form["grant_type"] == DEVICE_CODE:
            return self._device_grant(form["device_code"])
        assert "client_secret" not in form, "AADSTS700025: a public client has none"
        assert "offline_access" in form["scope"]
        assert "https://outlook.office.com/SMTP.Send" in form["scope"]
        return self._refreshed(form["refresh_token"], "AADSTS700082: The refresh token has expired due to inactivity.")

    def _device(self, form):
        number = next(self.numbers)
        device = Device(self._secret("device-code"), f"CODE{number:05d}")
        self.devices[device.code] = device
        return {
            "user_code": device.user_code,
            "device_code": device.code,
            "verification_uri": "https://login.example/device",
            "expires_in": 900,
            "interval": self.interval,
            "message": "To sign in, use a web browser",
        } | self.adds_to_code

    def _device_grant(self, code):
        device = self.devices[code]
        if device.state != "signed in":
            raise Refused(device.state, f"AADSTS70016: {device.state}")
        del self.devices[code]
        return self._grant(refresh_token=self.sign_in())

    def _google(self, form):
        if form["grant_type"] == JWT_BEARER:
            try:
                claims = jwt.decode(
                    form["assertion"], self.key.public_key(), ["RS256"], audience="https://oauth2.googleapis.com/token"
                )
            except jwt.InvalidTokenError as error:
                raise Refused("invalid_grant", "Invalid JWT Signature.") from error
            assert claims["iss"] == SERVICE_ACCOUNT
            assert claims["scope"] == "https://mail.google.com/"
            if not self.delegated:
                words = "Client is unauthorized to retrieve access tokens using this method, or client not authorized"
                raise Refused("unauthorized_client", f"{words} for any of the scopes requested.", 401)
            return self._grant(user=claims["sub"])
        self._check_client(form["client_id"], form["client_secret"])
        return self._refreshed(form["refresh_token"], "Token has been expired or revoked.")

    def _any(self, asked):
        client, _, secret = asked.client.partition(":")
        self._check_client(client or asked.form["client_id"], secret or self.client_secret)
        if asked.form["grant_type"] == "client_credentials":
            return self._grant()
        return self._refreshed(asked.form["refresh_token"], "The refresh token is not active.")

    def _check_client(self, client, secret):
        if (client, secret) != (CLIENT, self.client_secret):
            raise Refused("invalid_client", "The provided client secret is invalid.", 401)

    @staticmethod
    def _basic(header):
        if not header.startswith("Basic "):
            return ""
        client, _, secret = base64.b64decode(header[6:]).decode().partition(":")
        return f"{unquote_plus(client)}:{unquote_plus(secret)}"

    # --- Tokens --------------------------------------------------------------------------------

    def _refreshed(self, refresh_token, ended):
        sign_in = self.sign_ins.pop(refresh_token, None)
        if sign_in is None:
            stolen = self.used.get(refresh_token)
            self.sign_ins = {token: name for token, name in self.sign_ins.items() if name != stolen}
            raise Refused("invalid_grant", f"{ended} It was {refresh_token}.")
        self.used[refresh_token] = sign_in
        return self._grant(refresh_token=self._refresh_token(sign_in))

    def _refresh_token(self, sign_in):
        token = self._secret("refresh-token")
        self.sign_ins[token] = sign_in
        return token

    def _grant(self, user="", **more):
        token = self._secret("access-token") + self.spoils
        self.tokens[token] = user
        return {"token_type": "Bearer", "access_token": token, "expires_in": self.lasts, **more} | self.adds

    def _secret(self, name):
        secret = f"{name}-{next(self.numbers)}/+~{time.time_ns():x}"
        self.secrets.add(secret)
        return secret
