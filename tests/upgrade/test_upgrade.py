"""An installation of v0.1.0 is upgraded: every word of every page stays, and so do secrets, files and sessions.

The database is upgraded once for all tests of this module, once on each server.
"""

import datetime as dt
import difflib
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import uuid
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet, InvalidToken

from tests.sizes import also_in_drills

from . import restore

pytestmark = pytest.mark.timeout(600)  # a busy machine may take its time

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES_TOLD, LINES_TOLD = 4, 40  # of what is different
TEXT_COLUMNS = {
    "sqlite": """
        SELECT made.name, columns.name FROM sqlite_master AS made, pragma_table_info(made.name) AS columns
        WHERE made.type = 'table' AND (columns.type LIKE '%char%' OR columns.type LIKE 'text')""",
    "postgres": """
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND data_type IN ('text', 'character varying')""",
}
CHECKS = """
import django
from django.core.management import call_command
django.setup()
call_command("check", fail_level="WARNING")
call_command("makemigrations", "--check", "--dry-run")
"""


@dataclass
class Stored:
    """What a database holds, read past Outtray: secrets in the clear (None: its key is lost), digests of messages."""

    secrets: list
    messages: list


@dataclass
class Upgraded:
    """An installation that was upgraded: its environment, what it held before, and its pages as pages.py has them."""

    env: dict
    before: Stored
    pages: dict


@pytest.fixture(scope="module", params=["sqlite", *also_in_drills("postgresql", needs=pytest.mark.services)])
def upgraded(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("upgrade")
    if request.param == "sqlite":
        yield upgrade(restore.restore_sqlite(folder))
        return
    server, name = os.environ["DATABASE_URL"], f"outtray_upgrade_{uuid.uuid4().hex[:12]}"
    try:
        yield upgrade(restore.restore_postgresql(server, name, folder))
    finally:
        restore.drop(server, name)


def upgrade(env):
    before = stored(env)
    run(env, "manage.py", "migrate", "-v0")
    return Upgraded(env, before, json.loads(run(env, "-m", "tests.upgrade.pages")))


def run(env, *arguments):
    """Run Python in an installation; what it prints. The test fails with what it complains of."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"{arguments[:2]} ended with {done.returncode}:\n{done.stderr[-3000:]}", pytrace=False)
    return done.stdout


def stored(env):
    url, key = env["DATABASE_URL"], Fernet(env["FIELD_ENCRYPTION_KEYS"])
    encrypted = [
        text
        for table, column in ask(url, TEXT_COLUMNS[url.partition(":")[0]])
        for (text,) in ask(url, f'SELECT "{column}" FROM "{table}" WHERE "{column}" LIKE \'gAAAA%\'')
    ]
    messages = ask(url, "SELECT message_id, skeleton FROM messaging_messagecontent ORDER BY message_id")
    return Stored(
        sorted((decrypted(key, text) for text in encrypted), key=str),
        [(pk, hashlib.sha256(skeleton).hexdigest()) for pk, skeleton in messages],
    )


def ask(url, statement):
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            return connection.execute(statement).fetchall()
    with psycopg.connect(url) as connection:
        done = connection.execute(statement)
        return done.fetchall() if done.description else []


def decrypted(key, text):
    try:
        return key.decrypt(text).decode()
    except InvalidToken:
        return None


def differences(before, now):
    """What pages said and say now, page by page; pages that are new say nothing different."""
    for url in sorted(before):
        if before[url] != now.get(url):
            told = difflib.unified_diff(before[url], now.get(url, ["(gone)"]), f"{url} of v0.1.0", "now", "", "", 2, "")
            yield "\n".join(islice(told, LINES_TOLD))


@pytest.mark.parametrize("reader", ["ada", "tom", "vera", "otto"])
def test_every_page_says_what_it_said(upgraded, reader):
    before = json.loads((restore.FIXTURE / "pages.json").read_text())
    found = list(differences(before[reader], upgraded.pages[reader]))
    if found:
        told = "\n\n".join(found[:PAGES_TOLD])
        pytest.fail(f"{len(found)} of {len(before[reader])} pages say something else:\n\n{told}", pytrace=False)


def test_people_stay_signed_in(upgraded):
    assert len(upgraded.pages["ada"]) > 400
    assert not [
        (reader, url)
        for reader, pages in upgraded.pages.items()
        for url, lines in pages.items()
        if "/accounts/login/" in lines[0]
    ]


def test_their_sessions_are_kept_under_a_digest_and_count_from_the_upgrade(upgraded):
    url, cookies = upgraded.env["DATABASE_URL"], json.loads((restore.FIXTURE / "sessions.json").read_text())
    wanted = sorted(hashlib.sha256(cookie.encode()).hexdigest() for cookie in cookies.values())
    rows = ask(url, "SELECT digest, started_at = active_at FROM messaging_usersession ORDER BY digest")
    assert set(wanted) <= {digest for digest, _ in rows}
    assert all(is_same for _, is_same in rows)
    assert ask(url, "SELECT count(*) FROM django_session") == [(0,)]
    [(started,)] = ask(url, "SELECT max(started_at) FROM messaging_usersession")
    started = dt.datetime.fromisoformat(str(started)).replace(tzinfo=dt.UTC)
    assert abs(dt.datetime.now(dt.UTC) - started) < dt.timedelta(hours=1), "none is immortal"


def test_files_are_byte_for_byte_the_same(upgraded):
    before = json.loads((restore.FIXTURE / "pages.json").read_text())["downloads"]
    assert upgraded.pages["downloads"] == before
    assert stored(upgraded.env).messages == upgraded.before.messages


def test_secrets_can_be_read(upgraded):
    assert "pässword “1”" in upgraded.before.secrets
    assert None in upgraded.before.secrets  # its key was lost before
    assert stored(upgraded.env).secrets == upgraded.before.secrets


@pytest.mark.parametrize("upgraded", ["sqlite"], indirect=True)
def test_nothing_is_wrong_with_the_installation(upgraded):
    run(upgraded.env | {"DJANGO_SETTINGS_MODULE": "config.settings"}, "-c", CHECKS)


def test_programs_that_skipped_the_hold_still_do(upgraded):
    statement = "SELECT urgent_claims FROM messaging_companyoptions"
    assert ask(upgraded.env["DATABASE_URL"], statement) == [("backend *\nsendmail *",)]


def test_what_waited_before_its_draft_was_made_waits_again_when_it_is_put_back(upgraded):
    """Version 0.1.0 took its own sentence for a person's, and would have held it."""
    statement = """
        SELECT hold_kind, status_before, CAST(reason AS text), CAST(reason_before AS text) FROM messaging_message
        WHERE subject IN (%s) AND status = 'held' ORDER BY id"""
    subjects = ", ".join(f"'Refused, and corrected while nothing can send, {number}'" for number in (1, 2))
    drafted, held = ask(upgraded.env["DATABASE_URL"], statement % subjects)
    assert drafted[:2] == ("mail-program", "queued")
    assert held[:2] == ("hold", "")
    for reason in (drafted[3], held[2]):
        assert json.loads(reason) == {"key": "waits-for-batch", "problem": {"key": "setup-incomplete"}}


def test_going_back_is_refused_before_anything_is_lost(upgraded):
    count = "SELECT (SELECT COUNT(*) FROM messaging_auditentry), (SELECT COUNT(*) FROM messaging_message)"
    before = ask(upgraded.env["DATABASE_URL"], count)
    command = [sys.executable, "manage.py", "migrate", "-v0", "messaging", "0004"]
    done = subprocess.run(command, cwd=ROOT, env=upgraded.env, capture_output=True, text=True)
    assert done.returncode and "restore the backup" in done.stderr
    assert ask(upgraded.env["DATABASE_URL"], count) == before
    assert min(before[0]) > 100
