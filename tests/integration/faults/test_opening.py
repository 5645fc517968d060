"""Faults before the sign-in is done (1 to 16, and RST there): set-up pauses the account, tries stay unspent."""

import datetime as dt
import itertools
import time

import pytest

from messaging.models import AccountPause, SendAttempt
from messaging.wording import in_words
from tests.certificates import Authority
from tests.factories import make_message, set_up, signing_in
from tests.fault_server import CLOSE, OK, RESET, SILENCE, Drip, FaultServer, Pause
from tests.integration.faults.invariants import check_invariants
from tests.rows import heard, statuses
from tests.steps import AN_HOUR, TIGHT, fault, in_threads, run_lane

pytestmark = pytest.mark.django_db(transaction=True)

REFUSES_ALL = "554 5.7.1 no"


def assert_account_waits_and_goes_on(server, words, patience=TIGHT):
    """Nothing is sent, no try spent, the account is paused and says why; when all is well again, everything goes."""
    messages = [make_message("a@example.com"), make_message("b@example.com", "c@example.com")]
    begun = time.monotonic()
    run_lane(patience=patience)
    assert time.monotonic() - begun < 5
    assert statuses(*messages) == ["queued", "queued"]
    assert [message.tries for message in messages] == [0, 0]
    assert words in in_words(AccountPause.objects.get().reason)
    assert not server.ledger
    assert words in in_words(messages[0].attempts.get().reason), "the attempt tells it, too"
    check_invariants(server, queued=messages, beside=messages[1:])
    connections = server.connections
    run_lane(patience=patience)
    assert server.connections == connections, "no one tries before the probe is due"
    if server.refuses:
        server.listen()
    server.mend()
    run_lane(after=AN_HOUR)
    assert statuses(*messages) == ["sent", "sent"]
    assert not AccountPause.objects.exists()
    check_invariants(server, queued=messages, beside=messages)


@fault(1)
def test_server_that_refuses_the_connection():
    with FaultServer(refuses=True) as server:
        set_up(server)
        assert_account_waits_and_goes_on(server, "refused the connection")


@fault(1)
def test_one_outage_met_by_several_lanes_counts_once(settings):
    settings.CLAIM_SIZE = 1
    with FaultServer(refuses=True) as server:
        set_up(server)
        messages = [make_message(f"c{number}@example.com") for number in range(4)]
        assert not in_threads(4, run_lane)
        attempts = SendAttempt.objects.count()
        run_lane(after=dt.timedelta(seconds=settings.PROBE_GAPS[0] + 1))
        assert SendAttempt.objects.count() == attempts + 1, "the first probe is due after the first gap"
        assert {message.tries for message in messages} == {0}
        check_invariants(server, queued=messages, beside=messages)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "behaviour", "words"),
    [
        pytest.param("GREETING", SILENCE, "did not answer", marks=fault(2), id="2-silence"),
        pytest.param("GREETING", (REFUSES_ALL, CLOSE), "refuses to talk to this machine", marks=fault(3), id="3-554"),
        pytest.param("GREETING", ("421 4.3.2 too busy", CLOSE), "come back later", marks=fault(4), id="4-421"),
        pytest.param("GREETING", b"HTTP/1.1 400 Bad Request\r\n", "did not answer", marks=fault(5), id="5-http"),
        pytest.param("GREETING", b"\xff\x00" * 9000, "did not answer", marks=fault(5), id="5-oversized-garbage"),
        pytest.param("GREETING", CLOSE, "did not answer", marks=fault(5), id="5-closes-unasked"),
        pytest.param("EHLO", CLOSE, "broke off", marks=fault(6), id="6-closes-after-ehlo"),
        pytest.param("EHLO", ("250-half a reply", CLOSE), "broke off", marks=fault(6), id="6-closes-in-the-reply"),
        pytest.param("EHLO", SILENCE, "broke off", marks=fault(6), id="6-silence"),
        pytest.param("GREETING", Drip("220 " + "x" * 500), "did not answer", marks=fault(33), id="33-drip-greeting"),
        pytest.param("EHLO", Drip("250 " + "x" * 500), "broke off", marks=fault(33), id="33-drip-ehlo"),
        pytest.param("GREETING", (Pause(0.05), RESET), "did not answer", marks=fault(34), id="34-rst-greeting"),
        pytest.param("EHLO", RESET, "broke off", marks=fault(34), id="34-rst-ehlo"),
    ],
)
def test_server_that_does_not_get_as_far_as_serving(stage, behaviour, words):
    with FaultServer() as server:
        set_up(server)
        server.at(stage, behaviour)
        assert_account_waits_and_goes_on(server, words)


@fault(7)
def test_server_that_knows_only_helo_is_served():
    with FaultServer(esmtp=False, pipelining=False) as server:
        set_up(server)
        messages = [make_message("a@example.com"), make_message("b@example.com")]
        run_lane()
        assert statuses(*messages) == ["sent", "sent"]
        assert server.heard("HELO") == ["HELO t.example"]
        assert server.heard("MAIL")[0] == "MAIL FROM:<office@brightwater.example>"
        check_invariants(server, queued=messages, beside=messages)


@fault(7)
def test_server_that_refuses_helo_as_well():
    with FaultServer(esmtp=False) as server:
        set_up(server)
        server.at("HELO", REFUSES_ALL)
        assert_account_waits_and_goes_on(server, "refuses to talk to this machine")


@pytest.mark.parametrize(
    ("stage", "behaviour", "words"),
    [
        pytest.param("STARTTLS", "454 4.7.0 TLS not available", "come back later", marks=fault(9), id="9-454"),
        pytest.param("STARTTLS", "554 5.7.3 no", "refused the secure connection", marks=fault(9), id="9-554"),
        pytest.param("HANDSHAKE", CLOSE, "(TLS) to the mail server failed", marks=fault(10), id="10-closes"),
        pytest.param("HANDSHAKE", b"250 this is no TLS\r\n" * 9, "TLS", marks=fault(10), id="10-garbage"),
        pytest.param("HANDSHAKE", SILENCE, "broke off", marks=fault(10), id="10-silence"),
        pytest.param("STARTTLS", RESET, "broke off", marks=fault(34), id="34-rst-starttls"),
        pytest.param("HANDSHAKE", RESET, "broke off", marks=fault(34), id="34-rst-handshake"),
    ],
)
def test_starttls_that_does_not_come_about(authority, stage, behaviour, words):
    with FaultServer(tls=authority.server_context()) as server:
        set_up(server, auth_type="tls-explicit")
        server.at(stage, behaviour)
        assert_account_waits_and_goes_on(server, words)
        assert {"MAIL", "DATA"}.isdisjoint(line[:4] for number, line in server.commands if number == 1)


@fault(8)
def test_starttls_missing_though_required_never_falls_back_to_clear_text(authority):
    with FaultServer() as server:
        set_up(server, auth_type="tls-explicit", **signing_in())
        messages = [make_message("a@example.com"), make_message("b@example.com")]
        run_lane()
        assert "offers no STARTTLS" in in_words(AccountPause.objects.get().reason)
        assert [line[:4] for _, line in server.commands if line != "QUIT"] == ["EHLO"], "no password, no message"
        check_invariants(server, queued=messages, beside=messages)


@fault(10)
def test_implicit_tls_of_a_server_that_breaks_the_handshake(authority):
    with FaultServer(tls=authority.server_context(), implicit=True) as server:
        set_up(server, auth_type="tls-implicit")
        server.at("HANDSHAKE", b"220 this is no TLS\r\n")
        assert_account_waits_and_goes_on(server, "TLS")


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        pytest.param({"days": -1}, "expired", marks=fault(11), id="11-expired"),
        pytest.param({"name": "other.example"}, "not valid for", marks=fault(12), id="12-other-name"),
        pytest.param("self-signed", "self-signed", marks=fault(13), id="13-self-signed"),
        pytest.param("stranger", "certificate signature failure", marks=fault(13), id="13-unknown-authority"),
    ],
)
def test_certificate_that_cannot_be_verified(authority, tmp_path_factory, implicit, certificate, words):
    if certificate == "self-signed":
        context = authority.self_signed_context()
    elif certificate == "stranger":
        context = Authority(tmp_path_factory.mktemp("stranger")).server_context()
    else:
        context = authority.server_context(**certificate)
    with FaultServer(tls=context, implicit=implicit) as server:
        set_up(server, auth_type="tls-implicit" if implicit else "tls-explicit", **signing_in())
        messages = [make_message("a@example.com"), make_message("b@example.com")]
        run_lane()
        pause = AccountPause.objects.get()
        assert in_words(pause.reason) == "The mail server’s certificate could not be verified."
        assert words in pause.reply_text
        assert server.heard("AUTH") == server.heard("MAIL") == []
        check_invariants(server, queued=messages, beside=messages)
        server.tls = authority.server_context()
        run_lane(after=AN_HOUR)
        assert statuses(*messages) == ["queued", "queued"], "it offers no way to sign in, which is told by now"
        assert "no way to sign in" in in_words(AccountPause.objects.get().reason)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        pytest.param("535 5.7.8 no", "refused the user name or the password", marks=fault(14), id="14-535"),
        pytest.param("454 4.7.0 later", "come back later", marks=fault(15), id="15-454"),
        pytest.param("421 4.7.0 too many sign-ins", "come back later", marks=fault(15), id="15-421"),
        pytest.param("334 abc", "broke off", marks=fault(14), id="14-challenge-that-is-no-base64"),
        pytest.param(Drip("235 " + "x" * 500), "broke off", marks=fault(33), id="33-drip-auth"),
        pytest.param(RESET, "broke off", marks=fault(34), id="34-rst-auth"),
    ],
)
def test_sign_in_that_fails(behaviour, words):
    mechanism = "CRAM-MD5" if behaviour == "334 abc" else "PLAIN"
    with FaultServer(auth=[mechanism]) as server:
        set_up(server, **signing_in())
        server.at("AUTH", behaviour)
        assert_account_waits_and_goes_on(server, words)


@fault(16)
@pytest.mark.parametrize("auth", [(), ("NTLM", "GSSAPI"), ("X\0Y",)], ids=["none", "others", "nonsense"])
def test_sign_in_that_is_not_offered(auth):
    with FaultServer(auth=auth) as server:
        set_up(server, **signing_in())
        messages = [make_message("a@example.com"), make_message("b@example.com")]
        run_lane()
        assert "no way to sign in" in in_words(AccountPause.objects.get().reason)
        assert (" ".join(auth).replace("\0", "\ufffd") or "none") in heard(AccountPause.objects.get())
        check_invariants(server, queued=messages, beside=messages)
        server.auth = ["PLAIN"]
        run_lane(after=AN_HOUR)
        assert statuses(*messages) == ["sent", "sent"]


@fault(14, 15)
def test_sign_in_refused_for_a_while_is_probed_until_it_works():
    with FaultServer(auth=["LOGIN"]) as server:
        set_up(server, **signing_in())
        server.at("AUTH", ["454 4.7.0 later", "535 5.7.8 no", OK])
        messages = [make_message("a@example.com"), make_message("b@example.com")]
        for hours in range(3):
            assert statuses(*messages) == ["queued", "queued"]
            run_lane(after=hours * AN_HOUR)
        assert statuses(*messages) == ["sent", "sent"]
        assert messages[0].tries == 1
        check_invariants(server, queued=messages, beside=messages)


@pytest.mark.slow
def test_fault_after_the_sign_in_is_probed_less_and_less_often():
    with FaultServer() as server:
        set_up(server)
        server.at("MAIL", "530 5.7.0 Authentication required")
        message = make_message("a@example.com")
        tried = []
        for minute in range(61):
            before = server.connections
            run_lane(after=minute * AN_HOUR / 60)
            tried += [minute] if server.connections > before else []
        gaps = [later - earlier for earlier, later in itertools.pairwise(tried)]
        assert gaps == sorted(gaps)
        assert gaps[0] <= 2 < 10 < gaps[-1]
        check_invariants(server, queued=[message], beside=[message])
