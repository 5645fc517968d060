"""`.opt` files: what is read, in whatever way an editor saves it, and what is refused."""

import os
import string
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.setup import opt_files
from tests.factories import write_opt_files

PASSWORD = "s3cret-pässword"


def values(folder):
    found = opt_files.read(folder)
    assert not found.errors
    return {name: value for name, (value, _) in found.values.items()}


def error(folder):
    (found,) = opt_files.read(folder).errors
    return str(found)


def test_without_a_folder_there_are_no_files(settings):
    settings.EMAIL_OPT_DIR = None
    assert opt_files.read() == opt_files.OptFiles()


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
    write_opt_files(tmp_path, **{field: WAYS[way](text) for field, text in said.items()})
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
    write_opt_files(tmp_path, **{field: content})
    assert values(tmp_path) == {field: value}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_password_may_have_every_character_that_can_be_seen(tmp_path, encoding):
    password = string.ascii_letters + string.digits + string.punctuation + " äßéñ€…“” 密码 пароль 🔑\u00a0."
    write_opt_files(tmp_path, password=f"{password}\r\n".encode(encoding))
    assert values(tmp_path) == {"password": password}


def test_ansi_password_may_have_every_character_that_ansi_has(tmp_path):
    octets = bytes(number for number in range(0x20, 0x100) if number not in (0x7F, 0x81, 0x8D, 0x8F, 0x90, 0x9D))
    write_opt_files(tmp_path, password=octets + b".")
    assert values(tmp_path) == {"password": octets.decode("cp1252") + "."}


def test_names_in_upper_case_are_read(tmp_path):
    (tmp_path / "EMAIL.SMTP_SERVER").write_text("mail.example.com")
    (tmp_path / "Email.Smtp_Port.OPT").write_text("587")
    assert values(tmp_path) == {"host": "mail.example.com", "port": 587}


def test_link_to_a_file_is_read(tmp_path):
    (tmp_path / "elsewhere").write_text("587")
    (tmp_path / "email.smtp_port.opt").symlink_to(tmp_path / "elsewhere")
    assert values(tmp_path) == {"port": 587}


@pytest.mark.parametrize(
    ("field", "content", "words"),
    [
        ("port", "+587", "email.smtp_port.opt: “+587” is not a port. Write a number from 1 to 65535."),
        ("port", "abc", "“abc” is not a port"), ("port", "0", "“0” is not a port"),
        ("port", "-1", "“-1” is not a port"),
        ("port", "70000", "“70000” is not a port"), ("port", "25.0", "“25.0” is not a port"),
        ("port", "５８７", "“５８７” is not a port"), ("port", "5 87", "“5 87” is not a port"),
        ("port", "587\x00", "control characters"), ("port", "\ufeff\ufeff587", "control characters"),
        ("port", "9" * 400, f"“{'9' * 60}…” is not a port"), ("port", "587\u202e", "“587\\u202e” is not a port"),
        ("send_type", "4", "email.send_type.opt: “4” is not a send type. Write 0, 1, 2 or 3."),
        ("send_type", "SMTP", "“SMTP” is not a send type"), ("send_type", "03", "“03” is not a send type"),
        ("send_type", "2 # SMTP", "“2 # SMTP” is not a send type"),
        ("auth_type", "tls",
         "email.auth_type.opt: “tls” is not an auth type. Write one of default, ssl, tls-implicit, tls-explicit."),
        ("auth_type", "starttls", "“starttls” is not an auth type"), ("auth_type", "\u00a0", "empty"),
        ("host", "smtp://mail.example.com", "“smtp://mail.example.com” is not a server. Enter the server name alone"),
        ("host", "mail.example.com:587", "the port and the user name have fields of their own"),
        ("host", "two words", "cannot contain spaces"), ("host", "a" * 300 + ".example", "is not a server"),
        ("host", "169.254.169.254", "never connects to"), ("host", "a..b", "is not a server"),
        ("host", "mail.example.com\nother.example.com", "It has 2 lines. It must be one line with the value alone."),
        ("port", "587\r\n25", "2 lines"), ("port", "\r\n587", "2 lines"), ("port", "587\u202825", "2 lines"),
        ("username", "a\tb", "control characters"), ("username", "x" * 256, "256 characters. At most 255 are allowed"),
        ("port", "", "It is empty. Write the value on one line, or delete the file."), ("port", " \r\n\r\n", "empty"),
        ("port", b"\xef\xbb\xbf", "empty"), ("port", b"\xff\xfe", "empty"),
        ("port", b"\xff\xfe5", "marked as UTF-16 and cannot be read as such"),
        ("port", b"\xff\xfe\x00\xd8", "marked as UTF-16 and cannot be read as such"),
        ("username", b"\x81\x8d", "neither UTF-8 nor ANSI"),
        ("port", b"5" * 1_000_000, "It has more than 4,096 octets. It must be one line with the value alone."),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused_with_what_is_allowed(tmp_path, field, content, words):
    write_opt_files(tmp_path, **{field: content})
    assert words in error(tmp_path)
    assert not opt_files.read(tmp_path).values


@pytest.mark.parametrize(
    "content",
    ["s3cret\nline", "s3cret\x00", "\x07s3cret", "s3cret" * 200, "s3cret" * 2000, b"s3cret\x81", b"\xff\xfes3cret."],
)
def test_a_bad_password_is_refused_and_never_told(tmp_path, content, caplog):
    write_opt_files(tmp_path, password=content)
    found = opt_files.read(tmp_path)
    assert len(found.errors) == 1
    assert "s3cret" not in repr(found) + str(found.errors[0]) + caplog.text


def test_a_good_password_is_not_told_either(tmp_path):
    write_opt_files(tmp_path, password=PASSWORD)
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
    write_opt_files(tmp_path, port="587")

    def forbidden(path, flags):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(opt_files, "_open_without_waiting", forbidden)  # root may read everything
    assert error(tmp_path) == "email.smtp_port.opt: It cannot be read: Permission denied."


def test_a_file_deleted_since_the_folder_was_listed_is_not_there(tmp_path, monkeypatch):
    write_opt_files(tmp_path, port="587", host="mail.example.com")
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
    assert error(tmp_path) == f"{names[1]}: It says something different from {names[0]}. Delete one of the two."


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
def test_whatever_surrounds_a_password_it_is_never_told(tmp_path, before, after, coding):
    (tmp_path / "email.smtp_pass.opt").write_bytes(before + "Tr0ub4dor".encode(coding) + after)
    found = opt_files.read(tmp_path)
    assert "Tr0ub4dor" not in repr(found) + "".join(map(str, found.errors))
