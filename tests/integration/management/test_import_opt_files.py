"""`manage.py import_opt_files`: the `.opt` files of a folder, once, into the company's settings (S10)."""

import datetime as dt
import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from messaging.models import AccountPause, AuditEntry, EmailSettings
from messaging.setup import changes
from messaging.setup.layers import resolve
from messaging.setup.secrets import decrypt
from tests.factories import said

pytestmark = pytest.mark.django_db

FILES = {
    "email.send_type.opt": "3\r\n",
    "email.auth_type.opt": "tls-explicit\r\n",
    "email.smtp_server": "mail.example.com\r\n",
    "email.smtp_port.opt": "2525\r\n",
    "email.smtp_user.opt": "office\r\n",
    "email.smtp_pass.opt": "s3cret pässword\r\n",
}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "option"
    path.mkdir()
    return path


def write(folder, files=FILES):
    for name, content in files.items():
        (folder / name).write_text(content)


def run(folder, *options):
    out = io.StringIO()
    call_command("import_opt_files", str(folder), *options, stdout=out)
    return out.getvalue()


def company():
    return EmailSettings.objects.get(account=None)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def at_terminal(monkeypatch, answer):
    monkeypatch.setattr("sys.stdin", Terminal(answer))


def test_files_are_taken_over_with_a_diff(folder):
    write(folder)
    assert run(folder, "--yes").splitlines() == [
        "Send type: none -> 3  (email.send_type.opt)",
        "Auth type: none -> tls-explicit  (email.auth_type.opt)",
        "Server: none -> mail.example.com  (email.smtp_server)",
        "Port: none -> 2525  (email.smtp_port.opt)",
        "User name: none -> office  (email.smtp_user.opt)",
        "Password: none -> stored  (email.smtp_pass.opt)",
        "6 values taken into the company settings.",
    ]
    row = company()
    assert (row.send_type, row.auth_type, row.host, row.port) == (3, "tls-explicit", "mail.example.com", 2525)
    assert (row.username, decrypt(row.password_encrypted)) == ("office", "s3cret pässword")


def test_it_is_logged_as_the_commands_change_and_no_secret_is_told(folder):
    write(folder)
    said = run(folder, "--yes")
    logged = list(AuditEntry.objects.values_list("field", "action", "after", "by", "via"))
    assert ("host", "changed", "mail.example.com", None, "import_opt_files") in logged
    assert ("password", "secret set", None, None, "import_opt_files") in logged
    assert len(logged) == 6
    assert "s3cret" not in said + str(logged)


def test_only_what_differs_is_shown_and_written(folder):
    write(folder)
    run(folder, "--yes")
    write(folder, {"email.smtp_port.opt": "587", "email.smtp_pass.opt": "another"})
    assert run(folder, "--yes").splitlines() == [
        "Port: 2525 -> 587  (email.smtp_port.opt)",
        "Password: stored -> changed  (email.smtp_pass.opt)",
        "2 values taken into the company settings.",
    ]
    assert (company().port, company().version, decrypt(company().password_encrypted)) == (587, 2, "another")


def test_what_no_file_names_stays(folder):
    EmailSettings.objects.create(from_address="office@example.com", username="anna", port=26)
    write(folder, {"email.smtp_port.opt": "587"})
    run(folder, "--yes")
    assert (company().from_address, company().username, company().port) == ("office@example.com", "anna", 587)


def test_a_second_time_there_is_nothing_to_do(folder):
    write(folder)
    run(folder, "--yes")
    assert run(folder) == "Nothing to do: the company settings say the same already.\n"
    assert company().version == 1


def test_a_folder_without_such_files_says_so_and_what_was_not_read(folder):
    write(folder, {"email.smtp_port.opt.txt": "587", "report.opt": "x"})
    assert run(folder).splitlines() == [
        "Not read: email.smtp_port.opt.txt (Notepad added “.txt”: rename it to email.smtp_port.opt)",
        "Nothing to do: there are no .opt files of Email Setup in this folder.",
    ]
    assert not EmailSettings.objects.exists()


def test_dry_run_writes_nothing(folder):
    write(folder)
    said = run(folder, "--dry-run")
    assert "Server: none -> mail.example.com" in said
    assert said.endswith("6 values would be taken into the company settings. Nothing was written.\n")
    assert not EmailSettings.objects.exists()


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_it_asks_and_takes_them_on_yes(folder, monkeypatch, answer):
    write(folder)
    at_terminal(monkeypatch, answer)
    assert "Take these 6 values into the company settings? [y/N]" in run(folder)
    assert company().host == "mail.example.com"


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "maybe\n"])
def test_any_other_answer_writes_nothing(folder, monkeypatch, answer):
    write(folder, {"email.smtp_port.opt": "587"})
    at_terminal(monkeypatch, answer)
    with pytest.raises(CommandError, match=r"Nothing was written\.") as refused:
        run(folder)
    assert refused.value.returncode == 1
    assert not EmailSettings.objects.exists()


def test_without_a_terminal_and_without_yes_nothing_is_written(folder, monkeypatch):
    write(folder)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(CommandError, match="there is no terminal to ask on") as refused:
        run(folder)
    assert refused.value.returncode == 1
    assert not EmailSettings.objects.exists()


def test_each_bad_file_is_named_and_nothing_is_written(folder):
    write(
        folder, FILES | {"email.smtp_port.opt": "abc", "email.auth_type.opt": "tls", "email.smtp_pass.opt": "s3\ncret"}
    )
    with pytest.raises(CommandError) as refused:
        run(folder, "--yes")
    assert str(refused.value).splitlines() == [
        "Nothing was written. Fix these first:",
        "email.auth_type.opt: “tls” is not an auth type. Write one of default, ssl, tls-implicit, tls-explicit.",
        "email.smtp_pass.opt: It has 2 lines. It must be one line with the value alone.",
        "email.smtp_port.opt: “abc” is not a port. Write a number from 1 to 65535.",
    ]
    assert not EmailSettings.objects.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CommandError, match=r"gone cannot be read: No such file or directory"):
        run(tmp_path / "gone", "--yes")


def test_values_of_other_layers_are_never_written(folder, operator, settings, tmp_path):
    """Neither those of an account, nor those of the folder that this server uses."""
    EmailSettings.objects.create(account=operator, host="mine.example.com", username="anna")
    settings.EMAIL_OPT_DIR = tmp_path / "of-this-server"
    settings.EMAIL_OPT_DIR.mkdir()
    write(settings.EMAIL_OPT_DIR, {"email.smtp_server": "server.example.com", "email.smtp_user.opt": "server"})
    write(folder, {"email.smtp_port.opt": "587"})
    said = run(folder, "--yes")
    assert (company().host, company().username, company().port) == ("", "", 587)
    own = EmailSettings.objects.get(account=operator)
    assert (own.host, own.username, own.port) == ("mine.example.com", "anna", None)
    assert f"While EMAIL_OPT_DIR points to {settings.EMAIL_OPT_DIR}, the .opt files there still win" in said
    assert resolve(None).host == "server.example.com"


def test_mapi_and_ssl_are_taken_with_a_warning(folder):
    write(folder, {"email.send_type.opt": "1", "email.auth_type.opt": "ssl"})
    said = run(folder, "--yes")
    assert "Warning: send type 1 (MAPI, Outlook) cannot send in bulk. Choose 2 or 3 (SMTP)." in said
    assert "Warning: auth type ssl is SSL 3.0" in said
    assert "Choose tls-implicit." in said
    assert (company().send_type, company().auth_type) == (1, "ssl")


def test_stored_password_does_not_follow_to_another_server(folder):
    write(folder)
    run(folder, "--yes")
    (folder / "email.smtp_pass.opt").unlink()
    write(folder, {"email.smtp_server": "other.example.com"})
    assert "Password: stored -> none  (it is not for other.example.com)" in run(folder, "--dry-run")
    assert company().password_encrypted
    run(folder, "--yes")
    assert (company().host, company().password_encrypted) == ("other.example.com", "")


def test_whoever_saved_meanwhile_is_not_overwritten(folder, monkeypatch):
    EmailSettings.objects.create(host="old.example.com")
    write(folder)

    class Meanwhile(Terminal):
        def readline(self, *args):
            changes.save(None, {"host": "saved.example.com"}, by=None)
            return "y\n"

    monkeypatch.setattr("sys.stdin", Meanwhile())
    with pytest.raises(CommandError, match="Another user changed these settings in the meantime"):
        run(folder)
    assert (company().host, company().port) == ("saved.example.com", None)


def test_without_a_key_the_password_is_not_stored(folder, settings):
    settings.FIELD_ENCRYPTION_KEYS = []
    write(folder)
    with pytest.raises(CommandError, match="FIELD_ENCRYPTION_KEYS is empty"):
        run(folder, "--yes")
    assert not EmailSettings.objects.exists()


def test_a_paused_account_tries_at_once_with_what_was_taken(folder):
    later = timezone.now() + dt.timedelta(minutes=15)
    AccountPause.objects.create(since=timezone.now(), until=later, reason=said("refused"))
    write(folder)
    run(folder, "--yes")
    assert AccountPause.objects.get().until <= timezone.now()
