"""`.opt` files of one server (seed rows S10 and S13): what is read, what is refused, and what a bad one stops."""

import logging
import os
import string
import threading
from pathlib import Path

import pytest
from django.core.mail import EmailMessage, get_connection
from django.core.management import call_command
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from messaging import housekeeping
from messaging.backends import NotSent
from messaging.delivery import refusal
from messaging.delivery.lane import Lane
from messaging.models import AccountPause, EmailSettings, Heartbeat, Message
from messaging.setup import opt_files
from messaging.setup.layers import resolve
from tests.conftest import hold_mail, make_message, set_up
from tests.installation import BEAT, WORKER, Installation, wait_for
from tests.people import make_user
from tests.servers import MailServer

PASSWORD = "s3cret-pässword"
SERVER = refusal.server_name()


@pytest.fixture
def folder(settings, tmp_path):
    """The folder of this server's `.opt` files, still empty."""
    settings.EMAIL_OPT_DIR = tmp_path / "option"
    settings.EMAIL_OPT_DIR.mkdir()
    return settings.EMAIL_OPT_DIR


@pytest.fixture(autouse=True)
def nothing_told_yet(monkeypatch):
    monkeypatch.setattr(refusal, "_told", refusal._Told())


def write(folder, **files):
    """`port="587"` writes email.smtp_port.opt; text as UTF-8."""
    names = {field: name for name, field in opt_files.FILES.items()}
    for field, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / names[field]).write_bytes(data)


def values(folder):
    found = opt_files.read(folder)
    assert not found.errors
    return {name: value for name, (value, _) in found.values.items()}


def error(folder):
    (found,) = opt_files.read(folder).errors
    return str(found)


# --- The seed's list, sentence by sentence -----------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content", "field", "value"),
    [
        ("email.auth_type.opt", "default", "auth_type", "default"),
        ("email.auth_type.opt", "ssl", "auth_type", "ssl"),
        ("email.auth_type.opt", "tls-implicit", "auth_type", "tls-implicit"),
        ("email.auth_type.opt", "tls-explicit", "auth_type", "tls-explicit"),
        ("email.send_type.opt", "0", "send_type", 0),
        ("email.send_type.opt", "1", "send_type", 1),
        ("email.send_type.opt", "2", "send_type", 2),
        ("email.send_type.opt", "3", "send_type", 3),
        ("email.smtp_server", "mail.example.com", "host", "mail.example.com"),
        ("email.smtp_server", "192.0.2.7", "host", "192.0.2.7"),
        ("email.smtp_server.opt", "mail.example.com", "host", "mail.example.com"),
        ("email.smtp_port.opt", "587", "port", 587),
        ("email.smtp_pass.opt", PASSWORD, "password", PASSWORD),
        ("email.smtp_user.opt", "office@example.com", "username", "office@example.com"),
    ],
)
@pytest.mark.django_db
def test_each_file_of_the_seed_wins_over_everything_else(folder, operator, file, content, field, value):
    for account in (None, operator):
        EmailSettings.objects.create(account=account, host="x.example", port=26, username="x", auth_type="default")
    (folder / file).write_text(content + "\r\n")
    for account in (None, operator):
        found = resolve(account).values[field]
        assert (found.value, found.source, found.layer) == (value, file, "opt")


@pytest.mark.django_db
def test_port_is_25_where_no_file_names_one(folder):
    write(folder, host="mail.example.com")
    assert resolve(None).port == 25


@pytest.mark.django_db
def test_files_are_optional_and_other_files_of_the_folder_are_none_of_ours(folder):
    (folder / "report.printer.opt").write_bytes(b"\xff\x00 whatever\n\n")
    (folder / "email.templates").mkdir()
    assert opt_files.read() == opt_files.OptFiles()


def test_without_a_folder_there_are_no_files(settings):
    settings.EMAIL_OPT_DIR = None
    assert opt_files.read() == opt_files.OptFiles()


# --- How it is written -------------------------------------------------------------------------------

WAYS = {
    "plain": lambda text: text.encode(),
    "line end of Unix": lambda text: f"{text}\n".encode(),
    "line end of Windows": lambda text: f"{text}\r\n".encode(),
    "empty lines and blanks after it": lambda text: f"{text} \t\r\n\r\n \n".encode(),
    "UTF-8 with its mark": lambda text: f"{text}\r\n".encode("utf-8-sig"),
    "Unicode of Notepad": lambda text: b"\xff\xfe" + f"{text}\r\n".encode("utf-16-le"),
    "Unicode big endian of Notepad": lambda text: b"\xfe\xff" + f"{text}\r\n".encode("utf-16-be"),
    "UTF-16 without its mark": lambda text: f"{text}\r\n".encode("utf-16-le"),
    "UTF-16 big endian without its mark": lambda text: f"{text}\r\n".encode("utf-16-be"),
    "ANSI": lambda text: f"{text}\r\n".encode("cp1252"),
}


@pytest.mark.parametrize("way", WAYS)
def test_any_way_in_which_an_editor_saves_it_is_read(tmp_path, way):
    said = {"host": "mail.example.com", "port": "587", "username": "jürgen", "password": "pä§s wörd", "send_type": "3"}
    write(tmp_path, **{field: WAYS[way](text) for field, text in said.items()})
    assert values(tmp_path) == said | {"port": 587, "send_type": 3}


@pytest.mark.parametrize(
    ("field", "content", "value"),
    [
        ("port", " 587 ", 587), ("port", "0587", 587), ("port", "1", 1), ("port", "65535", 65535),
        ("auth_type", "TLS-Explicit", "tls-explicit"), ("auth_type", " SSL", "ssl"), ("send_type", " 3", 3),
        ("host", " mail.example.com", "mail.example.com"), ("host", "bücher.example", "xn--bcher-kva.example"),
        ("host", "[2001:db8::1]", "2001:db8::1"), ("username", " office ", "office"),
        ("password", " two words", " two words"), ("password", "x" * 1000, "x" * 1000),
    ],
)  # fmt: skip
def test_what_is_meant_is_clear(tmp_path, field, content, value):
    write(tmp_path, **{field: content})
    assert values(tmp_path) == {field: value}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_password_may_have_every_character_that_can_be_seen(tmp_path, encoding):
    password = string.ascii_letters + string.digits + string.punctuation + " äßéñ€…“” 密码 пароль 🔑\u00a0."
    write(tmp_path, password=f"{password}\r\n".encode(encoding))
    assert values(tmp_path) == {"password": password}


def test_ansi_password_may_have_every_character_that_ansi_has(tmp_path):
    octets = bytes(number for number in range(0x20, 0x100) if number not in (0x7F, 0x81, 0x8D, 0x8F, 0x90, 0x9D))
    write(tmp_path, password=octets + b".")
    assert values(tmp_path) == {"password": octets.decode("cp1252") + "."}


def test_names_in_upper_case_are_read(tmp_path):
    (tmp_path / "EMAIL.SMTP_SERVER").write_text("mail.example.com")
    (tmp_path / "Email.Smtp_Port.OPT").write_text("587")
    assert values(tmp_path) == {"host": "mail.example.com", "port": 587}


def test_link_to_a_file_is_read(tmp_path):
    (tmp_path / "elsewhere").write_text("587")
    (tmp_path / "email.smtp_port.opt").symlink_to(tmp_path / "elsewhere")
    assert values(tmp_path) == {"port": 587}


# --- What is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "content", "words"),
    [
        ("port", "+587", "email.smtp_port.opt: “+587” is no port. Allowed is a number from 1 to 65535."),
        ("port", "abc", "“abc” is no port"), ("port", "0", "“0” is no port"), ("port", "-1", "“-1” is no port"),
        ("port", "70000", "“70000” is no port"), ("port", "25.0", "“25.0” is no port"),
        ("port", "５８７", "“５８７” is no port"), ("port", "5 87", "“5 87” is no port"),
        ("port", "587\x00", "control characters"), ("port", "\ufeff\ufeff587", "control characters"),
        ("port", "9" * 400, f"“{'9' * 60}…” is no port"), ("port", "587\u202e", "“587\\u202e” is no port"),
        ("send_type", "4", "email.send_type.opt: “4” is no send type. Allowed are 0, 1, 2 and 3."),
        ("send_type", "SMTP", "“SMTP” is no send type"), ("send_type", "03", "“03” is no send type"),
        ("send_type", "2 # SMTP", "“2 # SMTP” is no send type"),
        ("auth_type", "tls",
         "email.auth_type.opt: “tls” is no auth type. Allowed are default, ssl, tls-implicit, tls-explicit."),
        ("auth_type", "starttls", "“starttls” is no auth type"), ("auth_type", "\u00a0", "empty"),
        ("host", "smtp://mail.example.com", "“smtp://mail.example.com” is no server. Enter the server name alone"),
        ("host", "mail.example.com:587", "the port and the user name have fields of their own"),
        ("host", "two words", "no blanks"), ("host", "a" * 300 + ".example", "is no server"),
        ("host", "169.254.169.254", "never connected to"), ("host", "a..b", "is no server"),
        ("host", "mail.example.com\nother.example.com", "It has 2 lines. It must be one line with the value alone."),
        ("port", "587\r\n25", "2 lines"), ("port", "\r\n587", "2 lines"), ("port", "587\u202825", "2 lines"),
        ("username", "a\tb", "control characters"), ("username", "x" * 256, "256 characters. Allowed are at most 255"),
        ("port", "", "It is empty. Write the value on one line, or delete the file."), ("port", " \r\n\r\n", "empty"),
        ("port", b"\xef\xbb\xbf", "empty"), ("port", b"\xff\xfe", "empty"),
        ("port", b"\xff\xfe5", "marked as UTF-16 and cannot be read as such"),
        ("port", b"\xff\xfe\x00\xd8", "marked as UTF-16 and cannot be read as such"),
        ("username", b"\x81\x8d", "neither UTF-8 nor ANSI"),
        ("port", b"5" * 1_000_000, "It has more than 4,096 octets. It must be one line with the value alone."),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused_with_what_is_allowed(tmp_path, field, content, words):
    write(tmp_path, **{field: content})
    assert words in error(tmp_path)
    assert not opt_files.read(tmp_path).values


@pytest.mark.parametrize(
    "content",
    ["s3cret\nline", "s3cret\x00", "\x07s3cret", "s3cret" * 200, "s3cret" * 2000, b"s3cret\x81", b"\xff\xfes3cret."],
)
def test_a_bad_password_is_refused_and_never_told(tmp_path, content, caplog):
    write(tmp_path, password=content)
    found = opt_files.read(tmp_path)
    assert len(found.errors) == 1
    assert "s3cret" not in repr(found) + str(found.errors[0]) + caplog.text


def test_a_good_password_is_not_told_either(tmp_path):
    write(tmp_path, password=PASSWORD)
    assert values(tmp_path) == {"password": PASSWORD}
    assert PASSWORD not in repr(opt_files.read(tmp_path))


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "email.smtp_port.opt").mkdir()
    assert error(tmp_path) == "email.smtp_port.opt: It cannot be read: Is a directory."


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "email.smtp_port.opt")
    reading = threading.Thread(target=opt_files.read, args=(tmp_path,), daemon=True)
    reading.start()
    reading.join(5)
    assert not reading.is_alive()
    assert error(tmp_path) == "email.smtp_port.opt: It is not a file."


def test_a_link_that_leads_nowhere_is_refused(tmp_path):
    (tmp_path / "email.smtp_port.opt").symlink_to(tmp_path / "gone")
    assert error(tmp_path) == "email.smtp_port.opt: It cannot be read: No such file or directory."


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    write(tmp_path, port="587")

    def forbidden(path, flags):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(opt_files, "_open_without_waiting", forbidden)  # root may read everything
    assert error(tmp_path) == "email.smtp_port.opt: It cannot be read: Permission denied."


def test_a_file_deleted_since_the_folder_was_listed_is_not_there(tmp_path, monkeypatch):
    write(tmp_path, port="587", host="mail.example.com")
    take = opt_files._take

    def take_late(found, name, path):
        if path.name == "email.smtp_port.opt":
            path.unlink()
        take(found, name, path)

    monkeypatch.setattr(opt_files, "_take", take_late)
    assert values(tmp_path) == {"host": "mail.example.com"}


@pytest.mark.parametrize(
    "names", [("email.smtp_server", "email.smtp_server.opt"), ("EMAIL.smtp_port.opt", "email.smtp_port.opt")]
)
def test_two_files_for_one_value_have_to_agree(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("587" if "port" in name else "a.example")
    assert len(values(tmp_path)) == 1
    (tmp_path / names[1]).write_text("25" if "port" in name else "b.example")
    assert error(tmp_path) == f"{names[1]}: It says something else than {names[0]}. Delete one of the two."


def test_names_that_are_nearly_right_are_told(tmp_path):
    for name in ("email.smtp_port.opt.txt", "email.smtp_prot.opt", "email.smtp_password.opt", "email.signature"):
        (tmp_path / name).write_text("587")
    assert opt_files.read(tmp_path).ignored == [
        "email.signature",
        "email.smtp_password.opt (did you mean email.smtp_pass.opt?)",
        "email.smtp_port.opt.txt (Notepad added “.txt”: rename it to email.smtp_port.opt)",
        "email.smtp_prot.opt (did you mean email.smtp_port.opt?)",
    ]


def test_a_name_that_is_no_text_can_be_shown(tmp_path):
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/email.\xff\n"))).write_text("x")
    assert opt_files.read(tmp_path).ignored == ["email.\\udcff\\u000a"]


def test_a_folder_that_cannot_be_read_is_an_error_because_this_server_was_told_to_use_it(settings, tmp_path):
    settings.EMAIL_OPT_DIR = tmp_path / "gone"
    (found,) = opt_files.read().errors
    assert str(found) == f"EMAIL_OPT_DIR: The folder {tmp_path}/gone cannot be read: No such file or directory."
    (tmp_path / "gone").write_text("a file")
    assert "Not a directory" in str(opt_files.read().errors[0])


FILE = st.sampled_from([*opt_files.FILES, "EMAIL.SMTP_PASS.OPT", "email.smtp_port.opt.txt"])
CONTENT = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=30).map(str.encode),
    st.text(max_size=30).map(lambda text: text.encode("utf-16", "surrogatepass")),
    st.integers().map(lambda number: str(number).encode()),
    st.sampled_from(["tls-explicit", "SSL", "a.example", "::1", "fe80::1%eth0", "。", "xn--a", "3"]).map(str.encode),
)  # fmt: skip
ALLOWED = {
    "send_type": lambda value: value in (0, 1, 2, 3),
    "auth_type": lambda value: value in ("default", "ssl", "tls-implicit", "tls-explicit"),
    "host": lambda value: 0 < len(value) <= 255 and value.isascii(),
    "port": lambda value: 1 <= value <= 65535,
    "username": lambda value: 0 < len(value) <= 255,
    "password": lambda value: 0 < len(value) <= 1000,
}


@given(files=st.dictionaries(FILE, CONTENT, max_size=4))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_in_the_files_each_gives_a_valid_value_or_an_error(tmp_path, files):
    for path in tmp_path.iterdir():
        path.unlink()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    found = opt_files.read(tmp_path)
    known = {name for name in files if name.lower() in opt_files.FILES}
    at_fault = {wrong.file for wrong in found.errors}
    assert at_fault <= known
    for name in known - at_fault:
        assert opt_files.FILES[name.lower()] in found.values
    assert all(ALLOWED[field](value) for field, (value, _) in found.values.items())
    " ".join(map(str, [*found.errors, *found.ignored])).encode()


@given(before=st.binary(max_size=20), after=st.binary(max_size=20), coding=st.sampled_from(["utf-8", "utf-16-le"]))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_surrounds_a_password_it_is_never_told(tmp_path, before, after, coding):
    (tmp_path / "email.smtp_pass.opt").write_bytes(before + "Tr0ub4dor".encode(coding) + after)
    found = opt_files.read(tmp_path)
    assert "Tr0ub4dor" not in repr(found) + "".join(map(str, found.errors))


# --- What a bad file stops, and what it does not -----------------------------------------------------

QUEUE_ONE = """
from django.utils import timezone
from messaging.intake.gate import Submission, accept
EmailSettings.objects.create(send_type=2, host="127.0.0.1", port=9, ehlo_name="t.example")
raw = b"From: a@b.example\\r\\nTo: ann@example.com\\r\\n\\r\\nhello"
message = accept(Submission(raw, "a@b.example", ["ann@example.com"], via="test"))
Message.objects.filter(pk=message.pk).update(not_before=timezone.now())
answer = None
"""
BAD = "email.smtp_port.opt: “abc” is no port. Allowed is a number from 1 to 65535."


def states():
    return sorted(Message.objects.values_list("status", flat=True))


@pytest.mark.django_db(transaction=True)
def test_bad_file_stops_this_server_and_mending_it_goes_on_without_a_restart(folder, email_setup, mail_server, woken):
    message = make_message("ann@example.com")
    write(folder, port="abc")
    lane = Lane(None)
    assert lane.run() == 0
    assert [str(wrong) for wrong in lane.refused_by] == [BAD]
    message.refresh_from_db()
    assert (message.status, message.tries, message.attempts.count()) == ("queued", 0, 0)
    assert not AccountPause.history.exists(), "a pause would stop every server"
    write(folder, port=str(mail_server.port))
    housekeeping.sweep(timezone.now())
    assert woken == [None]
    assert Lane(None).run() == 1
    assert states() == ["sent"]


@pytest.mark.django_db(transaction=True)
def test_a_try_that_is_due_is_left_to_a_server_that_can_send(folder, email_setup):
    make_message("ann@example.com")
    pause = AccountPause.objects.create(since=timezone.now(), until=timezone.now(), explanation="refused")
    write(folder, port="abc")
    Lane(None).run()
    assert AccountPause.objects.filter(pk=pause.pk, until=pause.until, failures=pause.failures).exists()


@pytest.mark.django_db(transaction=True)
def test_another_server_goes_on(folder, email_setup, mail_server, settings):
    make_message("ann@example.com")
    write(folder, port="abc")
    Lane(None).run()
    settings.EMAIL_OPT_DIR = None  # the same database, seen by another server
    assert Lane(None).run() == 1
    assert states() == ["sent"]


@pytest.mark.django_db(transaction=True)
def test_file_that_turns_bad_stops_before_the_next_claim_and_what_is_in_flight_is_finished(
    folder, email_setup, mail_server, settings
):
    settings.CLAIM_SIZE = 2
    messages = [make_message(f"c{number}@example.com") for number in range(5)]
    mail_server.at_end = lambda received: write(folder, port="abc")
    assert Lane(None).run() == 2
    assert states() == ["queued"] * 3 + ["sent"] * 2
    assert {message.tries for message in Message.objects.filter(status="queued")} == {0}
    assert len(mail_server.received) == 2
    assert len(messages) == 5
    assert not AccountPause.history.exists()


@pytest.mark.django_db(transaction=True)
def test_file_that_turns_bad_before_a_new_connection_gives_back_what_is_claimed(folder, mail_server):
    set_up(mail_server, messages_per_connection=1)
    for number in range(3):
        make_message(f"c{number}@example.com")
    mail_server.at_end = lambda received: write(folder, port="abc")
    assert Lane(None).run() == 1
    assert states() == ["queued", "queued", "sent"]
    for message in Message.objects.filter(status="queued"):
        assert (message.tries, message.lease_owner, message.attempts.count()) == (0, "", 0)
    assert not AccountPause.history.exists()


@pytest.mark.django_db(transaction=True)
def test_new_server_is_used_from_the_next_connection_on(folder, mail_server):
    set_up(mail_server, messages_per_connection=2)
    for number in range(4):
        make_message(f"c{number}@example.com")
    with MailServer() as other:
        mail_server.at_end = lambda received: write(folder, port=str(other.port))
        assert Lane(None).run() == 4
        assert (len(mail_server.received), len(other.received)) == (2, 2)


@pytest.mark.parametrize("what", ["test", "check"])
@pytest.mark.django_db(transaction=True)
def test_test_message_and_check_fail_and_say_why(folder, email_setup, mail_server, admin, what):
    write(folder, port="abc")
    page = text(admin.post(f"/setup/email/{what}/", {"recipient": "me@example.com"}))
    assert "Nothing is sent by this server until its file email.smtp_port.opt is mended." in page
    assert BAD in page  # for an administrator
    assert mail_server.connections == 0
    assert not AccountPause.history.exists()


@pytest.mark.django_db(transaction=True)
def test_what_is_sent_at_once_fails_and_says_why(folder, email_setup, mail_server):
    hold_mail(hold=False)
    write(folder, port="abc")
    message = EmailMessage("Report", "Dear Ann", "office@example.com", ["ann@example.com"])
    with pytest.raises(NotSent, match=r"email\.smtp_port\.opt is mended"):
        get_connection("messaging.backends.QueueEmailBackend").send_messages([message])
    assert states() == ["failed"]
    assert mail_server.connections == 0
    assert not AccountPause.history.exists()


@pytest.mark.django_db(transaction=True)
def test_process_queue_in_the_foreground_says_it_and_ends_with_1(folder, email_setup, mail_server, capsys):
    make_message("ann@example.com", due=False)
    write(folder, port="abc")
    with pytest.raises(Exception, match="“abc” is no port") as raised:
        call_command("process_queue")
    assert raised.value.returncode == 1
    assert states() == ["queued"]


@pytest.mark.django_db(transaction=True)
def test_process_queue_says_it_when_the_file_turns_bad_on_the_way(folder, mail_server, capsys):
    set_up(mail_server, messages_per_connection=1)
    for number in range(2):
        make_message(f"c{number}@example.com", due=False)
    mail_server.at_end = lambda received: write(folder, port="abc")
    with pytest.raises(SystemExit) as ended:
        call_command("process_queue")
    assert ended.value.code == 1
    assert f"Nothing is sent by this server until this .opt file is mended: {BAD}" in capsys.readouterr().out


@pytest.mark.process
def test_real_worker_waits_while_a_file_is_bad_and_goes_on_when_it_is_mended(tmp_path):
    option = tmp_path / "option"
    option.mkdir()
    write(option, port="abc")
    with MailServer() as server, Installation(tmp_path, EMAIL_OPT_DIR=str(option)) as installation:
        installation.ask(QUEUE_ONE)
        installation.start(WORKER)
        installation.start(BEAT)
        noted = "answer = list(Heartbeat.objects.filter(name__startswith='opt-files').values_list('note', flat=True))"
        assert wait_for(lambda: installation.ask(noted) == [BAD])
        assert installation.ask("answer = list(Message.objects.values_list('status', 'tries'))") == [["queued", 0]]
        write(option, port=str(server.port))
        assert wait_for(lambda: server.received)
        assert wait_for(lambda: installation.ask(noted) == [])
        worker_log = (tmp_path / "0-worker.log").read_text()
    assert worker_log.count("nothing is sent by") == 1
    assert worker_log.count("are mended; it sends again") == 1


# --- Who is told -------------------------------------------------------------------------------------


def text(response):
    return response.getvalue().decode()


@pytest.mark.django_db
def test_worker_notes_it_once_and_that_it_is_mended(folder, caplog):
    caplog.set_level(logging.INFO, "messaging")
    make_message("ann@example.com")
    write(folder, port="abc", password=b"s3cret\x00")
    now = timezone.now()
    for _ in range(3):
        housekeeping.sweep(now)
        Lane(None).run()
    note = Heartbeat.objects.get(name=f"opt-files {SERVER}")
    assert note.note.splitlines() == [
        "email.smtp_pass.opt: It has control characters. Save it again as UTF-8, with the value alone on one line.",
        BAD,
    ]
    (record,) = caplog.records
    assert (record.levelname, BAD in record.getMessage()) == ("WARNING", True)
    assert "s3cret" not in caplog.text + note.note
    write(folder, port="0", password="s3cret")
    housekeeping.sweep(now)
    assert len(caplog.records) == 2, "what changed is told"
    write(folder, port="587")
    for _ in range(3):
        housekeeping.sweep(now)
    assert len(caplog.records) == 3
    assert "mended" in caplog.records[-1].getMessage()
    assert not Heartbeat.objects.filter(name__startswith="opt-files").exists()


@pytest.mark.django_db
def test_note_is_refreshed_now_and_then_only(folder, monkeypatch, django_assert_num_queries, caplog):
    write(folder, port="abc")
    files = opt_files.read()
    refusal.tell(files, timezone.now())
    with django_assert_num_queries(0):
        refusal.tell(files, timezone.now())
    monkeypatch.setattr(refusal, "REFRESHED_AFTER", 0.0)
    later = timezone.now()
    with django_assert_num_queries(1):
        refusal.tell(files, later)
    assert Heartbeat.objects.get().at == later
    assert len(caplog.records) == 1


@pytest.mark.django_db
def test_note_left_by_a_worker_that_ended_is_dropped_at_the_start(folder):
    Heartbeat.objects.create(name=f"opt-files {SERVER}", at=timezone.now(), note=BAD)
    housekeeping.sweep(timezone.now())
    assert not Heartbeat.objects.filter(name__startswith="opt-files").exists()


@pytest.mark.django_db
def test_sweep_is_as_cheap_with_files_as_without(folder, django_assert_max_num_queries):
    write(folder, host="mail.example.com", port="587", password=PASSWORD)
    housekeeping.sweep(timezone.now())
    with django_assert_max_num_queries(8):
        housekeeping.sweep(timezone.now())


@pytest.mark.django_db
def test_administrators_are_told_the_words_and_office_staff_whom_to_ask(folder, client, admin, django_user_model):
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    write(folder, port="abc")
    page = text(admin.get("/messages/"))
    assert f"Nothing is sent by {SERVER}: {BAD}" in page
    client.force_login(make_user("ben"))
    page = text(client.get("/messages/"))
    assert f"Nothing is sent by {SERVER}: one of its .opt files cannot be understood." in page
    assert "Ask an administrator" in page
    assert "abc" not in page.partition('class="list')[0]
    write(folder, port="587")
    assert "Nothing is sent by" not in text(client.get("/messages/"))


@pytest.mark.django_db
def test_what_another_server_says_is_shown_while_it_is_fresh(admin):
    now = timezone.now()
    Heartbeat.objects.create(name="sweep", at=now)
    other = Heartbeat.objects.create(name="opt-files mail2", at=now, note=BAD)
    assert f"Nothing is sent by mail2: {BAD}" in text(admin.get("/messages/"))
    other.at = now - refusal.FRESH - refusal.FRESH
    other.save()
    assert "Nothing is sent by" not in text(admin.get("/messages/"))
    housekeeping.tidy(now)
    assert Heartbeat.objects.filter(pk=other.pk).exists()
    housekeeping.tidy(now + refusal.FRESH * 60 * 25)
    assert not Heartbeat.objects.filter(pk=other.pk).exists()


@pytest.mark.django_db
def test_page_costs_no_more_while_all_is_well(folder, django_assert_num_queries):
    from messaging.console.context import obstacles

    Heartbeat.objects.create(name="sweep", at=timezone.now())
    write(folder, port="587")
    with django_assert_num_queries(1):
        assert obstacles().refusing == {}


@pytest.mark.django_db
def test_setup_page_says_why_batches_are_refused(folder, admin):
    write(folder, port="abc")
    assert BAD in text(admin.get("/setup/email/"))


@pytest.mark.django_db
def test_review_names_the_file_to_office_staff_and_not_what_is_in_it(folder, client, operator):
    write(folder, port="abc")
    client.force_login(operator)
    message = make_message("ann@example.com", due=False)
    page = text(client.post("/batches/new/", {"message": [message.pk]}, follow=True))
    assert "Nothing is sent by this server until its file email.smtp_port.opt is mended." in page
    assert "abc" not in page


@pytest.mark.django_db
def test_readiness_names_the_file_and_not_what_is_in_it(folder, client, monkeypatch):
    monkeypatch.setattr("messaging.console.views.health._broker", lambda: True)
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    write(folder, port="587")
    assert client.get("/readyz").json()["checks"]["opt_files"] is True
    write(folder, port="s3cret")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {
        "ready": False,
        "checks": dict.fromkeys(("database", "broker", "worker_and_beat", "worker", "beat"), True)
        | {"opt_files": False},
        "opt_files_at_fault": ["email.smtp_port.opt"],
    }
    folder.rename(folder.with_name("elsewhere"))
    assert client.get("/readyz").json()["opt_files_at_fault"] == ["EMAIL_OPT_DIR"]


def test_check_says_it_before_anything_runs(folder, capsys, settings, monkeypatch):
    write(folder, port="abc")
    call_command("check")
    assert f"(messaging.W001) Nothing is sent by this server: {BAD}" in capsys.readouterr().err
    monkeypatch.chdir(folder.parent)
    settings.EMAIL_OPT_DIR = Path(folder.name)
    call_command("check")
    assert "(messaging.W002) EMAIL_OPT_DIR is option, which is another folder" in capsys.readouterr().err


# --- Saving Email Setup (S13) ------------------------------------------------------------------------


@pytest.mark.django_db
def test_saving_email_setup_never_writes_what_the_files_say(folder, admin, settings):
    EmailSettings.objects.create(send_type=2, auth_type="default", host="company.example", port=26, username="office")
    said = {"send_type": "3", "auth_type": "tls-explicit", "host": "opt.example", "port": "587", "username": "opt-user"}
    write(folder, **said, password=PASSWORD)
    page = admin.get("/setup/email/")
    form = page.context["form"]
    shown = {name: form[name].value() for name in form.fields}
    # A browser posts what the form shows; one that posts what the files say, too, changes nothing by it.
    posted = {name: value for name, value in shown.items() if value not in (None, False)} | said
    posted["password"] = PASSWORD
    assert admin.post("/setup/email/", posted | {"from_address": "office@example.com"}).status_code == 302
    row = EmailSettings.objects.get()
    assert (row.send_type, row.auth_type, row.host, row.port) == (2, "default", "company.example", 26)
    assert (row.username, row.password_encrypted) == ("office", "")
    assert row.from_address == "office@example.com"
    assert resolve(None).host == "opt.example"
    assert PASSWORD not in text(page) + text(admin.get("/setup/email/"))
    settings.EMAIL_OPT_DIR = None  # another server
    assert (resolve(None).host, resolve(None).port, resolve(None).password) == ("company.example", 26, "")
