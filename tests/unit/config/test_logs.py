"""What strangers say stands within one line of the log: nothing that they write looks like a line of its own."""

import logging
import sys

import pytest
from celery import signals

from config.celery import app
from config.logs import Line
from config.settings import LOGGING

FORGED = "2026-11-29 09:00:00,000 ERROR django.security: forged"
DECEPTIVE = "\r\n\x00\x08\x0b\x0c\x1b\x7f\x85\x9b\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ud800"


@pytest.fixture
def formatter():
    assert LOGGING["formatters"]["line"] == {"()": "config.logs.Line"}
    return Line()


def record(text, *args, name="messaging", error=None, level=logging.ERROR):
    return logging.LogRecord(name, level, __file__, 1, text, args, error)


@pytest.mark.parametrize("letter", DECEPTIVE, ids=ascii)
def test_each_deceptive_character_is_escaped_wherever_it_comes_from(formatter, letter):
    for made in (record("refused: %s", f"no{letter}{FORGED}"), record(f"refused: no{letter}{FORGED}")):
        line = formatter.format(made)
        assert letter not in line
        assert len(line.splitlines()) == 1
        assert ascii(letter)[1:-1] in line
    assert letter not in formatter.format(record("x", name=f"a{letter}b"))


def test_what_people_write_stays_as_it_is(formatter):
    text = "“Grüße”, 漢字, שלום, 😀\tand a backslash \\n"
    assert formatter.format(record("%s", text)).endswith(f"ERROR messaging: {text}")


def test_traceback_keeps_its_lines_and_none_of_them_looks_like_a_record(formatter):
    try:
        raise KeyError("x") from ValueError(f"550 no\n{FORGED}\r\n{FORGED}\x1b[31m\u202e")
    except KeyError:
        made = record("it failed", error=sys.exc_info())
    first, *others = formatter.format(made).split("\n")
    assert first.endswith("ERROR messaging: it failed")
    assert any(FORGED in line for line in others)
    assert any("Traceback (most recent call last):" in line for line in others)
    assert all(line.startswith("  ") for line in others)
    assert not set("".join(others)) & set(DECEPTIVE)
    assert formatter.format(made) == "\n".join([first, *others]), "a second handler says the same"


def test_what_a_stranger_asked_for_wrongly_takes_one_line(formatter):
    try:
        raise ValueError("Invalid HTTP_HOST header")
    except ValueError:
        made = record("no", name="django.security.DisallowedHost", error=sys.exc_info())
    assert len(formatter.format(made).splitlines()) == 1
    assert made.exc_info, "other handlers have it"


def test_body_that_is_no_form_takes_one_line(db, client, caplog, formatter):
    body = {"data": "x" * 2000, "content_type": "multipart/form-data; boundary=a"}
    assert client.post("/accounts/login/", **body).status_code == 400
    [told] = [each for each in caplog.records if each.name == "django.request"]
    assert len(formatter.format(told).splitlines()) == 1


def test_error_of_ours_has_its_traceback(formatter):
    try:
        raise ValueError("ours")
    except ValueError:
        made = record("Internal Server Error", name="django.request", error=sys.exc_info())
    assert "ValueError: ours" in formatter.format(made)


def test_task_loggers_of_celery_write_such_lines():
    logger, handler = logging.Logger("celery.task"), logging.StreamHandler()
    logger.addHandler(handler)
    signals.after_setup_task_logger.send(sender=app, logger=logger)
    assert isinstance(handler.formatter, Line)
