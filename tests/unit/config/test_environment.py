"""Every variable is read as it stands, or the start stops with one line that names it."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.environment import Environment, read_file
from tests.database import scrubbed_environment
from tests.installation import ROOT

KEY = "k" * 50
FERNET = "A" * 43 + "="


@pytest.fixture
def settings_of(monkeypatch, tmp_path):
    """What settings become with these variables and no others."""

    def settings_of(**variables):
        own = {"SECRET_KEY": KEY, "ENV_FILE": os.devnull, "VAR_DIR": str(tmp_path)} | variables
        monkeypatch.setattr(os, "environ", {name: value for name, value in own.items() if value is not None})
        return runpy.run_path(str(ROOT / "config" / "settings.py"), run_name="config.settings")

    return settings_of


@pytest.fixture
def complaint(settings_of):
    """The one line that a start with these variables ends with."""

    def complaint(**variables):
        with pytest.raises(SystemExit) as stop:
            settings_of(**variables)
        [line] = str(stop.value.code).splitlines()  # which Python writes on standard error, and ends with 1
        return line

    return complaint


# --- As it stands -------------------------------------------------------------------------------------

AS_IT_STANDS = {
    ("SECRET_KEY", "$" + KEY): "$" + KEY,
    ("SECRET_KEY", "${HOME}" + KEY): "${HOME}" + KEY,
    ("HEALTH_TOKEN", "$HOME-is-no-home-of-mine"): "$HOME-is-no-home-of-mine",
    ("DEBUG", "yes"): True,
    ("DEBUG", "Off"): False,
    ("HTTPS", "0"): False,
    ("PORT", "8001"): 8001,
    ("RETRY_GAPS", "1, 2,3"): [1, 2, 3],
    ("SMTP_TIMEOUT_SCALE", "0.5"): 0.5,
    ("LOG_LEVEL", "info"): "INFO",
    ("TIME_ZONE", "Europe/Berlin"): "Europe/Berlin",
    ("ALLOWED_HOSTS", "a.example, .b.example,[::1],*"): ["a.example", ".b.example", "[::1]", "*"],
    ("CSRF_TRUSTED_ORIGINS", "https://mail.office.example,http://*.lan:8080"): [
        "https://mail.office.example", "http://*.lan:8080"
    ],
    ("FIELD_ENCRYPTION_KEYS", f"{FERNET},{FERNET}"): [FERNET, FERNET],
    ("CELERY_BROKER_URL", "rediss://:p%40ss@[::1]:6380/1"): "rediss://:p%40ss@[::1]:6380/1",
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), AS_IT_STANDS, ids=str)
def test_value_is_read_as_it_stands(settings_of, name, text):
    assert settings_of(**{name: text})[name] == AS_IT_STANDS[name, text]


@pytest.mark.parametrize(
    ("url", "engine", "name", "rest"),
    [
        ("postgres://u:p%25%2F$x@db.example:5433/n", "postgresql", "n", ("u", "p%/$x", "db.example", 5433)),
        ("postgresql:///n", "postgresql", "n", ("", "", "", "")),
        ("postgres://u@[::1]/n?sslmode=require", "postgresql", "n", ("u", "", "::1", "")),
        ("postgres://u@%2Fvar%2Frun/n", "postgresql", "n", ("u", "", "/var/run", "")),
        ("sqlite:////var/outtray.sqlite3", "sqlite3", "/var/outtray.sqlite3", None),
        ("sqlite:////var/a+b%20c.sqlite3", "sqlite3", "/var/a+b c.sqlite3", None),
        ("postgres://u:p@a:5432,b:5433/n", "postgresql", "n", ("u", "p", "a,b", "5432,5433")),
        ("postgres:////var/run/postgresql/n", "postgresql", "n", ("", "", "/var/run/postgresql", "")),
        ("sqlite://:memory:", "sqlite3", ":memory:", None),
    ],
)
def test_database_url(settings_of, url, engine, name, rest):
    database = settings_of(DATABASE_URL=url)["DATABASES"]["default"]
    assert (database["ENGINE"].rpartition(".")[2], database["NAME"]) == (engine, name)
    if rest:
        assert tuple(database[part] for part in ("USER", "PASSWORD", "HOST", "PORT")) == rest


def test_database_server_that_is_gone_without_a_word_is_waited_for_for_seconds(settings_of):
    """The system's own limits are a quarter of an hour for what was sent, and two hours for what is waited for."""
    database = settings_of(DATABASE_URL="postgres://u@h/n?tcp_user_timeout=5000&sslmode=require")["DATABASES"][
        "default"
    ]
    assert database["OPTIONS"] == {
        "connect_timeout": "10", "keepalives_idle": "20", "keepalives_interval": "5", "keepalives_count": "3",
        "tcp_user_timeout": "5000", "sslmode": "require", "prepare_threshold": 5,
    }  # fmt: skip


# --- Or not at all ------------------------------------------------------------------------------------

WHOLE = (
    "LEASE_SECONDS", "LANES_PER_ACCOUNT", "LANE_TURN_SECONDS", "SWEEP_SECONDS", "CLAIM_SIZE",
    "MESSAGES_PER_CONNECTION", "RETRY_MAX_AGE", "MAX_MESSAGE_BYTES", "MAX_RECIPIENTS",
)  # fmt: skip
DECIMAL = ("SMTP_TIMEOUT_SCALE", "SMTP_FINAL_REPLY_TIMEOUT")
NO_FOLDERS = ("~/outtray", '"/srv/outtray"', "'/srv/outtray'", " /srv/outtray", "/srv/outtray ", "/no/$NAME", "n" * 300)
SENSELESS = {
    "DATABASE_URL": [
        "$OUTTRAY_DB", "${OUTTRAY_DB}", "outtray.sqlite3", "mysql://u:s3cret@h/n", "postgres//u:s3cret@h/n",
        "postgres://u:s3cret@h:port/n", "postgres://u:s3cret@h:70000/n", "postgres://u:s3cret%zz@h/n", "postgres://u:s3cret%@h/n",
        "postgres://u:s3cret#1@h/n", "postgres://u:s3cret/1@h/n", "postgres://u:s3cret@h", "postgres://u:s3cret@h/",
        "postgres://u:s3cret@[::1/n", "postgres://u:s3cret @h/n", "sqlite://", "sqlite:///", "sqlite://outtray.sqlite3",
        "sqlite:////srv/outtray.sqlite3 ",
        "postgres://u:s3cret?1@h/n", "postgres://u@h/n?s3cret=1", "postgres://u:s3cret%00@h/n", "postgres://u:s3cret@h/n%00",
        "'postgres://u:s3cret@h/n'", "sqlite:////no/such/folder/outtray.sqlite3",
    ],
    "CELERY_BROKER_URL": [
        "$BROKER", "redis", "http://h/0", "redis://:s3cret@h:port/0", "redis://:s3cret%zz@h/0", "redis://:s3cret#@h/0",
        "redis://:s3cret@h/zero", "redis:///0 ", "redis://:s3cret@h/0?s3cret=1", "rediss://:s3cret@h/0?ssl_cert_reqs=maybe",
        "redis://:s3cret%0A@h/0",
    ],
    "SECRET_KEY": ["short", "x" * 31, "django-insecure-" + KEY, "insecure" + KEY, "changeme" + KEY],
    "FIELD_ENCRYPTION_KEYS": ["s3cret", f"{FERNET},s3cret", f"{FERNET},,{FERNET}", "$KEYS", "ä" * 44],
    "HEALTH_TOKEN": ["s3cret", "s3cret with blanks in the middle"],
    "EMAIL_OPT_DIR": ["$OPT_FOLDER", "${OPT_FOLDER}/option", *NO_FOLDERS],
    "VAR_DIR": ["$DATA", "/dev/null", "/dev/null/var", *NO_FOLDERS],
    "WITNESS_DIR": ["$STATE", "/dev/null", *NO_FOLDERS],
    "RESTORED": ["$BACKUP", "${N}"],
    "MEDIA_ROOT": ["${DATA}/media", "/dev/null", *NO_FOLDERS],
    "CAUGHT_DIR": ["$CAUGHT", "/dev/null", *NO_FOLDERS],
    "DEBUG": ["maybe", "$DEBUG", "2", "tru"],
    "HTTPS": ["of", "enabled"],
    "HSTS_SUBDOMAINS": ["all"],
    "HSTS_PRELOAD": ["preload"],
    "BEHIND_PROXY": ["https"],
    "TRUSTED_PROXIES": ["proxy", "10.0.0.1/16", "10.0.0.0/33", "10.1.0.0/16,", "10.0.0.1:80", "$PROXIES"],
    "ALLOWED_HOSTS": ["https://mail.example", "mail.example/", "mail.example:8000", "a b", "a,,b", "$HOSTS"],
    "CSRF_TRUSTED_ORIGINS": ["mail.example", "https://", "$ORIGINS", "https://a.example/path"],
    "PORT": ["0", "65536", "-1", "http", "8e3", "$PORT", "8000-8001", "٨٠٠٠", "1_000"],
    "CATCHER_PORT": ["0", "99999999999999999999999"],
    "TIME_ZONE": ["Mars/Phobos", "$TZ", "../etc/passwd", "europe"],
    "LOG_LEVEL": ["LOUD", "10", "$LEVEL"],
    "DEFAULT_FROM_EMAIL": ["office", "$FROM", "a@b.example, c@d.example"],
    "RETRY_GAPS": ["30;120", "30,,120", "-1", "0", "1.5", "soon", "$GAPS", "1,99999999999999"],
    "PROBE_GAPS": ["0", "x"],
    **{name: ["0", "-5", "ten", "1.5", "$N", "9" * 30] for name in WHOLE},
    **{name: ["0", "-1", "nan", "inf", "1e999", "x", "1,5"] for name in DECIMAL},
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in SENSELESS for text in SENSELESS[name]])
def test_senseless_value_stops_the_start_in_one_line(complaint, name, text):
    line = complaint(**{name: text})
    assert line.startswith((f"{name} ", f"Number 1 of {name}", f"Number 2 of {name}")), line
    assert "s3cret" not in line


def test_no_variable_is_set_to_nothing(settings_of, complaint):
    names = settings_of()["env"].names
    assert len(names) > 25
    for name in names | {"ENV_FILE"}:
        assert complaint(**{name: ""}).startswith(f"{name} is set to nothing"), name
        assert complaint(**{name: "  "}).startswith(f"{name} is set to nothing"), name


def test_every_variable_has_senseless_values_here(settings_of):
    assert settings_of()["env"].names == SENSELESS.keys()


@pytest.mark.parametrize(
    ("state_home", "home", "there"),
    [
        ("/{tmp}/state", "/{tmp}/home", "state/outtray"),
        ("relative", "/{tmp}/home", "home/.local/state/outtray"),
        (None, "/{tmp}/home", "home/.local/state/outtray"),
        (None, "/{tmp}/locked", "var/outtray"),
        ("/{tmp}/locked/state", "/{tmp}/home", "var/outtray"),
        (None, "/{tmp}/none/such", "none/such/.local/state/outtray"),
    ],
)
def test_witness_is_kept_where_it_can_be_written(settings_of, tmp_path, monkeypatch, state_home, home, there):
    locked = tmp_path / "locked"
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != locked)
    for folder in ("home", "locked"):
        (tmp_path / folder).mkdir()
    named = {"XDG_STATE_HOME": state_home, "HOME": home, "VAR_DIR": "/{tmp}/var"}
    named = {name: text and text.replace("/{tmp}", str(tmp_path)) for name, text in named.items()}
    assert settings_of(**named)["WITNESS_DIR"] == tmp_path / there


def test_database_may_be_in_a_folder_that_is_made_at_the_first_start(settings_of, tmp_path):
    settings_of(VAR_DIR=str(tmp_path / "new"), DATABASE_URL=f"sqlite:///{tmp_path}/new/outtray.sqlite3")


def test_the_path_of_a_database_may_have_blanks(settings_of, tmp_path):
    found = settings_of(DATABASE_URL=f"sqlite:///{tmp_path}/a new one.sqlite3")["DATABASES"]["default"]["NAME"]
    assert found == f"{tmp_path}/a new one.sqlite3"


def test_a_secret_key_is_required(complaint):
    assert complaint(SECRET_KEY=None).startswith("SECRET_KEY is missing")


# --- From a file --------------------------------------------------------------------------------------


def test_each_variable_may_stand_in_a_file_of_its_own(settings_of, tmp_path):
    values = {"SECRET_KEY": "$" + "s" * 40, "DATABASE_URL": "postgres://u:p@h/n", "PORT": "8001", "DEBUG": "on"}
    files = {"SECRET_KEY": None}
    for name, value in values.items():
        (tmp_path / name).write_text(value + "\r\n")
        files[f"{name}_FILE"] = str(tmp_path / name)
    found = settings_of(**files)
    assert (found["SECRET_KEY"], found["PORT"], found["DEBUG"]) == (values["SECRET_KEY"], 8001, True)
    assert found["DATABASES"]["default"]["HOST"] == "h"


def test_file_that_cannot_be_read_stops_the_start(complaint, tmp_path):
    (tmp_path / "latin").write_bytes(b"\xff" * 40)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "port").write_text("many\n")
    for path in ("/no/such/file", str(tmp_path), str(tmp_path / "latin"), "", "$SECRETS/key"):
        line = complaint(SECRET_KEY=None, SECRET_KEY_FILE=path)
        assert line.startswith("SECRET_KEY_FILE "), line
    assert complaint(PORT_FILE=str(tmp_path / "empty")).startswith("PORT_FILE names")
    assert complaint(PORT_FILE=str(tmp_path / "port")).startswith("PORT ")


def test_variable_and_its_file_contradict_each_other(complaint, tmp_path):
    (tmp_path / "key").write_text(KEY)
    line = complaint(SECRET_KEY_FILE=str(tmp_path / "key"))
    assert line == "SECRET_KEY and SECRET_KEY_FILE are both set. Keep one of them."


# --- .env ---------------------------------------------------------------------------------------------


def test_env_file_says_what_the_environment_does_not(settings_of, tmp_path):
    (tmp_path / "key").write_text("e" * 40)
    file = tmp_path / "my.env"
    file.write_text(
        "\ufeff# a comment\r\n\r\nexport PORT = 9000\n"
        f"SECRET_KEY={KEY}\nTIME_ZONE='Europe/Berlin'\nLOG_LEVEL=ERROR \n"
        'DEFAULT_FROM_EMAIL="\\"A $B\\" <a@b.example>"'
    )
    found = settings_of(SECRET_KEY=None, SECRET_KEY_FILE=str(tmp_path / "key"), ENV_FILE=str(file), LOG_LEVEL="INFO")
    assert (found["PORT"], found["TIME_ZONE"], found["LOG_LEVEL"]) == (9000, "Europe/Berlin", "INFO")
    assert found["DEFAULT_FROM_EMAIL"] == '"A $B" <a@b.example>'
    assert found["SECRET_KEY"] == "e" * 40, "the environment's file goes before the .env's value"


def test_env_file_that_cannot_be_understood_stops_the_start(complaint, tmp_path):
    file = tmp_path / "my.env"
    file.write_text("PORT=8000\nsecret words\n")
    assert complaint(ENV_FILE=str(file)) == (
        f"ENV_FILE names {file}, whose line 2 is not understood. Write NAME=value, or # before a comment."
    )
    file.write_bytes(b"PORT=\xff\n")
    assert complaint(ENV_FILE=str(file)).startswith("ENV_FILE names")
    for path in ("/no/such/file", str(tmp_path), "$FILE"):
        assert complaint(ENV_FILE=path).startswith("ENV_FILE "), path


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_]{1,9}", fullmatch=True), st.text(st.characters(exclude_categories=["C", "Z"]))
    )
)
def test_what_is_quoted_is_read_as_it_stands(values):
    text = "".join(f"{name}='{value}'\n" for name, value in values.items())
    assert read_file(text) == values


@given(
    st.text(),
    st.sampled_from(["number", "decimal", "switch", "words", "numbers", "port", "address", "broker", "time_zone"]),
)
def test_any_text_is_a_value_or_an_exit(text, kind):
    try:
        value = getattr(Environment({"X": text}), kind)("X", None)
    except SystemExit as stop:
        assert str(stop.code).startswith("X ") and len(str(stop.code).splitlines()) == 1
    else:
        assert value is not None


# --- Every process ------------------------------------------------------------------------------------

PROCESSES = {
    "manage.py migrate": 1,
    "manage.py sendmail a@example.com": os.EX_CONFIG,
    "-m config.processes web": 1,
    "-m gunicorn config.wsgi --bind 127.0.0.1:0 --no-control-socket": 3,  # its own code: it does not try again
    "-m celery -A config worker": 1,
    "-m celery -A config beat": 1,
}


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "code"), PROCESSES.items(), ids=PROCESSES)
def test_every_process_ends_with_the_line_and_without_a_traceback(arguments, code, tmp_path):
    env = scrubbed_environment(DATABASE_URL="$OUTTRAY_DB", VAR_DIR=str(tmp_path))
    command = [sys.executable, *arguments.split()]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, input="")
    assert ended.returncode == code
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("[")]  # gunicorn's own
    assert len(lines) == 1, ended.stderr
    assert "DATABASE_URL" in lines[0]
    assert list(tmp_path.iterdir()) == [], "nothing was made"
