"""A server with several addresses: where one does not serve us, the next one does at once (RFC 5321 5.1, RFC 8305)."""

import contextlib
import re
import socket
import time

import pytest

from messaging.delivery.smtp import session
from messaging.delivery.smtp.dialogue import Patience
from messaging.models import AccountPause
from messaging.setup import layers, network
from messaging.wording import in_words
from tests.factories import make_message, set_up, signing_in
from tests.fault_server import CLOSE, RESET, SILENCE, FaultServer
from tests.names import black_hole, has_ipv6
from tests.steps import TIGHT, run_lane

pytestmark = pytest.mark.django_db(transaction=True)

HOST = "mail.example.com"
FIRST, SECOND = "127.0.0.2", "127.0.0.1"


@pytest.fixture
def good(names):
    """The second address, where all is well."""
    names.found[HOST] = [FIRST, SECOND]
    with FaultServer(address=SECOND, port=free_at_both(), auth=["PLAIN"]) as good:
        set_up(good, host=HOST)
        yield good


def free_at_both():
    """A port that no other process has at either address: a server at one of them may be asked for at the other."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind((FIRST, 0))
            with contextlib.suppress(OSError):
                second.bind((SECOND, first.getsockname()[1]))
                return second.getsockname()[1]


def bad(good, **options):
    """A server at the first address, on the same port."""
    return FaultServer(address=FIRST, port=good.port, **options)


def send(patience=None):
    message = make_message("ann@example.com")
    run_lane(**({"patience": patience} if patience else {}))
    message.refresh_from_db()
    return message


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_address_that_swallows_everything_costs_no_message_its_time(good, names):
    names.found[HOST] = ["::1", SECOND]
    with black_hole("::1", good.port):
        assert send(Patience(scale=10)).status == "sent", "within the time a test has, which is less than that"
    assert good.ledger.total() == 1
    assert network.well_first(network.checked_addresses(HOST, 25))[0][1][0] == "::1", "it is about that port alone"
    assert network.well_first(network.checked_addresses(HOST, good.port))[0][1][0] == SECOND, "and remembered"


def test_address_that_refuses_is_passed_over(good):
    assert send().status == "sent"
    assert not AccountPause.objects.exists()


@pytest.mark.parametrize(
    ("stage", "behaviour"),
    [
        ("GREETING", CLOSE),
        ("GREETING", RESET),
        ("GREETING", ("554 5.7.1 no", CLOSE)),
        ("GREETING", ("421 4.3.2 too busy", CLOSE)),
        ("GREETING", SILENCE),
        ("GREETING", b"HTTP/1.1 400 Bad Request\r\n"),
        ("EHLO", CLOSE),
        ("EHLO", SILENCE),
        ("EHLO", ("421 4.3.2 too busy", CLOSE)),
    ],
    ids=str,
)
def test_machine_that_does_not_come_to_serve_us_is_passed_over_and_remembered(good, stage, behaviour):
    with bad(good) as first:
        first.at(stage, behaviour)
        assert send(TIGHT).status == "sent"
        assert first.connections == 1
        run_lane()
        assert send(TIGHT).status == "sent"
        assert first.connections == 1, "the next message does not pay again"
        assert not AccountPause.objects.exists()
    assert good.ledger.total() == 2


def test_machine_that_has_hung_up_before_we_look_is_passed_over(good, monkeypatch):
    connect = session.connect_to_one_of

    def connect_and_be_busy(*arguments):
        found = connect(*arguments)
        time.sleep(0.3)
        return found

    monkeypatch.setattr(session, "connect_to_one_of", connect_and_be_busy)
    with bad(good) as first:
        first.at("GREETING", RESET)
        assert send(TIGHT).status == "sent"


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("behaviour", [CLOSE, RESET])
def test_machine_that_breaks_the_handshake_is_passed_over(names, authority, implicit, behaviour):
    names.found[HOST] = [FIRST, SECOND]
    tls = authority.server_context(name=HOST)
    with FaultServer(tls=tls, implicit=implicit) as good, bad(good, tls=tls, implicit=implicit) as first:
        set_up(good, host=HOST, auth_type="tls-implicit" if implicit else "tls-explicit")
        first.at("HANDSHAKE", behaviour)
        assert send().status == "sent"
        assert (first.connections, good.connections) == (1, 1)


def test_starttls_that_is_not_available_for_now_is_passed_over(names, authority):
    names.found[HOST] = [FIRST, SECOND]
    tls = authority.server_context(name=HOST)
    with FaultServer(tls=tls) as good, bad(good, tls=tls) as first:
        set_up(good, host=HOST, auth_type="tls-explicit")
        first.at("STARTTLS", "454 4.7.0 TLS not available")
        assert send().status == "sent"


def test_password_that_is_refused_is_offered_to_no_other_address(good):
    set_up(good, host=HOST, **signing_in())
    with bad(good, auth=["PLAIN"]) as first:
        first.at("AUTH", "535 5.7.8 no")
        assert send().status == "queued"
    assert "user name or the password" in in_words(AccountPause.objects.get().reason)
    assert good.connections == 0


def test_certificate_that_is_not_good_is_told_at_once(names, authority):
    names.found[HOST] = [FIRST, SECOND]
    good_tls, bad_tls = authority.server_context(name=HOST), authority.server_context(name=HOST, days=-1)
    with FaultServer(tls=good_tls, implicit=True) as good, bad(good, tls=bad_tls, implicit=True):
        set_up(good, host=HOST, auth_type="tls-implicit")
        assert send().status == "queued"
        assert good.connections == 0
    assert "certificate could not be verified" in in_words(AccountPause.objects.get().reason)


@pytest.mark.parametrize("order", [[FIRST, SECOND], [SECOND, FIRST]])
def test_when_all_fail_the_one_that_says_most_is_told(good, names, order):
    names.found[HOST] = [*order, "127.0.0.3"]
    good.at("GREETING", ("554 5.7.1 you are not welcome", CLOSE))
    with bad(good) as first:
        first.at("GREETING", CLOSE)
        message = send()
    pause = AccountPause.objects.get()
    assert in_words(pause.reason) == "The mail server refuses to talk to this machine."
    assert pause.reply_text == "5.7.1 you are not welcome"
    assert (message.status, message.tries, message.attempts.count()) == ("queued", 0, 1)


def test_address_that_works_again_is_the_first_again(good):
    with bad(good) as first:
        first.at("GREETING", [CLOSE])
        send()
        good.at("GREETING", CLOSE)
        send()
        good.mend()
        assert first.connections == 2
        send()
        assert (first.connections, first.ledger.total()) == (3, 2)


@pytest.mark.slow
def test_as_many_silent_addresses_as_there_may_be_do_not_keep_anybody_waiting_for_all_of_them(good, names):
    names.found[HOST] = [f"127.0.0.{number}" for number in range(2, 8)]
    with contextlib.ExitStack() as opened:
        silent = [opened.enter_context(FaultServer(address=each, port=good.port)) for each in names.found[HOST]]
        for server in silent:
            server.at("GREETING", SILENCE)
        assert send(TIGHT).status == "queued"
        assert sum(server.connections for server in silent) == 2


def test_address_that_was_only_slower_is_tried_when_the_faster_one_does_not_serve(good):
    with contextlib.ExitStack() as opened:
        hole = contextlib.ExitStack()
        opened.push(hole)
        hole.enter_context(black_hole(FIRST, good.port))
        first = bad(good)

        def comes_to_life():
            hole.close()
            opened.enter_context(first)
            return ("554 5.7.1 not here", CLOSE)

        good.at("GREETING", comes_to_life)
        assert send().status == "sent"
        assert first.ledger.total() == 1


def test_check_connection_tells_of_each_address(admin, good, names):
    names.found[HOST] = ["127.0.0.3", FIRST, SECOND]
    with bad(good) as first:
        first.at("GREETING", ("554 5.7.1 not from there", CLOSE))
        page = b"".join(admin.post("/setup/email/check/").streaming_content).decode()
    assert "The mail server can be reached." in page
    assert f"127.0.0.3, port {good.port}: The mail server refused the connection." in page
    assert f"127.0.0.2, port {good.port}: The mail server refuses to talk to this machine." in page
    assert "<dd>554 5.7.1 not from there</dd>" in page
    assert re.search(f"Connected to {SECOND}, port {good.port}", page)


def test_check_connection_tells_of_each_address_when_all_fail(admin, good):
    good.at("GREETING", ("554 5.7.1 not from there", CLOSE))
    page = b"".join(admin.post("/setup/email/check/").streaming_content).decode()
    assert f"{FIRST}, port {good.port}: The mail server refused the connection." in page
    assert f"{SECOND}, port {good.port}: The mail server refuses to talk to this machine." in page


# --- Which address is tried when -----------------------------------------------------------------------


def test_families_take_turns_so_that_many_of_one_do_not_hide_the_other(names):
    names.found[HOST] = [*(f"2001:db8::{number}" for number in range(1, 20)), "192.0.2.1", "192.0.2.2"]
    found = [address[0] for _, address in network.checked_addresses(HOST, 25)]
    assert found[:5] == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"]
    assert len(found) == network.MOST_ADDRESSES


@pytest.fixture
def begun(monkeypatch):
    """The sockets that were asked to connect."""
    begun = []
    connect = socket.socket.connect

    def spy(sock, address):
        begun.append(sock)
        return connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", spy)
    return begun


@pytest.mark.slow
def test_what_was_begun_and_not_needed_is_closed(names, begun):
    names.found[HOST] = [FIRST, "127.0.0.3", SECOND]
    with socket.create_server((SECOND, 0)) as listener, black_hole(FIRST, port := listener.getsockname()[1]):
        begun.clear()
        passed = []
        addresses = network.checked_addresses(HOST, port)
        sock = network.connect_to(addresses, 60, lambda address, error: passed.append((address[1][0], type(error))))
        with sock:
            assert sock.getpeername() == (SECOND, port)
            assert sock.gettimeout() == 60
            assert [each is sock or each.fileno() for each in begun] == [-1, -1, True]
    assert passed == [("127.0.0.3", ConnectionRefusedError), (FIRST, network.Slower)]


@pytest.mark.slow
def test_when_none_answers_the_error_that_says_most_is_raised(good, names, begun):
    names.found[HOST] = [FIRST, "127.0.0.3"]
    with black_hole(FIRST, good.port):
        begun.clear()
        with pytest.raises(ConnectionRefusedError):
            network.connect_to(network.checked_addresses(HOST, good.port), 0.5)
        assert [sock.fileno() for sock in begun] == [-1, -1]


def test_only_so_much_is_remembered_and_not_for_ever(monkeypatch):
    now = 0.0
    monkeypatch.setattr(network.time, "monotonic", lambda: now)
    seen = network.Remembered(60.0, 2)
    for thing in "abac":
        seen.note(thing)
    assert [thing for thing in "abc" if thing in seen] == ["a", "c"]
    now = 61.0
    assert not [thing for thing in "abc" if thing in seen]


# --- The name that we give ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["box", "localhost.localdomain", "1.0.0.127.in-addr.arpa", "a..b", "10.0.0.7", ""])
def test_machine_without_a_full_name_gives_the_address_it_has_on_the_connection(name, monkeypatch):
    monkeypatch.setattr(socket, "getfqdn", lambda: name)
    layers._full_name.cache_clear()
    try:
        for address, literal in [("127.0.0.1", "[127.0.0.1]"), ("::1", "[IPv6:::1]")][: 2 if has_ipv6() else 1]:
            with FaultServer(address=address) as server:
                set_up(server, host=address, ehlo_name="")
                send()
                assert server.heard("EHLO") == [f"EHLO {literal}"]
    finally:
        layers._full_name.cache_clear()


def test_machine_whose_name_server_was_away_gives_its_name_without_a_restart(server, monkeypatch):
    layers._full_name.cache_clear()
    set_up(server, ehlo_name="")
    try:
        for minutes, found in [(0, "box"), (11, "mail.brightwater.example")]:
            monkeypatch.setattr(socket, "getfqdn", lambda found=found: found)
            monkeypatch.setattr(layers.time, "monotonic", lambda minutes=minutes: 6000.0 + 60 * minutes)
            send()
        assert server.heard("EHLO") == ["EHLO [127.0.0.1]", "EHLO mail.brightwater.example"]
    finally:
        layers._full_name.cache_clear()


@pytest.mark.parametrize(
    ("own", "literal"),
    [
        (("192.0.2.7", 4711), "[192.0.2.7]"),
        (("2001:db8::7", 4711, 0, 0), "[IPv6:2001:db8::7]"),
        (("fe80::1%eth0", 4711, 0, 2), "[IPv6:fe80::1]"),
        (("::ffff:192.0.2.7", 4711, 0, 0), "[192.0.2.7]"),
    ],
)
def test_address_of_this_machine_as_a_literal(own, literal):
    class Socket:
        def getsockname(self):
            return own

    assert network.address_literal(Socket()) == literal
