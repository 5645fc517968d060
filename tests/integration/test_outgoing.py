"""Options x way in x category x outcome: what the caller, the author, the administrator and the list see (S1 to S3)."""

import itertools

import pytest
from django.contrib.auth.forms import PasswordResetForm
from django.core.mail import EmailMessage, get_connection
from django.utils import timezone

from messaging import backends, housekeeping, submit
from messaging.company import options
from messaging.intake import gate
from messaging.models import AccountPause, EmailSettings, Message, NoticeItem
from messaging.queue import batches, pausing
from messaging.setup.secrets import encrypt
from messaging.wording import in_words
from tests.factories import hold_mail, set_up, submission
from tests.fault_server import ACCEPT, CLOSE, FaultServer
from tests.rows import wire
from tests.sizes import matrix
from tests.steps import run_lane

pytestmark = pytest.mark.django_db

OPTIONS = {"off": (False, False), "record only": (True, False), "hold": (True, True)}
CATEGORIES = {"ordinary": "", "urgent": "password-reset"}

# Sent at once. The caller gets the count or the error, or the code; a dash is nothing. With both options off the
# administrator is told from a notice item, else from the row that is not noted yet (and so is the author, whose it is).
AT_ONCE = """
                    caller                             list              told of
outcome             backend                  sendmail  recorded  off      off
sent                1                        0         sent      -        -
partly              1                        0         failed    -        failed
refused for good    SMTPRecipientsRefused    67        failed    -        failed
refused for now     SMTPDataError            75        failed    -        failed
set-up at fault     SMTPAuthenticationError  78        failed    -        failed
unknown             SMTPServerDisconnected   70        unknown   unknown  -
no address          0                        65        failed    -        no-address
paused by a person  NotSent                  75        failed    -        failed
"""

# Held. The caller gets the same whatever becomes of it; what is urgent is in the hands of the workers at once.
HELD = """
                    caller             list
outcome             backend  sendmail  ordinary  urgent
sent                1        0         queued    sent
partly              1        0         queued    failed
refused for good    1        0         queued    failed
refused for now     1        0         queued    queued
set-up at fault     1        0         queued    queued
unknown             1        0         queued    unknown
no address          0        65        failed    failed
paused by a person  1        0         queued    sent
"""


def table(text):
    """The lines of a table by their outcome, each as a dict of its columns."""
    _, heads, *lines = [line for line in text.splitlines() if line]
    columns = heads[20:].split()
    names = [f"{column}, told of" if column in columns[:place] else column for place, column in enumerate(columns)]
    return {line[:20].strip(): dict(zip(names, line[20:].split(), strict=True)) for line in lines}


AT_ONCE, HELD = table(AT_ONCE), table(HELD)
OUTCOMES = list(AT_ONCE)

# --- The ways in ---------------------------------------------------------------------------------------


def by_backend(author, recipients, category, sendmail):
    connection = get_connection("messaging.backends.QueueEmailBackend", author=author)
    headers = {"X-Outtray-Category": category} if category else {}
    message = EmailMessage("Report", "Dear all", "office@example.com", recipients, headers=headers)
    try:
        return str(connection.send_messages([message]))
    except OSError as error:
        return type(error).__name__


def by_sendmail(author, recipients, category, sendmail):
    raw = "From: office@example.com\nSubject: Report\n"
    raw += f"X-Outtray-Category: {category}\n" if category else ""
    raw += f"To: {', '.join(recipients) or 'undisclosed-recipients:;'}\n\nDear all\n"
    return str(sendmail("-t", "--author", author.username, stdin=raw.encode()).code)


def both_may_claim():
    options.save({"urgent_claims": "backend *\nsendmail *"}, by=None)


WAYS = {"backend": by_backend, "sendmail": by_sendmail}

# --- The outcomes --------------------------------------------------------------------------------------


@pytest.fixture
def server(server):
    server.auth = ["PLAIN"]
    return server


def arrange(server, outcome, operator):
    """Let the mail server, or the office, bring about an outcome; the recipients to write to."""
    match outcome:
        case "partly":
            server.at("RCPT", "550 5.1.1 no such user", recipient="bob@example.com")
        case "refused for good":
            server.at("RCPT", "550 5.1.1 no such user")
        case "refused for now":
            server.at("END", "451 4.3.0 try later")
        case "set-up at fault":
            set_up(server, send_type=3, auth_type="default", username="u", password_encrypted=encrypt("p"))
            server.at("AUTH", "535 5.7.8 wrong")
        case "unknown":
            server.at("END", (ACCEPT, CLOSE))
        case "paused by a person":
            pausing.pause(pausing.ALL, by=operator, why="Stocktaking")
    return [] if outcome == "no address" else ["ada@example.com", "bob@example.com"]


def seen():
    """What the list has, and what the administrator is told of, beside it or from it."""
    message = Message.objects.first()
    item = NoticeItem.objects.first()
    from_row = Message.objects.filter(status__in=("failed", "unknown"), notified_at=None).exists()
    return message.status if message else "-", item.kind if item else "-", from_row


@pytest.mark.parametrize(
    ("outcome", "way", "chosen", "category"),
    matrix(list(itertools.product(OUTCOMES, WAYS, ["off", "record only"])), CATEGORIES),
)
def test_sent_at_once(chosen, way, category, outcome, server, operator, sendmail):
    hold_mail(*OPTIONS[chosen])
    both_may_claim()
    recipients = arrange(server, outcome, operator)
    goes_all_the_same = category == "urgent" and outcome == "paused by a person"
    line = AT_ONCE["sent" if goes_all_the_same else outcome]

    assert WAYS[way](operator, recipients, CATEGORIES[category], sendmail) == line[way]

    in_list, told, told_from_row = seen()
    if chosen == "off":
        assert (in_list, told) == (line["off"], line["off, told of"])
        assert told_from_row == (line["off"] == "unknown")
    else:
        assert (in_list, told) == (line["recorded"], "-")
        assert told_from_row == (line["recorded"] in ("failed", "unknown"))
    for row in (*Message.objects.all(), *NoticeItem.objects.all()):
        assert row.author == operator
    assert not AccountPause.objects.exclude(kind="all").exists(), "sending at once pauses no account"
    before = len(server.transactions)
    run_lane(operator.pk)
    run_lane()
    housekeeping.sweep(timezone.now())
    assert len(server.transactions) == before, "nothing is tried again automatically"


@pytest.mark.parametrize(("outcome", "way", "category"), matrix(list(itertools.product(OUTCOMES, WAYS)), CATEGORIES))
def test_held(way, category, outcome, server, operator, woken, sendmail):
    hold_mail(*OPTIONS["hold"])
    both_may_claim()
    recipients = arrange(server, outcome, operator)
    line = HELD[outcome]

    assert WAYS[way](operator, recipients, CATEGORIES[category], sendmail) == line[way]

    message = Message.objects.get()
    assert not server.commands, "the caller does not wait for the mail server"
    assert (message.not_before is not None, message.urgent) == ((category == "urgent",) * 2)
    run_lane(operator.pk)
    in_list, told, told_from_row = seen()
    assert (in_list, told) == (line[category], "-")
    assert told_from_row == (in_list in ("failed", "unknown"))
    assert Message.objects.get().author == operator


# --- What is said --------------------------------------------------------------------------------------


RAW = b"From: office@example.com\nTo: ada@example.com, bob@example.com\nSubject: Report\n\nDear all\n"


def test_sendmail_says_who_was_refused_and_why_and_that_the_others_have_it(server, sendmail):
    server.at("RCPT", "550 5.1.1 no such user", recipient="bob@example.com")
    said = sendmail("-t", stdin=RAW).err
    assert "Sent to ada@example.com, and not to the recipients after them. Do not send all of it again." in said
    assert "bob@example.com: " in said
    assert "(550 5.1.1 no such user)" in said


def test_sendmail_says_of_an_unknown_outcome_not_to_send_it_again(server, sendmail):
    server.at("END", (ACCEPT, CLOSE))
    said = sendmail("-t", stdin=RAW).err
    assert "It may have arrived: do not send it again before someone has looked" in said


@pytest.mark.parametrize(
    ("stage", "behaviour", "code"),
    [
        ("END", "554 5.6.0 what is this", 65),
        ("RCPT", "550 5.1.1 no such user", 67),
        ("RCPT", "550 5.1.2 no such domain", 68),
        ("RCPT", "556 5.1.10 takes no mail", 68),
        ("END", "554 5.7.1 looks like spam", 77),
        ("GREETING", "421 4.3.2 too many", 75),
        ("GREETING", CLOSE, 75),
        ("MAIL", "451 4.7.1 later", 75),
        ("DATA", CLOSE, 75),
    ],
)
def test_sendmail_ends_with_the_code_of_sysexits(server, stage, behaviour, code, sendmail):
    server.at(stage, behaviour)
    result = sendmail("-t", stdin=RAW)
    assert (result.code, bool(result.err)) == (code, True)


def test_sendmail_may_be_called_again_as_long_as_one_of_the_refused_may_take_it(server, sendmail):
    server.at("RCPT", "550 5.1.1 no such user", recipient="ada@example.com")
    server.at("RCPT", "450 4.2.1 later", recipient="bob@example.com")
    assert sendmail("-t", stdin=RAW).code == 75


def test_sendmail_without_email_setup_is_a_fault_of_the_set_up(db, sendmail):
    result = sendmail("-t", stdin=RAW)
    assert (result.code, "server" in result.err) == (78, True)


def test_sendmail_knows_no_such_author(server, sendmail):
    assert sendmail("-t", "--author", "nobody", stdin=RAW).code == 64


# --- The author's settings -----------------------------------------------------------------------------


def test_it_is_sent_with_the_authors_settings(server, operator, sendmail):
    with FaultServer() as own:
        EmailSettings.objects.create(account=operator, host="127.0.0.1", port=own.port)
        assert by_backend(operator, ["a@example.com"], "", sendmail) == "1"
        assert by_sendmail(operator, ["a@example.com"], "", sendmail) == "0"
        assert (len(own.transactions), len(server.transactions)) == (2, 0)


# --- Categories ----------------------------------------------------------------------------------------


def category_sent():
    assert b"X-Outtray" not in wire(Message.objects.get())
    return Message.objects.get().category


def test_the_category_may_be_named_by_the_backend_the_header_or_around_it(db, settings, operator):
    settings.EMAIL_BACKEND = "messaging.backends.QueueEmailBackend"
    hold_mail()
    message = EmailMessage("x", "y", "office@example.com", ["a@example.com"])
    get_connection(category="Newsletter").send_messages([message])
    assert category_sent() == "newsletter"
    Message.objects.all().delete()
    message.extra_headers["x-outtray-category"] = "Invoice"
    with backends.mail_category("reminder"):
        get_connection(category="newsletter").send_messages([message])
    assert category_sent() == "invoice"


def test_the_name_of_0_1_0_for_a_category_still_works_and_says_that_it_is_deprecated():
    with pytest.warns(DeprecationWarning, match="mail_category"), backends.sending("reminder"):
        assert backends._category.get() == "reminder"
    assert not backends._category.get()


def test_djangos_password_reset_goes_past_the_hold(db, settings, operator, rf, monkeypatch):
    settings.EMAIL_BACKEND = "messaging.backends.QueueEmailBackend"
    settings.ROOT_URLCONF = "django.contrib.auth.urls"
    hold_mail()
    form = PasswordResetForm({"email": operator.email})
    assert form.is_valid()
    monkeypatch.setattr("django.contrib.auth.forms.loader.render_to_string", lambda name, context: "Reset it here")
    with backends.mail_category("password-reset"):
        form.save(request=rf.get("/"), domain_override="office.example", from_email="office@example.com")
    message = Message.objects.get()
    assert (message.category, message.urgent, message.not_before is not None) == ("password-reset", True, False)
    assert in_words(message.reason).startswith("Waits for Batch Message Processing"), "there is no Email Setup yet"


# --- In flight -----------------------------------------------------------------------------------------


def test_what_is_queued_stays_queued_when_the_options_are_switched_off(server, operator, sendmail):
    hold_mail()
    by_backend(operator, ["a@example.com"], "", sendmail)
    by_backend(operator, ["b@example.com"], "password-reset", sendmail)
    hold_mail(record=False, hold=False)
    housekeeping.sweep(timezone.now())
    assert set(Message.objects.values_list("status", flat=True)) == {"queued"}
    by_backend(operator, ["c@example.com"], "", sendmail)
    assert [each.recipients for each in server.transactions] == [["c@example.com"]]
    batch = batches.process_all(by=operator, account=operator, source="console")
    run_lane(operator.pk)
    assert batch is not None
    assert Message.objects.filter(status="sent").count() == 2, "what was recorded stays recorded"


def test_what_is_being_sent_at_once_goes_on_when_the_options_are_switched_on(server, operator):
    options.save({"record_mail": True}, by=None)
    messages = [EmailMessage("x", "y", "office@example.com", [f"{each}@example.com"]) for each in "ab"]
    with_backend = get_connection("messaging.backends.QueueEmailBackend")
    outcomes = submit.submit([with_backend._submission(each, None) for each in messages])
    assert next(outcomes).state == "sent"
    hold_mail()
    assert [each.state for each in outcomes] == ["sent"]
    assert set(Message.objects.values_list("status", flat=True)) == {"sent"}
    assert with_backend.send_messages(messages) == 2
    assert Message.objects.filter(status="queued").count() == 2


def test_what_is_prepared_to_be_sent_at_once_when_hold_is_switched_on_is_held(server, monkeypatch):
    """A large message takes seconds to be prepared."""
    hold_mail(hold=False)
    prepare = gate.prepare

    def slow(*arguments):
        hold_mail()
        return prepare(*arguments)

    monkeypatch.setattr("messaging.intake.gate.prepare", slow)
    [outcome] = submit.submit([submission("b@example.com")])
    assert outcome.state == "queued"
    assert Message.objects.get().status == "queued"
    assert server.transactions == []


@pytest.mark.slow
@pytest.mark.parametrize("category", CATEGORIES.values())
def test_queueing_many_in_one_call_asks_for_options_and_settings_once(
    server, operator, category, django_assert_max_num_queries
):
    hold_mail()
    connection = get_connection("messaging.backends.QueueEmailBackend", author=operator, category=category)
    messages = [EmailMessage("x", "y", "office@example.com", [f"c{each}@example.com"]) for each in range(300)]
    with django_assert_max_num_queries(30):
        assert connection.send_messages(messages) == 300
    assert Message.objects.filter(status="queued", urgent=bool(category)).count() == 300


def test_a_limit_of_the_account_holds_at_once_too_and_says_so(server, operator, sendmail):
    hold_mail(hold=False)
    set_up(server, per_minute=1)
    assert by_backend(operator, ["a@example.com"], "", sendmail) == "1"
    assert by_sendmail(operator, ["b@example.com"], "password-reset", sendmail) == "75"
    assert "the limit of 1 messages per minute is reached" in in_words(Message.objects.first().reason)
