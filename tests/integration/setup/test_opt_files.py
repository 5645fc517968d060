"""`.opt` files of one server (S10 and S13): what is read, what is refused, and what a bad one stops."""

import logging
from pathlib import Path

import pytest
from django.core.mail import EmailMessage, get_connection
from django.core.management import call_command
from django.utils import timezone

from messaging import housekeeping
from messaging.backends import NotSent
from messaging.delivery import opt_file_block
from messaging.delivery.lane import Lane
from messaging.models import AccountPause, EmailSettings, Heartbeat, Message, Phrase
from messaging.setup import opt_files
from messaging.setup.layers import resolve
from messaging.wording import in_words
from tests.factories import hold_mail, make_message, make_user, said, set_up, write_opt_files
from tests.pages import source
from tests.rows import states
from tests.servers import MailServer
from tests.steps import run_lane

PASSWORD = "s3cret-pässword"
SERVER = opt_file_block.server_name()


@pytest.fixture(autouse=True)
def nothing_told_yet(monkeypatch):
    monkeypatch.setattr(opt_file_block, "_noted", opt_file_block._Noted())


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
def test_each_file_of_the_seed_wins_over_everything_else(opt_folder, operator, file, content, field, value):
    for account in (None, operator):
        EmailSettings.objects.create(account=account, host="x.example", port=26, username="x", auth_type="default")
    (opt_folder / file).write_text(content + "\r\n")
    for account in (None, operator):
        found = resolve(account).values[field]
        assert (found.value, found.source, found.layer) == (value, file, "opt")


@pytest.mark.django_db
def test_port_is_25_where_no_file_names_one(opt_folder):
    write_opt_files(opt_folder, host="mail.example.com")
    assert resolve(None).port == 25


@pytest.mark.django_db
def test_files_are_optional_and_other_files_of_the_folder_are_none_of_ours(opt_folder):
    (opt_folder / "report.printer.opt").write_bytes(b"\xff\x00 whatever\n\n")
    (opt_folder / "email.templates").mkdir()
    assert opt_files.read() == opt_files.OptFiles()


# --- What a bad file stops, and what it does not -----------------------------------------------------


BAD = "email.smtp_port.opt: “abc” is not a port. Write a number from 1 to 65535."


@pytest.mark.django_db(transaction=True)
def test_bad_file_stops_this_server_and_mending_it_goes_on_without_a_restart(
    opt_folder, email_setup, mail_server, woken
):
    message = make_message("ann@example.com")
    write_opt_files(opt_folder, port="abc")
    lane = Lane(None)
    assert lane.run() == 0
    assert [str(wrong) for wrong in lane.refused_by] == [BAD]
    message.refresh_from_db()
    assert (message.status, message.tries, message.attempts.count()) == ("queued", 0, 0)
    assert not AccountPause.history.exists(), "a pause would stop every server"
    write_opt_files(opt_folder, port=str(mail_server.port))
    housekeeping.sweep(timezone.now())
    assert woken == [None]
    assert run_lane() == 1
    assert states() == ["sent"]


@pytest.mark.django_db(transaction=True)
def test_a_try_that_is_due_is_left_to_a_server_that_can_send(opt_folder, email_setup):
    make_message("ann@example.com")
    pause = AccountPause.objects.create(since=timezone.now(), until=timezone.now(), reason=said("refused"))
    write_opt_files(opt_folder, port="abc")
    run_lane()
    assert AccountPause.objects.filter(pk=pause.pk, until=pause.until, failures=pause.failures).exists()


@pytest.mark.django_db(transaction=True)
def test_another_server_goes_on(opt_folder, email_setup, mail_server, settings):
    make_message("ann@example.com")
    write_opt_files(opt_folder, port="abc")
    run_lane()
    settings.EMAIL_OPT_DIR = None  # the same database, seen by another server
    assert run_lane() == 1
    assert states() == ["sent"]


@pytest.mark.django_db(transaction=True)
def test_file_that_turns_bad_stops_before_the_next_claim_and_what_is_in_flight_is_finished(
    opt_folder, email_setup, mail_server, settings
):
    settings.CLAIM_SIZE = 2
    messages = [make_message(f"c{number}@example.com") for number in range(5)]
    mail_server.at_end = lambda received: write_opt_files(opt_folder, port="abc")
    assert run_lane() == 2
    assert sorted(states()) == ["queued"] * 3 + ["sent"] * 2
    assert {message.tries for message in Message.objects.filter(status="queued")} == {0}
    assert len(mail_server.received) == 2
    assert len(messages) == 5
    assert not AccountPause.history.exists()


@pytest.mark.django_db(transaction=True)
def test_file_that_turns_bad_before_a_new_connection_gives_back_what_is_claimed(opt_folder, mail_server):
    set_up(mail_server, messages_per_connection=1)
    for number in range(3):
        make_message(f"c{number}@example.com")
    mail_server.at_end = lambda received: write_opt_files(opt_folder, port="abc")
    assert run_lane() == 1
    assert sorted(states()) == ["queued", "queued", "sent"]
    for message in Message.objects.filter(status="queued"):
        assert (message.tries, message.lease_owner, message.attempts.count()) == (0, "", 0)
    assert not AccountPause.history.exists()


@pytest.mark.django_db(transaction=True)
def test_new_server_is_used_from_the_next_connection_on(opt_folder, mail_server):
    set_up(mail_server, messages_per_connection=2)
    for number in range(4):
        make_message(f"c{number}@example.com")
    with MailServer() as other:
        mail_server.at_end = lambda received: write_opt_files(opt_folder, port=str(other.port))
        assert run_lane() == 4
        assert (len(mail_server.received), len(other.received)) == (2, 2)


@pytest.mark.parametrize("what", ["test", "check"])
@pytest.mark.django_db(transaction=True)
def test_test_message_and_check_fail_and_say_why(opt_folder, email_setup, mail_server, admin, what):
    write_opt_files(opt_folder, port="abc")
    page = source(admin.post(f"/setup/email/{what}/", {"recipient": "me@example.com"}))
    assert "This server sends nothing until its file email.smtp_port.opt is fixed." in page
    assert BAD in page  # for an administrator
    assert mail_server.connections == 0
    assert not AccountPause.history.exists()


@pytest.mark.django_db(transaction=True)
def test_what_is_sent_at_once_fails_and_says_why(opt_folder, email_setup, mail_server):
    hold_mail(hold=False)
    write_opt_files(opt_folder, port="abc")
    message = EmailMessage("Report", "Dear Ann", "office@example.com", ["ann@example.com"])
    with pytest.raises(NotSent, match=r"email\.smtp_port\.opt is fixed"):
        get_connection("messaging.backends.QueueEmailBackend").send_messages([message])
    assert states() == ["failed"]
    assert mail_server.connections == 0
    assert not AccountPause.history.exists()


@pytest.mark.django_db(transaction=True)
def test_process_queue_in_the_foreground_says_it_and_ends_with_1(opt_folder, email_setup, mail_server, capsys):
    make_message("ann@example.com", due=False)
    write_opt_files(opt_folder, port="abc")
    with pytest.raises(Exception, match="“abc” is not a port") as raised:
        call_command("process_queue")
    assert raised.value.returncode == 1
    assert sorted(states()) == ["queued"]


@pytest.mark.django_db(transaction=True)
def test_process_queue_says_it_when_the_file_turns_bad_on_the_way(opt_folder, mail_server, capsys):
    set_up(mail_server, messages_per_connection=1)
    for number in range(2):
        make_message(f"c{number}@example.com", due=False)
    mail_server.at_end = lambda received: write_opt_files(opt_folder, port="abc")
    with pytest.raises(SystemExit) as ended:
        call_command("process_queue")
    assert ended.value.code == 1
    assert f"This server sends nothing until this .opt file is fixed: {BAD}" in capsys.readouterr().out


# --- Who is told -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_worker_notes_it_once_and_that_it_is_mended(opt_folder, caplog):
    caplog.set_level(logging.INFO, "messaging")
    make_message("ann@example.com")
    write_opt_files(opt_folder, port="abc", password=b"s3cret\x00")
    now = timezone.now()
    for _ in range(3):
        housekeeping.sweep(now)
        run_lane()
    note = Heartbeat.objects.get(name=f"opt-files {SERVER}")
    assert list(map(in_words, opt_file_block.errors_of(note))) == [
        "email.smtp_pass.opt: It has control characters. Save it again as UTF-8, with the value alone on one line.",
        BAD,
    ]
    (record,) = caplog.records
    assert (record.levelname, BAD in record.getMessage()) == ("WARNING", True)
    assert "s3cret" not in caplog.text + repr(note.note)
    write_opt_files(opt_folder, port="0", password="s3cret")
    housekeeping.sweep(now)
    assert len(caplog.records) == 2, "what changed is told"
    write_opt_files(opt_folder, port="587")
    for _ in range(3):
        housekeeping.sweep(now)
    assert len(caplog.records) == 3
    assert "are fixed" in caplog.records[-1].getMessage()
    assert not Heartbeat.objects.filter(name__startswith="opt-files").exists()


@pytest.mark.django_db
def test_note_is_refreshed_now_and_then_only(opt_folder, monkeypatch, django_assert_num_queries, caplog):
    write_opt_files(opt_folder, port="abc")
    files = opt_files.read()
    opt_file_block.note_errors(files, timezone.now())
    with django_assert_num_queries(0):
        opt_file_block.note_errors(files, timezone.now())
    monkeypatch.setattr(opt_file_block, "REFRESHED_AFTER", 0.0)
    later = timezone.now()
    with django_assert_num_queries(1):
        opt_file_block.note_errors(files, later)
    assert Heartbeat.objects.get().at == later
    assert len(caplog.records) == 1


@pytest.mark.django_db
def test_note_left_by_a_worker_that_ended_is_dropped_at_the_start(opt_folder):
    Heartbeat.objects.create(name=f"opt-files {SERVER}", at=timezone.now(), note=BAD)
    housekeeping.sweep(timezone.now())
    assert not Heartbeat.objects.filter(name__startswith="opt-files").exists()


@pytest.mark.django_db
def test_sweep_is_as_cheap_with_files_as_without(opt_folder, django_assert_max_num_queries):
    write_opt_files(opt_folder, host="mail.example.com", port="587", password=PASSWORD)
    housekeeping.sweep(timezone.now())
    with django_assert_max_num_queries(8):
        housekeeping.sweep(timezone.now())


@pytest.mark.django_db
def test_administrators_are_told_the_words_and_office_staff_whom_to_ask(opt_folder, client, admin, django_user_model):
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    write_opt_files(opt_folder, port="abc")
    page = source(admin.get("/messages/"))
    assert f"{SERVER} sends nothing: {BAD}" in page
    client.force_login(make_user("ben"))
    page = source(client.get("/messages/"))
    assert f"{SERVER} sends nothing: one of its .opt files cannot be understood." in page
    assert "Ask an administrator" in page
    assert "abc" not in page.partition('class="list')[0]
    write_opt_files(opt_folder, port="587")
    assert "sends nothing" not in source(client.get("/messages/"))


@pytest.mark.django_db
def test_what_another_server_says_is_shown_while_it_is_fresh(admin):
    now = timezone.now()
    Heartbeat.objects.create(name="sweep", at=now)
    other = Heartbeat.objects.create(name="opt-files mail2", at=now, note=Phrase("opt errors", errors=[said(BAD)]))
    assert f"mail2 sends nothing: {BAD}" in source(admin.get("/messages/"))
    other.at = now - opt_file_block.FRESH - opt_file_block.FRESH
    other.save()
    assert "sends nothing" not in source(admin.get("/messages/"))
    housekeeping.tidy(now)
    assert Heartbeat.objects.filter(pk=other.pk).exists()
    later = now + opt_file_block.FRESH * 60 * 25
    Heartbeat.objects.filter(name="sweep").update(at=later)
    housekeeping.tidy(later)
    assert not Heartbeat.objects.filter(pk=other.pk).exists()


@pytest.mark.django_db
def test_page_costs_no_more_while_all_is_well(opt_folder, django_assert_num_queries):
    from messaging.console.context import obstacles

    Heartbeat.objects.create(name="sweep", at=timezone.now())
    write_opt_files(opt_folder, port="587")
    with django_assert_num_queries(1):
        assert obstacles().refusing == {}


@pytest.mark.django_db
def test_setup_page_says_why_batches_are_refused(opt_folder, admin):
    write_opt_files(opt_folder, port="abc")
    assert BAD in source(admin.get("/setup/email/"))


@pytest.mark.django_db
def test_review_names_the_file_to_office_staff_and_not_what_is_in_it(opt_folder, client, operator):
    write_opt_files(opt_folder, port="abc")
    client.force_login(operator)
    message = make_message("ann@example.com", due=False)
    page = source(client.post("/batches/new/", {"message": [message.pk]}, follow=True))
    assert "This server sends nothing until its file email.smtp_port.opt is fixed." in page
    assert "abc" not in page


@pytest.mark.parametrize(("mode", "is_said"), [(0o644, True), (0o640, False)])
def test_check_says_that_others_can_read_the_password(opt_folder, capsys, mode, is_said):
    write_opt_files(opt_folder, password=PASSWORD)
    opt_folder.chmod(0o755)
    (opt_folder / "email.smtp_pass.opt").chmod(mode)
    call_command("check")
    said = f"(messaging.W005) Other users of this machine can read the password in {opt_folder}/email.smtp_pass.opt."
    assert (said in capsys.readouterr().err) is is_said


def test_check_says_it_before_anything_runs(opt_folder, capsys, settings, monkeypatch):
    write_opt_files(opt_folder, port="abc")
    call_command("check")
    assert f"(messaging.W001) This server sends nothing: {BAD}" in capsys.readouterr().err
    monkeypatch.chdir(opt_folder.parent)
    settings.EMAIL_OPT_DIR = Path(opt_folder.name)
    call_command("check")
    assert "(messaging.W002) EMAIL_OPT_DIR is option, which is a different folder" in capsys.readouterr().err


# --- Saving Email Setup (S13) ------------------------------------------------------------------------


@pytest.mark.django_db
def test_saving_email_setup_never_writes_what_the_files_say(opt_folder, admin, settings):
    EmailSettings.objects.create(send_type=2, auth_type="default", host="company.example", port=26, username="office")
    said = {"send_type": "3", "auth_type": "tls-explicit", "host": "opt.example", "port": "587", "username": "opt-user"}
    write_opt_files(opt_folder, **said, password=PASSWORD)
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
    assert PASSWORD not in source(page) + source(admin.get("/setup/email/"))
    settings.EMAIL_OPT_DIR = None  # another server
    assert (resolve(None).host, resolve(None).port, resolve(None).password) == ("company.example", 26, "")
