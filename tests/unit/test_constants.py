"""Constants that have to fit each other, although they stand in different modules; each says why."""

import datetime as dt
import sqlite3

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User

from config import processes, server
from messaging import connection_check, health, housekeeping, notices, option_values, send_at_once, tasks
from messaging.access import roles
from messaging.compose import editing, form_submissions
from messaging.console.forms import compose, options
from messaging.console.views import batches as batch_pages
from messaging.console.views import guard
from messaging.content import uploads
from messaging.delivery import opt_file_block, refusal_streaks
from messaging.delivery.lane import Lane
from messaging.delivery.outcomes import verdict
from messaging.delivery.smtp import dialogue
from messaging.delivery.store import ledger
from messaging.intake import addresses, message_ids
from messaging.lifecycle import limits, transitions
from messaging.models import Recipient
from messaging.notices import dispatch, mail
from messaging.notices.collect import CHUNK as COLLECTED
from messaging.queue import actions, batches, export, pausing, wake
from messaging.scheduling import schedules
from messaging.setup.oauth import tokens

SECOND = dt.timedelta(seconds=1)
SWEEP = settings.SWEEP_SECONDS * SECOND
BEAT = settings.CELERY_BEAT_SCHEDULE
SERVER_AND_DATABASE = (
    sum(dialogue.STAGE_SECONDS.values()) * settings.SMTP_TIMEOUT_SCALE
    + settings.SMTP_FINAL_REPLY_TIMEOUT
    + ledger.DATABASE_PATIENCE
) * SECOND
WEB = processes.command_line("web")
WEB_THREADS = int(WEB[WEB.index("--threads") + 1])
NAMED_HOST = "h" * 64  # HOST_NAME_MAX of Linux


def column(name):
    model, _, field = name.partition(".")
    return apps.get_model("messaging", model)._meta.get_field(field).max_length


IN_ORDER = [
    # Signs of life, and who looks for them.
    (2 * tasks.HEARTBEAT_SECONDS * SECOND, health.SILENT_AFTER, "one lost sign of life is no silence"),
    (3 * SWEEP, health.SILENT_AFTER, "nor are two lost sweeps"),
    (
        SWEEP + opt_file_block.REFRESHED_AFTER * SECOND,
        opt_file_block.FRESH,
        "a server's note stays fresh while it sweeps",
    ),
    (2 * SECOND, health.SECONDS * SECOND, "the broker's time-out ends before the check's"),
    # Beat's tasks: one that waits behind others is still done, and does not pile up.
    (SWEEP, BEAT["sweep"]["options"]["expires"] * SECOND, "a sweep may wait for a worker until the next one"),
    (BEAT["tidy"]["options"]["expires"], BEAT["tidy"]["schedule"].run_every.total_seconds(), "never two of them wait"),
    (SWEEP, schedules.WAKE_UP_KEPT * SECOND, "a wake-up is lost no sooner than the sweep makes it good"),
    (schedules.WAKE_UP_KEPT * SECOND, schedules.GRACE, "a run that begins with its wake-up was not missed"),
    (2 * SWEEP, schedules.UNNOTICED, "a run that the sweep makes good is not told as overdue"),
    (schedules.UNNOTICED, schedules.GRACE, "overdue is told before it is missed"),
    (settings.LANE_TURN_SECONDS, 3600, "Redis gives a task to another worker after an hour (Celery's default)"),
    # Leases.
    (settings.LEASE_SECONDS / 3, settings.LEASE_SECONDS / 2, "one lost renewal ends no lease"),
    (settings.LEASE_SECONDS * SECOND, housekeeping.STEADY, "an outage is told from a clock that is wrong"),
    # What is sent while someone waits.
    (SERVER_AND_DATABASE, form_submissions.longest(), "a form is not told as broken off while it is being sent"),
    (sum(dialogue.STAGE_SECONDS.values()), form_submissions.ALL_STAGES, "of which submitted.py knows no more"),
    (form_submissions.longest(), form_submissions.KEPT, "its key is kept for as long"),
    (
        limits.SEAT_PATIENCE + limits.PATIENCE,
        send_at_once.BEFORE_DATA,
        "who waited for a seat and a connection can still send",
    ),
    (
        send_at_once.BEFORE_DATA,
        send_at_once.LOOKS_ON,
        "a user who leaves before that is told it is being sent, though nothing was",
    ),
    (send_at_once.LOOKS_ON, 30, "their page comes before a proxy gives up"),
    (
        limits.MOST_SEATS + limits.MOST_WAITING + connection_check.AT_ONCE + 1,
        WEB_THREADS,
        "a thread is left for the other pages",
    ),
    (SERVER_AND_DATABASE, ledger.LONGEST_TRY, "no attempt that ended later began before"),
    # What is kept, and for how long it is looked at.
    (form_submissions.longest(), uploads.KEPT, "a form's files are there for as long as it may be sent"),
    (3600 * SECOND, housekeeping.BLOBS_KEPT, "blobs.STAYS_YOUNG: a body that is named again is young enough"),
    (refusal_streaks.ANSWER_HOLDS, refusal_streaks.FORGOTTEN_AFTER, "an answer ends before its streak is forgotten"),
    (refusal_streaks.FORGOTTEN_AFTER, refusal_streaks.KEPT, "a streak that ended is kept for those who ask why"),
    (refusal_streaks.KEPT, housekeeping.PAUSES_KEPT, "and the pause that it caused as well"),
    (mail.TRIED_FOR, notices.KEPT, "a notice is kept while its mail is tried"),
    (options.MOST_MINUTES * 60 * SECOND, notices.KEPT, "and collected before it is dropped"),
    (schedules.NOTHING_KEPT, schedules.RUNS_KEPT, "runs that found nothing go sooner"),
    (366 * 24 * 3600 * SECOND, schedules.RUNS_KEPT, "of a yearly schedule there is always one to see"),
    (housekeeping.SIGN_IN_UNUSED, dt.timedelta(days=1), "each sign-in is used once a day"),
    (2 * tokens.turn_seconds(), tokens.wait_seconds(), "who waits sees the turns of two dead processes end"),
    (tokens.wait_seconds(), settings.LEASE_SECONDS, "and waits for no longer than its leases last"),
    (tokens.EARLY, dt.timedelta(hours=1), "the usual token is not renewed at once"),
    (tokens.turn_seconds() * SECOND, housekeeping.TOKEN_AHEAD, "what another machine renews now is none of the future"),
    # What people may say, and where it ends.
    (pausing.LONGEST_REASON, 400, "as long as for a hold"),
    (compose.LONGEST_SUBJECT, column("Message.subject"), "a subject that is typed"),
    (column("Message.subject"), column("NoticeItem.subject"), "and told in a notice"),
    (option_values.CATEGORY_LENGTH, column("Message.category"), "a category"),
    (message_ids.LONGEST, column("Message.message_id"), "a Message-ID"),
    (roles.LONGEST_NAME, User._meta.get_field("username").max_length, "a user name"),
    (addresses.LONGEST, column("Recipient.address"), "an address"),
    (uploads.LONGEST_NAME, column("Upload.filename"), "the name of a file"),
    (column("Upload.filename"), column("Attachment.filename"), "which is attached"),
    (150, column("AuditEntry.by_name"), "Django's user names"),
    (150, column("AuditEntry.object_key"), "and as the key of what was changed"),
    (255 + len(":65535"), column("SendAttempt.server"), "the longest host name with a port"),
    (column("SendAttempt.server"), column("AccountPause.server"), "is told by a pause"),
    (column("Message.lease_owner"), column("ActiveLane.owner"), "who has a lease is a lane"),
]


@pytest.mark.parametrize(("less", "more", "why"), IN_ORDER, ids=[why for _, _, why in IN_ORDER])
def test_the_first_is_at_most_the_second(less, more, why):
    assert less <= more, why


def test_longest_name_of_a_machine_fits_into_what_it_signs(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: NAMED_HOST)
    monkeypatch.setattr("os.getpid", lambda: 4_194_304)  # PID_MAX_LIMIT of Linux
    assert len(Lane(None).owner) <= column("Message.lease_owner")
    assert len(opt_file_block.PREFIX + opt_file_block.server_name()) <= column("Heartbeat.name")


CHUNKS = [
    batches.CHUNK,
    transitions.CHUNK,
    COLLECTED,
    dispatch.CHUNK,
    actions.CHUNK,
    refusal_streaks.CHUNK,
    housekeeping.CHUNK,
    export.CHUNK,
]


def test_no_statement_has_more_parameters_than_sqlite_takes():
    """SQLITE_MAX_VARIABLE_NUMBER is 32,766 unless it was compiled with more; some statements name the rows twice."""
    of_this_machine = sqlite3.connect(":memory:").getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    most = min(32_766, of_this_machine)
    assert max(CHUNKS) * 2 <= most
    assert editing.ROWS_PER_STATEMENT * len(Recipient._meta.concrete_fields) <= most


def test_all_ticks_of_a_page_come_in_one_form():
    """Django refuses a form of more fields than DATA_UPLOAD_MAX_NUMBER_FIELDS; a page has some others beside them."""
    assert batch_pages.PER_PAGE * 2 <= settings.DATA_UPLOAD_MAX_NUMBER_FIELDS


def test_claims_and_wake_ups_fit_each_other():
    assert wake.MESSAGES_PER_LANE <= settings.CLAIM_SIZE, "a lane that is woken claims what it was woken for"
    assert settings.CLAIM_SIZE <= settings.MESSAGES_PER_CONNECTION, "what is claimed goes through one connection"


def test_a_message_is_tried_as_often_as_its_time_allows():
    assert sum(settings.RETRY_GAPS) <= settings.RETRY_MAX_AGE
    assert verdict.LONGEST_WAIT.total_seconds() <= settings.RETRY_MAX_AGE


def test_the_last_time_that_can_be_chosen_is_the_same_everywhere():
    assert pausing.LONGEST_PAUSE == compose.LONGEST_DELAY


def test_page_that_an_order_leads_back_to_has_an_address_that_the_web_server_takes():
    longest = f"GET /messages/{2**63}/? HTTP/1.1"
    assert len(longest) + guard.LONGEST_QUERY < server.LONGEST_START_LINE
