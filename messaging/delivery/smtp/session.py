"""A connection to an SMTP server: found, opened at one of its addresses, secured and signed in.

dialogue.py speaks and listens; transaction.py says what follows.
"""

import logging
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError

from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage
from messaging.delivery.smtp import password_sign_in, token_sign_in
from messaging.delivery.smtp.dialogue import (
    Client,
    OnLine,
    Patience,
    StageFailed,
    failing_at,
    is_out_of_files,
    local_failure,
    reply_of,
)
from messaging.delivery.smtp.steps import (
    Gone,
    OnStep,
    Step,
    connected,
    introduced,
    passed_over,
    resolved,
    secured,
    signed_in,
)
from messaging.setup.certificates import tls_context
from messaging.setup.layers import AuthType, EmailSetup
from messaging.setup.network import (
    Checked,
    Slower,
    address_literal,
    checked_addresses,
    connect_to_one_of,
    unwell,
    well_first,
)

log = logging.getLogger(__name__)


class Session:
    """One connection with the settings of one account.

    Args:
        setup: the resolved settings.
        patience: time-outs.
        on_line: called with "C" or "S" and the line, secrets masked; for the test message's dialogue.
        on_step: called with each step of opening that is done.

    `addresses` and `features` are what the name led to and what EHLO brought; `failure` is why opening failed.
    """

    def __init__(
        self, setup: EmailSetup, patience: Patience, on_line: OnLine | None = None, on_step: OnStep | None = None
    ) -> None:
        self.setup = setup
        self.patience = patience
        self.on_line = on_line or (lambda direction, line: None)
        self.on_step = on_step
        self.addresses: list[Checked] = []
        self.features: dict[str, str] = {}
        self.failure: Reply | None = None
        self.transactions = 0
        self.tls = ""
        self._host = setup.host.strip("[]")  # an IPv6 address may come in brackets
        self._client: Client | None = None

    @property
    def is_open(self) -> bool:
        return self._client is not None

    @property
    def server(self) -> str:
        return self.setup.server

    def open(self) -> None:
        """Connect, greet, secure and sign in, as the settings say.

        Raises:
            StageFailed: with the stage at fault. STARTTLS and certificates are never optional once asked for.
            DatabaseError, Gone, OSError: the database or the listener is away, or there is no room for a file.
        """
        problems = self.setup.problems()
        if problems:
            raise StageFailed(Reply(Stage.CONNECT, None, "", LocalError.SETUP, {"problems": problems}))
        try:
            with _unexpected_reported(self.server):
                self._find()
                self._open_any()
        except BaseException as error:
            if isinstance(error, StageFailed):
                self.failure = error.reply
                self._report(error)
            self.close()
            raise
        self.transactions = 0

    def close(self, *, politely: bool = False) -> None:
        """End the connection; with QUIT when the dialogue is in order. Nothing here can change an outcome."""
        client, self._client = self._client, None
        if client is None:
            return
        if politely:
            with suppress(OSError, smtplib.SMTPException):
                client.reply_seconds = 5.0
                client.docmd("QUIT")
        client.close()

    def _report(self, failure: StageFailed) -> None:
        """An error of this machine belongs into the dialogue; what the server said is there already."""
        if failure.reply.error is not None:
            self.on_line("*", failure.reply.said)

    def _find(self) -> None:
        self.on_line("*", f"connecting to {self.server}")
        try:
            self.addresses = well_first(checked_addresses(self._host, self.setup.port))
        except (OSError, UnicodeError) as error:
            raise StageFailed(local_failure(Stage.CONNECT, error)) from error
        self._note(resolved, self._host, self.addresses)

    def _open_any(self) -> None:
        """Open the connection to one of the addresses: the next one where a machine does not come to serve us, before
        anything was sent (RFC 5321 5.1). A fault that is not of that machine alone is told at once.
        """
        left = list(self.addresses)
        failures: list[tuple[StageFailed, Checked]] = []
        # Each may be silent as long as RFC 5321 allows; after two such, those who wait for us have waited long enough.
        until = time.monotonic() + 1.5 * self.patience.seconds(Stage.GREETING)
        while True:
            address = left[0]
            try:
                address = self._connect(left)
                self._open_session()
            except StageFailed as failure:
                self.close()
                failures.append((failure, address))
                if not is_of_one_machine(failure.reply):
                    break
                self._pass_over(address, failure.reply)
                if not left or time.monotonic() > until or self.patience.is_over:
                    break
            else:
                unwell.forget(address)
                return
        telling, address = max(failures, key=lambda each: _fault_of(each[0].reply))
        self.addresses.sort(key=lambda other: other != address)  # for those who find out more
        raise telling

    def _connect(self, left: list[Checked]) -> Checked:
        """Connect to one of the addresses that are left, and take it and those that failed from them.

        One that was only slower stays, as the last.
        """
        self._client = client = Client(self.patience, self.on_line)

        def passed(address: Checked, error: OSError) -> None:
            left.remove(address)
            if isinstance(error, Slower):
                left.append(address)
            self._pass_over(address, local_failure(Stage.CONNECT, error))

        is_first = len(left) == len(self.addresses)
        seconds = self.patience.seconds(Stage.CONNECT) if is_first else self.patience.seconds(Stage.CONNECT) / 10
        try:
            address, sock = connect_to_one_of(list(left), seconds, passed)
            client.sock = sock
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise StageFailed(local_failure(Stage.CONNECT, error)) from error
        left.remove(address)
        self._note(connected, address)
        return address

    def _pass_over(self, address: Checked, reply: Reply) -> None:
        """Remember an address that did not work; tell of it where there are others."""
        unwell.note(address)
        if len(self.addresses) > 1:
            said = f"{reply.code} {reply.said}" if reply.code else reply.said
            self.on_line("*", f"{address[1][0]}: {said}")
            self._note(passed_over, address, reply)

    def _open_session(self) -> None:
        """Greet, secure and sign in, on a connection that has come about."""
        client = self._client
        assert client is not None
        if self.setup.auth_type == AuthType.TLS_IMPLICIT:
            self._secure(client)
        client.expect(Stage.GREETING)
        self._hello(client)
        if self.setup.auth_type == AuthType.TLS_EXPLICIT:
            self._starttls(client)
            self._hello(client)
        if self.setup.signs_in:
            way = token_sign_in if self.setup.uses_oauth else password_sign_in
            self._note(signed_in, self.setup, way.sign_in(client, self.setup))

    def _hello(self, client: Client) -> None:
        assert client.sock is not None
        name = self.setup.ehlo_name or address_literal(client.sock)
        with failing_at(Stage.EHLO):
            client.reply_seconds = self.patience.seconds(Stage.EHLO)
            code, text = client.ehlo(name)
            if 500 <= code < 600:
                code, text = client.helo(name)
        if code != 250:
            raise StageFailed(reply_of(Stage.EHLO, code, text))
        self.features = client.esmtp_features
        self._note(introduced, self.features, isinstance(client.sock, ssl.SSLSocket))

    def _starttls(self, client: Client) -> None:
        if not client.has_extn("starttls"):
            raise StageFailed(Reply(Stage.STARTTLS, None, "", LocalError.NO_STARTTLS))
        client.expect(Stage.STARTTLS, "STARTTLS")
        client.forget_unread()
        self._secure(client)
        client.esmtp_features = {}
        client.does_esmtp = False
        client.ehlo_resp = client.helo_resp = None

    def _secure(self, client: Client) -> None:
        """The TLS handshake, with the certificate verified for the host that Email Setup names."""
        with failing_at(Stage.STARTTLS):
            assert client.sock is not None
            client.sock.settimeout(self.patience.seconds(Stage.STARTTLS))
            context = tls_context(self.setup.ca_bundle)
            client.sock = sock = context.wrap_socket(client.sock, server_hostname=self._host.rstrip("."))
        cipher = sock.cipher()
        self.tls = f"{sock.version()} {cipher[0] if cipher else ''}".strip()
        self.on_line("*", f"secured with {self.tls}, certificate verified for {self._host}")
        self._note(secured, sock)

    def _note(self, step: Callable[..., Step], *about: object) -> None:
        """Tell a step, which is put into words only for someone who hears it."""
        if self.on_step is not None:
            self.on_step(step(*about))


@contextmanager
def _unexpected_reported(server: str) -> Iterator[None]:
    """Turn an error that no one expects into StageFailed: it is recorded, and each message would meet it again.

    Only its name is told, as its words may hold a secret.
    """
    try:
        yield
    except (StageFailed, DatabaseError, Gone):
        raise
    except Exception as error:
        if is_out_of_files(error) or is_out_of_files(error.__cause__):
            raise
        log.exception("opening a connection to %s", server)
        params = {"error": type(error).__name__}
        raise StageFailed(Reply(Stage.CONNECT, None, "", LocalError.UNEXPECTED, params)) from error


def is_of_one_machine(reply: Reply) -> bool:
    """Whether a connection that came about failed for a reason that another address of the server need not have.

    Certificates, protocols and sign-ins are the same everywhere: they are set-up.
    """
    has_hung_up = reply.error in (LocalError.CONNECTION_LOST, LocalError.TIMEOUT)
    if reply.stage in (Stage.GREETING, Stage.EHLO):
        return has_hung_up or reply.error in (None, LocalError.NOT_SMTP)
    if reply.stage == Stage.STARTTLS:
        has_fault = reply.error in (LocalError.TLS, LocalError.TLS_FAULT_THERE)
        return has_hung_up or has_fault or (reply.code is not None and reply.code < 500)
    return False


def _fault_of(reply: Reply) -> tuple[int, bool]:
    """How much a failure tells: the further the dialogue came, the more; a server's reply more than none."""
    return list(Stage).index(reply.stage), reply.code is not None
