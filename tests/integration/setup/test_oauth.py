"""Modern sign-in: tokens from providers on loopback, and a mail server that asks the provider whether they are good."""

import base64
import datetime as dt
import json
import logging
import re
import socket
import threading

import pytest
from django.db import connections
from django.utils import timezone

from messaging import connection_check, housekeeping
from messaging.delivery.outcomes import meanings
from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage, judge
from messaging.models import AccessToken, AccountPause, Message
from messaging.setup import changes
from messaging.setup.fields import SECRETS
from messaging.setup.layers import resolve
from messaging.setup.oauth import grants, providers, tokens
from messaging.setup.oauth.tokens import SignInFailed, access_token
from messaging.wording import advice, in_words
from tests.certificates import Authority
from tests.factories import make_message
from tests.fault_server import FaultServer
from tests.identity import CLIENT, TENANT, Identity, Refused
from tests.pages import source
from tests.rows import dump, heard
from tests.sizes import matrix, sampled
from tests.steps import elsewhere, run_lane, still_there

pytestmark = pytest.mark.django_db(transaction=True)

USER = "office@brightwater.example"
WAYS = ["microsoft-app", "microsoft-user", "google-service", "google-user", "oauth2"]


@pytest.fixture
def server(ca, identity):
    with FaultServer(auth=["LOGIN", "XOAUTH2"], tls=ca.server_context(), takes_token=identity.takes_token) as server:
        yield server


@pytest.fixture
def sign_in_by(ca, identity, server):
    """Sets the company's Email Setup to one way of signing in."""

    def set_up_way(way, **values):
        return set_up_sign_in(ca, identity, server, way, **values)

    return set_up_way


def set_up_sign_in(ca, identity, server, way, account=None, **values):
    common = {
        "send_type": 3, "auth_type": "tls-explicit", "host": "127.0.0.1", "port": server.port, "username": USER,
        "ehlo_name": "t.example", "sign_in": way, "ca_bundle": (ca.folder / "ca.pem").read_text(),
    }  # fmt: skip
    microsoft = {"token_url": identity.url, "tenant": TENANT, "client_id": CLIENT}
    google = {"token_url": f"{identity.url}/google/token"}
    own = {
        "microsoft-app": microsoft | {"client_secret": identity.client_secret},
        "microsoft-user": microsoft | {"refresh_token": identity.sign_in()},
        "google-service": google | {"service_account": identity.key_file()},
        "google-user": google
        | {"client_id": CLIENT, "client_secret": identity.client_secret, "refresh_token": identity.sign_in()},
        "oauth2": {
            "token_url": f"{identity.url}/token", "client_id": CLIENT, "client_secret": identity.client_secret,
            "refresh_token": identity.sign_in(),
        },
    }  # fmt: skip
    changes.save(account, common | own[way] | values, by=None)
    return resolve(account)


def deliver(**options):
    """Put a message into the queue and run a lane over it."""
    message = make_message("ann@example.com")
    run_lane(**options)
    message.refresh_from_db()
    return message


def sees_no_secret(identity, *texts):
    """Whatever is secret stands in none of these texts, and in no column of the database in clear."""
    held = [*texts, *dump()]
    for text in held:
        found = [secret for secret in identity.secrets if secret in text or secret.replace("/", "%2F") in text]
        assert not found, text
    return len(held)


# --- A message goes out --------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_message_goes_out_over_each_way_to_sign_in(way, sign_in_by, identity, server, caplog):
    caplog.set_level(logging.DEBUG)
    sign_in_by(way)
    message = deliver()
    assert message.status == "sent", (in_words(message.reason), message.attempts.last().reply_text)
    assert message.attempts.last().tls.startswith("TLS")
    assert server.heard("AUTH")[0].startswith("AUTH XOAUTH2 ")
    assert len(identity.token_requests) == 1
    assert deliver().status == "sent"
    assert len(identity.token_requests) == 1, "the token at hand is used again"
    sees_no_secret(identity, caplog.text)


@pytest.mark.parametrize(("way", "end"), matrix(WAYS, ["ü", "\x01auth=x", "\r\n", "\udc80"]))
def test_token_that_no_mail_server_can_be_given_is_told_and_not_sent(way, end, sign_in_by, identity, server):
    sign_in_by(way)
    identity.spoils = end
    message = deliver()
    assert message.status == "queued"
    assert not server.heard("AUTH")
    assert heard(message.attempts.last()) == "The sign-in server’s token has characters that no token may have."


ODD_ANSWERS = [
    {"refresh_token": "\ud800"},
    {"refresh_token": "x\0y"},
    {"refresh_token": 5},
    {"id_token": "x"},
    {"access_token": 5},
    {"access_token": ["a"]},
    {"expires_in": 1e300},
    {"expires_in": 10**30},
    {"expires_in": -1e9},
]


@pytest.mark.parametrize(("way", "odd"), matrix(WAYS, ODD_ANSWERS))
def test_answer_that_is_odd_is_made_do_with_or_told_and_costs_no_message_a_try(way, odd, sign_in_by, identity, server):
    sign_in_by(way)
    identity.adds = odd
    message = deliver()
    if message.status == "sent":
        assert server.heard("AUTH")
        assert not AccountPause.objects.exists()
        return
    assert (message.status, message.tries) == ("queued", 0)
    assert AccountPause.objects.get().reason.key in (meanings.SIGN_IN_SERVER.key, meanings.SIGN_IN_REFUSED.key)
    assert not server.heard("AUTH")
    identity.adds = {}
    sign_in_by(way)
    run_lane(after=dt.timedelta(hours=1))
    message.refresh_from_db()
    assert message.status == "sent"


@pytest.mark.parametrize("way", ["microsoft-user", "google-user", "oauth2"])
@pytest.mark.parametrize("odd", ["\ud800", "x\0y", "ü", 5, ["a"]])
def test_refresh_token_that_is_none_is_told(way, odd, sign_in_by, identity):
    sign_in_by(way)
    identity.adds = {"refresh_token": odd}
    message = deliver()
    assert heard(message.attempts.get()) == "The sign-in server’s token has characters that no token may have."
    assert (message.status, message.tries) == ("queued", 0)


def test_client_without_a_refresh_token_signs_in_for_itself(sign_in_by, identity):
    sign_in_by("oauth2", refresh_token="", scope="smtp mail")
    assert deliver().status == "sent"
    assert identity.token_requests[0].form == {"grant_type": "client_credentials", "scope": "smtp mail"}


def test_scope_of_the_layer_is_asked_for(sign_in_by, identity):
    sign_in_by("microsoft-user", scope="https://outlook.office.com/SMTP.Send offline_access https://example.com/more")
    assert deliver().status == "sent"
    asked = identity.token_requests[0].form["scope"].split()
    assert "https://example.com/more" in asked


def test_server_that_knows_oauthbearer_only(sign_in_by, server, ca):
    server.auth = ["PLAIN", "OAUTHBEARER"]
    sign_in_by("google-user")
    assert deliver().status == "sent"
    assert server.heard("AUTH")[0].startswith("AUTH OAUTHBEARER ")


def test_oauthbearer_where_the_server_offers_xoauth2_and_does_not_know_it(sign_in_by, server, ca):
    server.auth = ["XOAUTH2", "OAUTHBEARER"]
    server.at("AUTH", ["504 5.5.4 Unrecognized authentication type"])
    sign_in_by("google-user")
    assert deliver().status == "sent"
    assert [line.split()[1] for line in server.heard("AUTH")] == ["XOAUTH2", "OAUTHBEARER"]


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_refused_token_is_told_with_what_the_server_says_of_it(mechanism, sign_in_by, server, identity):
    server.auth, server.takes_token = [mechanism], lambda user, token: False
    sign_in_by("google-service")
    message = deliver()
    attempt = message.attempts.last()
    assert in_words(attempt.reason) == meanings.TOKEN_REFUSED.explanation
    assert (attempt.reply_code, attempt.enhanced_code) == (535, "5.7.8")
    assert attempt.reply_text == "5.7.8 not accepted (status: 400, schemes: Bearer, scope: https://mail.google.com/)"
    assert len(server.heard("AUTH")) == 1, "a token that was issued just now is not asked for again"


ODD_REASONS = {
    "half a character": json.dumps({"status": "\ud800"}),
    "NUL": json.dumps({"status": "a\0b"}),
    "other direction": json.dumps({"status": "\u202elive\u2066"}),
    "control characters": json.dumps({"scope": "a\r\n\x1b[31m\x9bb"}),
    "no text": json.dumps({"status": [[1]], "scope": {"a": float("nan")}}),
    "deep": "[" * 1450,
    "long number": '{"status": %s}' % ("9" * 1400),
}


@pytest.mark.parametrize("kind", ODD_REASONS)
def test_reason_for_refusing_a_token_is_recorded_and_shown_whatever_it_is(kind, sign_in_by, server, admin):
    server.auth, server.takes_token = ["XOAUTH2"], lambda user, token: False
    server.at("AUTH", f"334 {base64.b64encode(ODD_REASONS[kind].encode()).decode()}")
    sign_in_by("google-service")
    message = deliver()
    assert (message.status, message.tries) == ("queued", 0)
    attempt, pause = message.attempts.get(), AccountPause.objects.get()
    assert in_words(pause.reason) == meanings.TOKEN_REFUSED.explanation
    assert attempt.reply_text.startswith("5.7.8 not accepted")
    pages = [
        source(admin.get(message.get_absolute_url())),
        source(admin.post("/setup/email/check/")),
        source(admin.post("/setup/email/test/", {"recipient": "ann@example.com"})),
    ]
    assert not [page for page in pages if re.search("[\0\x1b\x9b\u202e\u2066]", page)]
    assert not [page for page in pages if meanings.TOKEN_REFUSED.explanation not in page]


def test_answer_that_is_no_text_is_told_as_far_as_it_is(sign_in_by, identity):
    """JSON may bring half a character, which no database keeps."""
    identity.fails = Refused("invalid_grant", "the \ud800 user\x1b is \u202egone")
    sign_in_by("google-user")
    message = deliver()
    assert message.status == "queued"
    assert "the \ufffd user  is \ufffdgone" in heard(message.attempts.last())


def test_token_that_was_ended_early_is_asked_for_anew_on_the_same_connection(sign_in_by, server, identity, clock):
    sign_in_by("microsoft-app")
    assert deliver().status == "sent"
    identity.tokens.clear()
    clock.goes_on(minutes=10)
    message = deliver(clock=clock)
    assert message.status == "sent"
    assert len(identity.token_requests) == 2
    assert server.connections == 2, "one per message"
    assert len([line for number, line in server.commands if number == 2 and line.startswith("AUTH")]) == 2


def test_server_without_modern_sign_in_is_explained(sign_in_by, server):
    server.auth = ["PLAIN", "LOGIN"]
    sign_in_by("microsoft-app")
    attempt = deliver().attempts.last()
    assert in_words(attempt.reason) == meanings.NO_TOKEN_SIGN_IN.explanation
    assert heard(attempt) == "sign-in mechanisms offered: PLAIN LOGIN"
    assert not server.heard("AUTH"), "neither a token nor a password was sent"


def test_dialogue_of_the_test_message_shows_no_token(sign_in_by, identity, operator):
    sign_in_by("google-service")
    *steps, end = connection_check.send_test_message(None, "ann@example.com", operator)
    assert end.ok
    said = [line for direction, line, _ in end.dialogue if direction == "C"]
    place = said.index("AUTH XOAUTH2 ***")
    assert said[place + 1] == "***"
    assert not [line for line in said if "AUTH XOAUTH2" in line and not line.endswith(" ***")]
    sees_no_secret(identity, repr(end), repr(steps))


def test_token_that_the_mail_server_repeats_is_told_to_nobody(sign_in_by, identity, server, operator):
    token = access_token(sign_in_by("oauth2"))
    words = base64.b64encode(f"user={USER}\1auth=Bearer {token}\1\1".encode()).decode()
    server.at("AUTH", f"535 5.7.8 not good: {token} {words}")
    *steps, end = connection_check.send_test_message(None, "ann@example.com", operator)
    assert "5.7.8 not good: *** ***" in repr(end.dialogue)
    assert words not in repr(end)
    sees_no_secret(identity, repr(end), repr(steps))


# --- The token at hand ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_token_is_renewed_five_minutes_before_it_ends(way, sign_in_by, identity):
    setup, now = sign_in_by(way), timezone.now()
    first = access_token(setup, now)
    assert access_token(setup, now + dt.timedelta(minutes=54, seconds=50)) == first
    later = now + dt.timedelta(minutes=55, seconds=10)
    second = access_token(setup, later)
    assert second != first
    assert access_token(setup, later) == second
    third = access_token(setup, later + dt.timedelta(hours=1))
    assert third not in (first, second), "with the refresh token that came last"
    assert len(identity.token_requests) == 3


def test_short_lived_token_is_used_for_half_of_its_time(sign_in_by, identity):
    identity.lasts = 300
    setup, now = sign_in_by("oauth2"), timezone.now()
    first = access_token(setup, now)
    assert access_token(setup, now + dt.timedelta(seconds=140)) == first
    assert access_token(setup, now + dt.timedelta(seconds=160)) != first


def test_accounts_that_share_a_refresh_token_share_its_successors(sign_in_by, ca, identity, server, operator):
    company = sign_in_by("microsoft-user")
    changes.save(operator, {"username": "anna@brightwater.example"}, by=None)
    now = timezone.now()
    for hours in range(3):
        for setup in (company, resolve(operator)):
            assert access_token(setup, now + dt.timedelta(hours=hours))
    assert len(identity.token_requests) == 3


def test_changed_settings_never_use_the_old_token(sign_in_by, identity):
    first = access_token(sign_in_by("microsoft-app"))
    second = access_token(sign_in_by("microsoft-app", scope="https://outlook.office365.com/.default offline_access"))
    assert second != first


def test_lost_encryption_key_makes_the_token_be_asked_for_anew(sign_in_by, identity, settings):
    values = {name: sign_in_by("microsoft-app").values[name] for name in ("client_secret",)}
    first = access_token(resolve(None))
    settings.FIELD_ENCRYPTION_KEYS = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
    assert resolve(None).lost
    changes.save(None, {"client_secret": str(values["client_secret"].value)}, by=None)
    second = access_token(resolve(None))
    assert second != first
    assert access_token(resolve(None)) == second
    assert AccessToken.objects.count() == 1


def test_eight_threads_ask_at_once_and_one_asks_the_provider(sign_in_by, identity, monkeypatch):
    monkeypatch.setattr(tokens, "LOOK_SECONDS", 0.01)
    setup = sign_in_by("microsoft-user")
    identity.gate.clear()
    found, ready = [], threading.Barrier(9)

    def ask():
        ready.wait(10)
        try:
            found.append(access_token(setup))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    ready.wait(10)
    while not identity.asked:
        threads[0].join(0.01)
    make_message("ann@example.com")  # the database takes writes while the provider is slow
    identity.gate.set()
    for thread in threads:
        thread.join(20)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(identity.token_requests) == 1


def test_token_that_another_process_got_between_look_and_turn_is_used(sign_in_by, identity, monkeypatch):
    setup = sign_in_by("microsoft-user")
    look, others = tokens._held, []

    def look_and_be_overtaken(key):
        held = look(key)
        if not others:
            others.append("asking")
            others.append(access_token(setup))
        return held

    monkeypatch.setattr(tokens, "_held", look_and_be_overtaken)
    assert access_token(setup) == others[1]
    assert len(identity.token_requests) == 1


class Killed(BaseException):
    """In the place of SIGKILL: tests/system/test_oauth_kill.py has the real one."""


def die_while_renewing(setup, monkeypatch):
    """A process asks the provider, and leaves what SIGKILL leaves: nothing of it cleans up."""

    def die(*args):
        taken = dict(AccessToken.objects.values_list("pk", "renewing_until"))
        raise Killed(taken)

    with monkeypatch.context() as patch, pytest.raises(Killed) as killed:
        patch.setattr(providers, "ask", die)
        access_token(setup)
    for key, until in killed.value.args[0].items():
        AccessToken.objects.filter(pk=key).update(renewing_until=until)


@pytest.fixture
def waiting(clock, monkeypatch):
    """Waiting takes no time: the clock goes on instead. How many seconds were waited so far, in a list."""
    waited = []

    class Time:
        @staticmethod
        def monotonic():
            return sum(waited)

        @staticmethod
        def sleep(seconds):
            waited.append(seconds)
            clock.goes_on(seconds=seconds)

    monkeypatch.setattr(tokens, "time", Time)
    return waited


def test_process_that_dies_while_it_renews_delays_the_others_only(sign_in_by, identity, monkeypatch, waiting):
    die_while_renewing(sign_in_by("microsoft-user"), monkeypatch)
    assert deliver().status == "sent"
    assert 0 < sum(waiting) <= tokens.turn_seconds() + 1
    assert not AccountPause.history.exists()


def test_process_that_dies_while_its_clock_is_ahead_delays_nobody(sign_in_by, identity, monkeypatch, waiting, clock):
    die_while_renewing(sign_in_by("microsoft-user"), monkeypatch)
    AccessToken.objects.update(renewing_until=clock() + dt.timedelta(hours=1))
    assert deliver().status == "sent"
    assert sum(waiting) == 0
    assert not AccountPause.history.exists()


def test_hourly_look_waits_for_the_dead_as_well(sign_in_by, identity, monkeypatch, waiting, clock):
    die_while_renewing(sign_in_by("microsoft-user"), monkeypatch)
    housekeeping.tidy(clock())
    assert AccessToken.objects.exclude(token_encrypted="").exists()
    assert not AccountPause.history.exists()


def test_two_processes_that_die_one_after_the_other_pause_nothing(sign_in_by, identity, monkeypatch, waiting):
    setup = sign_in_by("microsoft-user")
    message = make_message("ann@example.com")
    die_while_renewing(setup, monkeypatch)
    dies = [True]
    look = tokens._take_turn

    def be_overtaken(row, now):
        if dies and row.renewing_until is not None and row.renewing_until <= now:
            dies.clear()
            die_while_renewing(setup, monkeypatch)
        return look(row, now)

    monkeypatch.setattr(tokens, "_take_turn", be_overtaken)
    run_lane()
    message.refresh_from_db()
    assert message.status == "sent"
    assert not AccountPause.history.exists()


def test_turn_left_by_the_dead_ends_before_anybody_stops_waiting_and_that_before_a_lease(settings):
    for settings.LEASE_SECONDS in (1, 30, 600):
        assert 2 * tokens.turn_seconds() < tokens.wait_seconds() <= settings.LEASE_SECONDS
        assert tokens.turn_seconds() > tokens.LOOK_SECONDS


def test_turn_is_put_off_as_long_as_the_provider_takes(sign_in_by, identity, settings):
    """A slow one keeps its turn, however long that is: a refresh token used twice may end the sign-in."""
    settings.LEASE_SECONDS = 0.6
    setup = sign_in_by("microsoft-user")
    identity.gate.clear()
    thread = threading.Thread(target=elsewhere(lambda: access_token(setup)))
    thread.start()
    while not (taken := AccessToken.objects.exclude(renewing_until=None).first()):
        thread.join(0.01)
    while AccessToken.objects.get().renewing_until <= taken.renewing_until + dt.timedelta(seconds=1):
        thread.join(0.01)
    identity.gate.set()
    thread.join(20)
    assert len(identity.token_requests) == 1
    assert AccessToken.objects.get().renewing_until is None


def test_late_end_of_a_renewal_takes_nobody_elses_turn(sign_in_by, identity, monkeypatch):
    setup, theirs = sign_in_by("microsoft-user"), timezone.now() + dt.timedelta(seconds=5)

    def fail_late(*args):
        AccessToken.objects.update(renewing_until=theirs)  # its own was over, and another process took the next
        raise SignInFailed(grants.Trouble.UNREACHABLE)

    monkeypatch.setattr(providers, "ask", fail_late)
    with pytest.raises(SignInFailed):
        access_token(setup)
    assert AccessToken.objects.get().renewing_until == theirs


def test_process_that_stood_still_while_another_renewed_uses_what_that_one_got(sign_in_by, identity, monkeypatch):
    """Its own refresh token is used up by then, and the provider says so: nothing is wrong with the sign-in."""
    setup, others = sign_in_by("microsoft-user"), []
    ask = providers.ask

    def stand_still(*args):
        if not others:
            others.append("asking")
            AccessToken.objects.update(renewing_until=None)  # its turn is over
            others.append(access_token(setup))
            raise SignInFailed(grants.Trouble.ENDED)
        return ask(*args)

    monkeypatch.setattr(providers, "ask", stand_still)
    assert access_token(setup) == others[1]
    assert AccessToken.objects.get().renewing_until is None


def test_token_that_was_thrown_away_meanwhile_is_none(sign_in_by, identity, monkeypatch):
    setup = sign_in_by("microsoft-user")
    token = access_token(setup)
    AccessToken.objects.update(expires_at=timezone.now(), updated_at=timezone.now() - dt.timedelta(hours=1))

    def throw_away(*args):
        AccessToken.objects.update(token_encrypted="", expires_at=None)
        raise SignInFailed(grants.Trouble.ENDED)

    monkeypatch.setattr(providers, "ask", throw_away)
    with pytest.raises(SignInFailed):
        access_token(setup, refused=str(token))


def test_error_of_ours_while_renewing_leaves_no_turn_behind(sign_in_by, identity, monkeypatch):
    setup = sign_in_by("microsoft-user")

    def fail(*args):
        raise RuntimeError("ours")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(providers, "ask", fail)
        access_token(setup)
    assert AccessToken.objects.get().renewing_until is None


def test_outage_of_the_provider_does_not_stop_sending_while_the_token_is_good(sign_in_by, identity, caplog):
    setup, now = sign_in_by("oauth2"), timezone.now()
    first = access_token(setup, now)
    identity.fails = (503, "<h1>Service unavailable</h1>")
    later = now + dt.timedelta(minutes=56)
    assert access_token(setup, later) == first
    assert access_token(setup, later) == first
    assert len(identity.token_requests) == 2, "it is not asked again at once"
    assert "not renewed, and still good for a while" in caplog.text
    with pytest.raises(SignInFailed, match="503"):
        access_token(setup, now + dt.timedelta(minutes=61))
    identity.fails = None
    assert access_token(setup, now + dt.timedelta(minutes=61)) != first


# --- What goes wrong -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_ended_sign_in_pauses_the_account_until_somebody_signs_in_again(sign_in_by, identity, admin, clock):
    sign_in_by("microsoft-user")
    assert deliver().status == "sent"
    identity.revoke()
    clock.goes_on(hours=2)
    message = deliver(clock=clock)
    assert (message.status, message.tries) == ("queued", 0)
    pause = AccountPause.objects.get()
    assert pause.kind == "fault"
    still_there()
    page = admin.get("/sending/").content.decode()
    assert meanings.SIGN_IN_ENDED.explanation in page
    assert "Sign in again in Email Setup" in page
    assert "AADSTS700082" in page
    assert "It was ***." in page, "the provider repeats what it was sent"
    sees_no_secret(identity, page)

    changes.save(None, {"refresh_token": identity.sign_in()}, by=None)
    run_lane(clock=clock)
    message.refresh_from_db()
    assert (message.status, message.tries) == ("sent", 1)
    assert not AccountPause.objects.exists()


AADSTS = "AADSTS{}: The provider's own words. Trace ID: 1 Correlation ID: 2"
TROUBLES = [
    ("microsoft-app", Refused("invalid_client", AADSTS.format(7000215), 401), meanings.CLIENT_SECRET),
    ("microsoft-app", Refused("invalid_client", AADSTS.format(7000222), 401), meanings.CLIENT_SECRET),
    ("microsoft-app", Refused("unauthorized_client", AADSTS.format(700016)), meanings.UNKNOWN_APPLICATION),
    ("microsoft-app", Refused("invalid_request", AADSTS.format(90002)), meanings.UNKNOWN_APPLICATION),
    ("microsoft-app", Refused("temporarily_unavailable", AADSTS.format(90033), 503), meanings.SIGN_IN_UNREACHABLE),
    ("microsoft-user", Refused("invalid_client", AADSTS.format(7000218), 401), meanings.UNKNOWN_APPLICATION),
    ("microsoft-user", Refused("invalid_grant", AADSTS.format(70008)), meanings.SIGN_IN_ENDED),
    ("microsoft-user", Refused("invalid_grant", AADSTS.format(700082)), meanings.SIGN_IN_ENDED),
    ("microsoft-user", Refused("invalid_grant", AADSTS.format(50173)), meanings.SIGN_IN_ENDED),
    ("microsoft-user", Refused("invalid_grant", AADSTS.format(65001)), meanings.NO_CONSENT),
    ("microsoft-user", Refused("interaction_required", AADSTS.format(50076)), meanings.SIGN_IN_ENDED),
    ("microsoft-user", Refused("interaction_required", AADSTS.format(53003)), meanings.SIGN_IN_RULE),
    ("microsoft-user", Refused("invalid_grant", AADSTS.format(53000)), meanings.SIGN_IN_RULE),
    ("microsoft-user", Refused("invalid_grant", AADSTS.format(530035)), meanings.SIGN_IN_RULE),
    ("microsoft-user", Refused("interaction_required", AADSTS.format(50158)), meanings.SIGN_IN_RULE),
    ("microsoft-app", Refused("invalid_grant", AADSTS.format(53003)), meanings.SIGN_IN_RULE),
    ("microsoft-user", Refused("invalid_grant", AADSTS.format(50053)), meanings.ACCOUNT_LOCKED),
    ("microsoft-user", Refused("invalid_grant", AADSTS.format(50057)), meanings.ACCOUNT_LOCKED),
    ("google-user", Refused("invalid_grant", "Token has been expired or revoked."), meanings.SIGN_IN_ENDED),
    ("google-user", Refused("invalid_client", "Unauthorized", 401), meanings.CLIENT_SECRET),
    ("google-service", Refused("unauthorized_client", "Client is unauthorized", 401), meanings.SERVICE_ACCOUNT),
    ("google-service", Refused("invalid_grant", "Invalid JWT Signature."), meanings.SERVICE_ACCOUNT),
    ("oauth2", Refused("invalid_grant", "no longer active"), meanings.SIGN_IN_ENDED),
    ("oauth2", Refused("invalid_scope", "no such scope"), meanings.SIGN_IN_REFUSED),
    ("oauth2", (500, "oops"), meanings.SIGN_IN_UNREACHABLE),
    ("oauth2", (200, "<html>Sign in to the guest network</html>"), meanings.SIGN_IN_SERVER),
    ("oauth2", (200, "x" * 300_000), meanings.SIGN_IN_SERVER),
    ("microsoft-app", (200, "<html>Sign in to the guest network</html>"), meanings.SIGN_IN_SERVER),
    ("oauth2", (200, {"access_token": ""}), meanings.SIGN_IN_REFUSED),
]


@pytest.mark.parametrize(("way", "fails", "meaning"), sampled(TROUBLES))
def test_what_a_provider_refuses_is_explained(way, fails, meaning, sign_in_by, identity, caplog):
    caplog.set_level(logging.DEBUG)
    sign_in_by(way)
    identity.fails = fails
    message = deliver()
    attempt = message.attempts.last()
    assert (in_words(attempt.reason), advice(attempt.reason)) == (meaning.explanation, meaning.advice), (
        attempt.reply_text
    )
    assert (message.status, message.tries) == ("queued", 0)
    assert in_words(AccountPause.objects.get().reason) == meaning.explanation
    if isinstance(fails, Refused) and fails.status < 500:
        assert fails.answer["error_description"] in attempt.reply_text
    sees_no_secret(identity, caplog.text)


def test_what_a_provider_says_is_told_without_the_secret_it_repeats(sign_in_by, identity):
    wrong = "wrong-secret/+~0815"
    identity.secrets.add(wrong)
    setup = sign_in_by("microsoft-app", client_secret=wrong)
    with pytest.raises(SignInFailed) as raised:
        access_token(setup)
    assert raised.value.words.endswith("Sent: ***")
    sees_no_secret(identity, str(raised.value), repr(raised.value), str(raised.value.__cause__))


@pytest.mark.parametrize("way", WAYS)
def test_answer_that_breaks_off_puts_no_token_into_a_log(way, sign_in_by, identity, caplog):
    caplog.set_level(logging.DEBUG)
    sign_in_by(way)
    identity.secrets.add("half-a-token")
    identity.fails = (200, '{"access_token": "half-a-token')
    message = deliver()
    assert message.status == "queued"
    sees_no_secret(identity, caplog.text)


@pytest.mark.parametrize(("way", "lasts"), matrix(WAYS, [2**63 - 1, float("inf"), float("nan"), -5, "soon", None]))
def test_senseless_life_of_a_token_fails_no_message(way, lasts, sign_in_by, identity):
    sign_in_by(way)
    identity.lasts = lasts
    message = deliver()
    assert (message.status, message.tries) in (("sent", 1), ("queued", 0)), in_words(message.reason)
    if way == "oauth2":
        assert message.status == "sent"
    elif message.status == "queued":
        assert in_words(message.attempts.last().reason) == meanings.SIGN_IN_SERVER.explanation


def test_unknown_tenant_is_explained(sign_in_by, identity):
    attempt = (sign_in_by("microsoft-app", tenant="nobody.example"), deliver())[1].attempts.last()
    assert in_words(attempt.reason) == meanings.UNKNOWN_APPLICATION.explanation
    assert "AADSTS90002: Tenant 'nobody.example' not found" in attempt.reply_text


def test_service_account_that_may_not_act_for_the_domain_is_explained(sign_in_by, identity):
    identity.delegated = False
    sign_in_by("google-service")
    assert in_words(deliver().attempts.last().reason) == meanings.SERVICE_ACCOUNT.explanation


@pytest.mark.parametrize("key", ["", "{", "[]", "{}", '{"client_email": "a@b", "private_key": "none"}'])
def test_key_that_is_none_is_explained(key, sign_in_by, identity):
    sign_in_by("google-service", service_account=key or " ")
    assert in_words(deliver().attempts.last().reason) == meanings.SERVICE_ACCOUNT.explanation
    assert not identity.asked


def test_key_of_somebody_else_is_refused_by_its_signature(sign_in_by, identity, ca):
    with Identity(ca.server_context(name="localhost")) as other:
        sign_in_by("google-service", service_account=other.key_file())
    assert "Invalid JWT Signature" in deliver().attempts.last().reply_text


def test_every_trouble_has_its_line():
    other = judge(Reply(Stage.AUTH, None, "words", LocalError.CONNECTION_LOST))
    for trouble in providers.Trouble:
        verdict = judge(Reply(Stage.AUTH, None, "words", LocalError(trouble)))
        assert verdict.meaning is not other.meaning, trouble
        assert verdict.scope == "set-up"


# --- Where it may connect ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://169.254.169.254/token", "169.254.169.254"),
        ("http://169.254.169.254/token", "must begin with https"),
        ("http://mail.example.com/token", "must begin with https"),
        ("file:///etc/passwd", "whole address"),
        ("https://user:pw@127.0.0.1/token", "whole address"),
        ("gopher://127.0.0.1/token", "must begin with https"),
    ],
)
def test_sign_in_server_at_a_forbidden_address_is_never_asked(url, words, sign_in_by):
    sign_in_by("oauth2", token_url=url)
    attempt = deliver().attempts.last()
    assert in_words(attempt.reason) == meanings.SIGN_IN_SERVER.explanation
    assert words in heard(attempt)


@pytest.mark.parametrize("way", WAYS)
def test_redirect_is_not_followed(way, sign_in_by, identity):
    sign_in_by(way)
    identity.fails = (307, f"Location: {identity.url}/elsewhere")
    attempt = deliver().attempts.last()
    assert in_words(attempt.reason) == meanings.SIGN_IN_SERVER.explanation
    assert "which Outtray does not follow" in heard(attempt)
    assert "/elsewhere" not in [asked.path for asked in identity.asked]


def test_name_is_resolved_once_and_the_certificate_must_be_for_it(sign_in_by, ca, monkeypatch):
    with Identity(ca.server_context(name="login.brightwater.example")) as identity:
        looked_up = []

        def look_up(host, port, **options):
            looked_up.append(host)
            address = "127.0.0.1" if looked_up.count(host) == 1 else "169.254.169.254"
            return [(2, 1, 6, "", (address, port))]

        setup = sign_in_by("oauth2", token_url=f"https://login.brightwater.example:{identity.server.server_port}/token")
        monkeypatch.setattr("messaging.setup.network.socket.getaddrinfo", look_up)
        identity.client_secret = str(setup.secret("client_secret"))
        identity.sign_ins[str(setup.secret("refresh_token"))] = "sign-in"
        assert access_token(setup)
        assert looked_up == ["login.brightwater.example"]


def test_certificate_of_an_unknown_authority_or_for_another_name_is_refused(sign_in_by, ca, identity, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with (
        Identity(Authority(other).server_context()) as stranger,
        Identity(ca.server_context(name="a.example")) as liar,
    ):
        for one in (stranger, liar):
            with pytest.raises(SignInFailed) as raised:
                access_token(sign_in_by("oauth2", token_url=f"{one.url}/token"))
            assert raised.value.trouble == "sign-in certificate"
            assert "certificate" in raised.value.words
            assert "_ssl.c" not in raised.value.words
            assert raised.value.__suppress_context__, "the request hangs on what lies behind it, with all its secrets"
            assert not one.asked


def test_authority_of_the_system_is_trusted_without_a_bundle(sign_in_by, ca, monkeypatch):
    setup = sign_in_by("oauth2", ca_bundle="")
    with pytest.raises(SignInFailed, match="sign-in certificate"):
        access_token(setup)
    ca.trust(monkeypatch)
    assert access_token(setup)


def test_answer_that_does_not_end_is_not_read_to_the_end(sign_in_by, identity):
    setup = sign_in_by("oauth2")
    identity.fails = (200, {"access_token": "x" * 300_000})
    with pytest.raises(SignInFailed, match="too long"):
        access_token(setup)


def test_environment_changes_nothing(sign_in_by, identity, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login anna password pw")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert access_token(sign_in_by("microsoft-app"))
    assert [asked.client for asked in identity.asked] == ["", ""], "nobody’s password from a file was sent along"


# --- Every day -----------------------------------------------------------------------------------------


def test_sign_in_that_nobody_used_today_is_renewed(sign_in_by, identity, clock):
    sign_in_by("microsoft-user")
    housekeeping.tidy(clock())
    assert len(identity.token_requests) == 1
    clock.goes_on(hours=19)
    housekeeping.tidy(clock())
    assert len(identity.token_requests) == 1
    clock.goes_on(hours=2)
    housekeeping.tidy(clock())
    assert len(identity.token_requests) == 2
    assert not AccountPause.objects.exists()


def test_sign_in_that_ended_is_known_before_the_night(sign_in_by, identity, clock, operator):
    sign_in_by("microsoft-user")
    changes.save(operator, {"send_type": 2}, by=None)
    identity.revoke()
    housekeeping.tidy(clock())
    pause = AccountPause.objects.get()
    assert (pause.account, pause.kind) == (None, "fault")
    assert in_words(pause.reason) == meanings.SIGN_IN_ENDED.explanation
    assert "AADSTS700082" in pause.reply_text
    assert Message.objects.count() == 0


def test_tokens_that_nothing_asks_for_any_more_are_dropped(sign_in_by, identity, clock):
    access_token(sign_in_by("microsoft-app"))
    sign_in_by("microsoft-app", send_type=2)
    clock.goes_on(days=201)
    housekeeping.tidy(clock())
    assert not AccessToken.objects.exists()


# --- A provider that takes its time --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("way", sampled(WAYS))
def test_a_provider_that_drips_is_given_up_after_a_while(identity, sign_in_by, monkeypatch, way):
    """Each byte comes in time for a single one, and all of them together would take several seconds."""
    setup = sign_in_by(way)
    monkeypatch.setattr("messaging.setup.oauth.http.SESSION_SECONDS", 1.0)
    identity.drips = 0.03
    with pytest.raises(SignInFailed) as failed:
        access_token(setup)
    assert failed.value.trouble == grants.Trouble.UNREACHABLE
    assert not AccessToken.objects.get().renewing_until, "the next one may ask"


@pytest.mark.slow
def test_who_has_less_time_gives_up_sooner(identity, sign_in_by):
    setup = sign_in_by("oauth2")
    identity.drips = 0.03
    with pytest.raises(SignInFailed):
        access_token(setup, seconds=1.0)


@pytest.fixture
def silent():
    """The address of a server that takes connections, and says nothing: not even in the TLS handshake."""
    with socket.create_server(("127.0.0.1", 0), backlog=20) as listening:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("way", sampled(WAYS))
def test_a_provider_that_is_silent_in_the_tls_handshake_is_given_up(identity, sign_in_by, monkeypatch, silent, way):
    setup = sign_in_by(way)
    changes.save(
        None, {"token_url": setup.text("token_url").replace(identity.url, silent)} | setup_secrets(setup), by=None
    )
    monkeypatch.setattr("messaging.setup.oauth.http.SESSION_SECONDS", 1.0)
    setup = resolve(None)
    assert not setup.problems()
    with pytest.raises(SignInFailed) as failed:
        access_token(setup)
    assert failed.value.trouble == grants.Trouble.UNREACHABLE
    assert not AccessToken.objects.filter(renewing_until__isnull=False).exists(), "the next one may ask"


def setup_secrets(setup):
    """They are entered anew for another place."""
    return {name: str(setup.secret(name)) for name in SECRETS if setup.secret(name)}
