"""HTTP to sign-in servers, for whichever library asks: over TLS, to addresses that were checked, and nowhere else.

No redirects, no proxies, nothing from the environment; every answer in a bounded time and of a bounded size.
"""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from messaging.models import Phrase
from messaging.setup import network
from messaging.setup.certificates import make_tls_context
from messaging.setup.oauth.grants import BadAnswer, RefusedUrl
from messaging.setup.oauth.time_left import left, within
from messaging.setup.servers import is_loopback

# For each of at most eight addresses, tried beside each other.
CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
SESSION_SECONDS = 30.0  # for all that one session asks, however slowly it is answered
MAX_OCTETS = 256 * 1024


@contextmanager
def session(ca_bundle: str = "") -> Iterator[requests.Session]:
    """A session that trusts the system's certificate authorities and those of `ca_bundle` (PEM).

    Its requests raise requests.RequestException, and RefusedUrl and BadAnswer, which no library takes for an outage.
    They are over after SESSION_SECONDS together, or as time_left.within says.
    """
    with within(SESSION_SECONDS), requests.Session() as opened:
        opened.trust_env = False
        opened.headers["Accept-Encoding"] = "identity"
        opened.adapters.clear()
        opened.mount("https://", _Adapter(ca_bundle))
        opened.mount("http://", _Adapter(ca_bundle))
        yield opened


def check(url: str) -> None:
    """Whether a sign-in server may be at this address. Raises RefusedUrl."""
    parts = urlsplit(url)
    if not parts.hostname or "@" in parts.netloc:
        raise RefusedUrl(Phrase("sign-in url not whole"))
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise RefusedUrl(Phrase("sign-in url not https"))


class _Adapter(HTTPAdapter):
    def __init__(self, ca_bundle: str) -> None:
        self._context = make_tls_context(ca_bundle)
        self._context.sslsocket_class = _TLSSocket
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing beside the context: requests would bring a list of authorities of its own."""

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, *args: Any, **options: Any
    ) -> requests.Response:
        check(request.url or "")
        give_up = time.monotonic() + READ_SECONDS
        try:
            timeout = left(CONNECT_SECONDS), left(READ_SECONDS)
        except TimeoutError as error:
            raise requests.Timeout(str(error)) from error
        asked = options | {"timeout": timeout, "verify": True, "proxies": {}}
        response = super().send(request, stream=True, **asked)
        with response:
            if 300 <= response.status_code < 400:
                raise RefusedUrl(Phrase("sign-in redirects"))
            try:
                response._content = _read(response.raw, give_up)
            except (HTTPError, OSError) as error:
                raise requests.ConnectionError(str(error)) from error
        return response


def _read(raw: Any, give_up: float) -> bytes:
    body = bytearray()
    while piece := raw.read1(16384):
        body += piece
        if len(body) > MAX_OCTETS:
            raise BadAnswer(Phrase("sign-in too long"))
        if time.monotonic() > give_up:
            raise BadAnswer(Phrase("sign-in too slow"))
    return bytes(body)


class _Socket(socket.socket):
    """One that reads no longer than its session lasts: otherwise each byte would get its own time."""

    def recv_into(self, *args: Any, **options: Any) -> int:
        self.settimeout(left(READ_SECONDS))
        return super().recv_into(*args, **options)


class _TLSSocket(ssl.SSLSocket):
    """The same over TLS."""

    def recv_into(self, *args: Any, **options: Any) -> int:
        self.settimeout(left(READ_SECONDS))
        return super().recv_into(*args, **options)


def _connect(connection: HTTPConnection) -> socket.socket:
    """A socket to the first address that may be connected to; TLS then verifies the name (RFC 9110 4.3.4)."""
    try:
        sock = _Socket(fileno=network.connect(connection.host, connection.port, left(CONNECT_SECONDS)).detach())
    except network.RefusedAddress as error:
        raise RefusedUrl(Phrase("sign-in url forbidden", host=error.host, address=error.address)) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, "no answer in time") from error
    except OSError as error:
        raise NewConnectionError(connection, str(error)) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(left(READ_SECONDS))  # for the TLS handshake, which comes before anything is read
    return sock


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _TLSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection
