"""Signing in with a password: the next mechanism where one is not known, and no second guess at a password."""

import base64

import pytest

from messaging.delivery.outcomes.verdict import Reply, Stage
from messaging.delivery.smtp.mechanisms import is_about_mechanism
from messaging.models import AccountPause
from messaging.wording import in_words
from tests.factories import PASSWORD, make_message, set_up, signing_in
from tests.fault_server import CLOSE, FaultServer
from tests.pages import source
from tests.rows import dump, heard, statuses
from tests.steps import AN_HOUR, run_lane

pytestmark = pytest.mark.django_db(transaction=True)


def send(server, **options):
    set_up(server, **signing_in())
    message = make_message("ann@example.com")
    run_lane(**options)
    message.refresh_from_db()
    return message.status


def asked(server):
    return [line.split()[1] for line in server.heard("AUTH")]


ABOUT_THE_MECHANISM = [
    "504 5.5.4 Unrecognized authentication type",
    "504 5.7.4 Unrecognized authentication type",
    "504 AUTH mechanism PLAIN not available",
    "500 5.5.1 Command unrecognized: AUTH PLAIN",
    "501 5.5.4 Syntax error in parameters",
    "501 5.7.0 Authentication cancelled",
    "502 5.5.1 Command not implemented",
    "503 5.5.1 AUTH not available",
    "534 5.7.9 Authentication mechanism is too weak",
    "535 5.7.3 Authentication mechanism not supported",
    "535 5.5.4 no",
    "550 5.7.0 Unsupported authentication method",
]
ABOUT_WHO_SIGNS_IN = [
    "535 5.7.8 Authentication credentials invalid",
    "535 5.7.3 Authentication unsuccessful",
    "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
    "550 5.7.30 Basic authentication is not supported for Client Submission.",
    "534 5.7.9 Application-specific password required.",
    "534 5.7.14 Please log in via your web browser and then try again.",
    "535 5.7.8 Authentication mechanism PLAIN: the password is wrong",
    "530 5.7.0 Must issue a STARTTLS command first",
    "538 5.7.11 Encryption required for requested authentication mechanism",
    "432 4.7.12 A password transition is needed",
    "454 4.7.0 Temporary authentication failure",
    "525 5.7.13 User account disabled",
    "501 5.7.8 Authentication failed",
    "500 Invalid user name or password",
    "504 5.7.0 Bad credentials",
]


@pytest.mark.parametrize("reply", ABOUT_THE_MECHANISM)
def test_next_mechanism_where_the_server_does_not_know_one_that_it_offers(reply):
    with FaultServer(auth=["PLAIN", "LOGIN"]) as server:
        server.at("AUTH", [reply])
        assert send(server) == "sent"
        assert asked(server) == ["PLAIN", "LOGIN"]
    assert not AccountPause.objects.exists()


@pytest.mark.parametrize("reply", ABOUT_WHO_SIGNS_IN)
def test_no_second_guess_where_who_signs_in_is_refused(reply):
    with FaultServer(auth=["PLAIN", "LOGIN", "CRAM-MD5"]) as server:
        server.at("AUTH", reply)
        assert send(server) == "queued"
        assert asked(server) == ["PLAIN"]
    assert AccountPause.objects.get().reply_text == reply[4:]


@pytest.mark.parametrize(
    "reply", ["501 5.7.8 Authentication failed", "500 Bad password", "504 5.7.0 Credentials rejected"]
)
def test_wrong_password_is_told_as_such_whatever_its_code(reply):
    with FaultServer(auth=["PLAIN", "LOGIN"]) as server:
        server.at("AUTH", reply)
        assert send(server) == "queued"
    assert in_words(AccountPause.objects.get().reason) == "The mail server refused the user name or the password."


def test_wrong_password_at_the_second_mechanism_ends_it():
    with FaultServer(auth=["PLAIN", "LOGIN", "CRAM-MD5"]) as server:
        server.at("AUTH", ["504 5.5.4 no PLAIN here", "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "535 5.7.8 no"])
        assert send(server) == "queued"
        assert asked(server) == ["PLAIN", "LOGIN"]
    assert "user name or the password" in in_words(AccountPause.objects.get().reason)


def test_all_are_tried_and_what_was_said_last_is_told():
    with FaultServer(auth=["CRAM-MD5", "LOGIN", "PLAIN", "NTLM"]) as server:
        server.at("AUTH", "504 5.5.4 Unrecognized authentication type")
        assert send(server) == "queued"
        assert asked(server) == ["PLAIN", "LOGIN", "CRAM-MD5"]
    assert in_words(AccountPause.objects.get().reason) == "The mail server offers no sign-in here, or not in this way."


def test_server_that_hangs_up_over_an_unknown_mechanism_is_asked_for_another_one_the_next_time():
    with FaultServer(auth=["PLAIN", "LOGIN"]) as server:
        server.at("AUTH", [("504 5.5.4 no", CLOSE)])
        assert send(server) == "queued"
        message = make_message("bob@example.com")
        run_lane(after=AN_HOUR)
        assert statuses(message) == ["sent"]
        assert asked(server) == ["PLAIN", "LOGIN"]


def test_server_that_does_not_take_the_password_with_the_command_asks_for_it():
    with FaultServer(auth=["PLAIN"]) as server:
        server.at("AUTH", ["334 "])
        assert send(server) == "sent"


def test_server_that_asks_without_end_is_told_that_it_is_over_and_the_next_mechanism_tried():
    with FaultServer(auth=["PLAIN", "LOGIN"]) as server:
        server.at("AUTH", ["334 ", "334 "])
        assert send(server) == "sent"
        assert asked(server) == ["PLAIN", "LOGIN"]


def test_password_is_told_to_nobody_whichever_mechanism_is_refused(admin):
    secrets = [PASSWORD, *(base64.b64encode(text.encode()).decode() for text in (PASSWORD, f"\0anna\0{PASSWORD}"))]
    with FaultServer(auth=["PLAIN", "LOGIN"]) as server:
        server.at("AUTH", [f"504 5.5.4 cannot use {' '.join(secrets)}"])
        set_up(server, **signing_in())
        page = b"".join(admin.post("/setup/email/check/").streaming_content).decode()
    assert "AUTH LOGIN ***" in page
    assert "504 5.5.4 cannot use *** *** ***" in page
    assert not [secret for secret in secrets if secret in page]


@pytest.mark.parametrize("secret", [PASSWORD, base64.b64encode(PASSWORD.encode()).decode()], ids=["plain", "base64"])
@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        ("AUTH", "{}"), ("AUTH", "535{}"), ("AUTH", "{} is not right"), ("MAIL", "550 5.1.8 anna with {} not known"),
        ("RCPT", "451 4.3.0 {}"), ("RCPT", "no reply {}"), ("DATA", "451 4.3.0 {}"), ("END", "554 5.7.1 {}"),
        ("END", "{}"),
    ],
)  # fmt: skip
def test_server_that_repeats_the_password_anywhere_tells_it_to_nobody(admin, secret, stage, reply):
    with FaultServer(auth=["LOGIN"]) as server:
        server.at(stage, reply.format(secret))
        set_up(server, **signing_in())
        message = make_message("bob@example.com")
        run_lane()
        pages = source(admin.get(f"/messages/{message.pk}/")) + source(admin.get("/sending/"))
        checked = b"".join(admin.post("/setup/email/check/").streaming_content).decode()
    assert "***" in pages
    assert secret not in pages + checked + str(dump())


def test_password_that_is_a_word_does_not_change_what_a_refusal_means():
    with FaultServer(auth=["LOGIN"]) as server:
        server.at("RCPT", "550 mailbox unavailable")
        set_up(server, **signing_in(password="mailbox"))
        message = make_message("bob@example.com")
        run_lane()
    assert heard(message.attempts.get()) == "mailbox unavailable"


@pytest.mark.parametrize("code", [334, 421, 454, 530, 535, 538])
def test_code_alone_says_nothing_against_the_mechanism(code):
    assert not is_about_mechanism(Reply(Stage.AUTH, code, "no"))
