"""What load balancers and monitors are told: /healthz, /readyz, /health/ and `manage.py health`."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone

from messaging import health
from messaging.access.sessions.store import SessionStore
from messaging.models import Heartbeat, UserSession
from tests.factories import make_message, write_opt_files
from tests.rows import dump

pytestmark = pytest.mark.django_db(transaction=True)  # the checks look from threads of their own
TOKEN = "a-token-of-more-than-16"
PARTS = ["database", "migrations", "broker", "worker", "beat", "store", "opt_files"]
PAGES = ("/healthz", "/readyz", "/health/")


@pytest.fixture(autouse=True)
def token(settings):
    settings.HEALTH_TOKEN = TOKEN


@pytest.fixture
def works():
    Heartbeat.objects.create(name="sweep", at=timezone.now())


@pytest.fixture
def break_part(monkeypatch):
    """Lets a check find that its part is away."""

    def break_part(name, error=OperationalError("connection to 10.0.0.7 as outtray failed, password=s3cret")):  # noqa: B008
        def check():
            raise error

        monkeypatch.setitem(health.CHECKS, name, check)

    return break_part


def told(client, **headers):
    response = client.get("/health/", headers=headers or {"authorization": f"Bearer {TOKEN}"})
    assert response.headers["Cache-Control"].startswith("max-age=0")
    return response.status_code, response.json()


# --- /healthz, /readyz --------------------------------------------------------------------------------


def test_a_process_that_is_up_says_so(client):
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")


def test_console_stays_ready_without_worker_beat_broker_and_store(client, break_part):
    for name in set(PARTS) - {"database", "migrations"}:
        break_part(name)
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"ready": True, "checks": {"database": True, "migrations": True}}


def test_console_is_not_ready_without_its_database(client, break_part):
    break_part("database")
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


@pytest.mark.postgresql
def test_console_is_not_ready_while_its_database_takes_no_changes(client, operator, works):
    """As on a standby: the console could not even sign a user in."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    connection.close()
    try:
        assert client.get("/readyz").json()["checks"] == {"database": False, "migrations": True}
        page = client.post("/accounts/login/", {"username": operator.username, "password": "x"})
        assert page.status_code == 503 and "The database accepts no changes at the moment" in page.text
        assert page["Retry-After"]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = off")
            cursor.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        connection.close()
    assert client.get("/readyz").status_code == 200


def test_console_is_not_ready_before_its_migrations(client, settings):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'messaging' AND name LIKE '0002%'")
        try:
            assert client.get("/readyz").json()["checks"] == {"database": True, "migrations": False}
            _, page = told(client)
            assert "messaging.0002_sending_limits" in page["details"]["migrations"]
        finally:
            row = "('messaging', '0002_sending_limits', CURRENT_TIMESTAMP)"
            cursor.execute(f"INSERT INTO django_migrations (app, name, applied) VALUES {row}")
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_who_asks_is_not_looked_up_first(admin, path, django_assert_num_queries, break_part):
    """The person, and the company's options with them, are in the database that may be away or frozen."""
    break_part("database")
    with django_assert_num_queries(0):
        assert admin.get(path).status_code == (200 if path == "/healthz" else 503)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("cookie", ["", "0123456789abcdef0123456789abcdef"])
def test_a_load_balancer_may_call_the_console_by_any_name(client, works, path, cookie):
    client.cookies["sessionid"] = cookie
    assert client.get(path, headers={"host": "10.0.0.3:8000"}).status_code == 200


# --- /health/ -----------------------------------------------------------------------------------------


def test_all_is_well(client, works):
    assert told(client) == (
        200, {"healthy": True, "checks": dict.fromkeys(PARTS, True), "details": {}, "opt_files_at_fault": []}
    )  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_each_part_counts(client, works, break_part, part, caplog):
    break_part(part)
    status, page = told(client)
    assert status == 503
    assert [name for name, is_well in page["checks"].items() if not is_well] == [part]
    assert "s3cret" not in str(page)
    assert "10.0.0.7" not in str(page)
    assert "connection to 10.0.0.7" in caplog.text, "the log says why"


@pytest.mark.parametrize(
    ("hearts", "worker", "beat"), [([], False, False), (["worker"], True, False), (["sweep"], True, True)]
)
def test_worker_and_beat_are_told_apart(client, hearts, worker, beat):
    for name in hearts:
        Heartbeat.objects.create(name=name, at=timezone.now())
    Heartbeat.objects.create(name="other", at=timezone.now())
    status, page = told(client)
    assert (page["checks"]["worker"], page["checks"]["beat"]) == (worker, beat)
    assert status == (200 if worker and beat else 503)
    assert page["details"].keys() == {name for name, is_well in page["checks"].items() if not is_well}


def test_one_that_was_heard_of_long_ago_is_silent(client, clock):
    Heartbeat.objects.create(name="sweep", at=clock.now)
    assert told(client)[0] == 200
    clock.goes_on(seconds=61)
    assert told(client)[0] == 503


def test_store_that_cannot_be_written_is_told(client, works, settings, tmp_path):
    (tmp_path / "file").touch()
    settings.MEDIA_ROOT = tmp_path / "file"
    status, page = told(client)
    assert (status, page["checks"]["store"]) == (503, False)


def test_store_in_whose_place_is_an_empty_folder_is_told(client, works, settings, tmp_path):
    def take_in(number):
        make_message("c@example.com", files=[("i.pdf", "application/pdf", b"%%PDF %d" % number)])

    for number in range(3):
        take_in(number)
    assert told(client)[0] == 200
    settings.MEDIA_ROOT = tmp_path / "empty"
    take_in(4)
    status, page = told(client)
    assert (status, page["checks"]["store"]) == (503, False)
    assert "is it mounted" in page["details"]["store"]


def test_file_at_fault_is_named_and_not_what_is_in_it(client, works, opt_folder):
    write_opt_files(opt_folder, port="587")
    assert told(client)[0] == 200
    write_opt_files(opt_folder, port="s3cret")
    status, page = told(client)
    assert (status, page["opt_files_at_fault"]) == (503, ["email.smtp_port.opt"])
    assert "s3cret" not in str(page)
    opt_folder.rename(opt_folder.with_name("elsewhere"))
    assert told(client)[1]["opt_files_at_fault"] == ["EMAIL_OPT_DIR"]


# --- Who is told the details --------------------------------------------------------------------------

STRANGERS = [
    {"x-nothing": "1"}, {"authorization": f"Bearer {TOKEN}x"}, {"authorization": "Bearer "}, {"authorization": TOKEN},
    {"authorization": f"Basic {TOKEN}"}, {"authorization": "Bearer ä"}, {"authorization": "Bearer"},
]  # fmt: skip


@pytest.mark.parametrize("headers", STRANGERS)
def test_strangers_are_told_whether_and_not_what(client, works, break_part, headers):
    assert told(client, **headers) == (200, {"healthy": True})
    break_part("beat")
    assert told(client, **headers) == (503, {"healthy": False})


def test_without_a_token_no_token_fits(client, works, settings):
    settings.HEALTH_TOKEN = ""
    for header in ("Bearer ", "Bearer", ""):
        assert told(client, authorization=header) == (200, {"healthy": True})


def test_people_who_signed_in_are_told(office, works):
    assert told(office, accept="application/json")[1]["checks"] == dict.fromkeys(PARTS, True)


def test_person_may_call_the_console_by_any_name(office, works):
    assert told(office, host="10.0.0.3:8000")[1]["checks"] == dict.fromkeys(PARTS, True)


def deactivated(user):
    User.objects.update(is_active=False)


def with_another_password(user):
    user.set_password("another correct horse")
    user.save()


def idle_for_too_long(user):
    UserSession.objects.update(active_at=timezone.now() - timedelta(days=1))


def signed_in_for_too_long(user):
    UserSession.objects.update(started_at=timezone.now() - timedelta(days=15))


def signed_out_elsewhere(user):
    UserSession.objects.all().delete()


@pytest.mark.parametrize(
    "end", [deactivated, with_another_password, idle_for_too_long, signed_in_for_too_long, signed_out_elsewhere]
)
def test_people_whose_session_is_over_are_strangers(office, works, end):
    assert "checks" in told(office, accept="application/json")[1]
    end(User.objects.get())
    assert told(office, accept="application/json") == (200, {"healthy": True})


# --- Nothing hangs ------------------------------------------------------------------------------------


@pytest.fixture
def hanging(monkeypatch):
    """A part that does not answer; the number of times it was asked."""
    released, asked = threading.Event(), []

    def check():
        asked.append(1)
        released.wait(60)

    monkeypatch.setattr(health, "SECONDS", 0.05)
    monkeypatch.setitem(health.CHECKS, "broker", check)
    yield asked
    released.set()
    health._running["broker"].result(10)


def test_part_that_hangs_is_told_of_and_asked_once(client, works, hanging):
    for _ in range(3):
        status, page = told(client)
        assert (status, page["checks"]["broker"]) == (503, False)
        assert page["details"]["broker"] == "No answer within 0.05 seconds."
    assert len(hanging) == 1, "no thread more with each question"


def test_person_is_looked_for_apart_and_nothing_is_written(office, works, django_assert_num_queries):
    """A session that was used some minutes ago: a page would note that, and wait for a row that is locked."""
    UserSession.objects.update(active_at=timezone.now() - timedelta(minutes=10))
    before = dump()
    with django_assert_num_queries(0):
        assert told(office, accept="application/json")[1]["checks"] == dict.fromkeys(PARTS, True)
    assert dump() == before


def test_person_who_cannot_be_looked_for_is_not_waited_for(office, works, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(SessionStore, "load", lambda session: released.wait(60) and {})
    monkeypatch.setattr(health, "SECONDS", 1)
    try:
        assert told(office, accept="application/json") == (200, {"healthy": True})
        assert not released.is_set()
    finally:
        released.set()


# --- manage.py health ---------------------------------------------------------------------------------


def test_command_says_the_same(works, capsys):
    call_command("health")
    assert capsys.readouterr().out.splitlines() == [f"{part}: works" for part in PARTS]


def test_command_names_what_is_wrong(capsys):
    call_command("health", "database", "store")
    with pytest.raises(CommandError, match=r"^Not everything works: beat\.$"):
        call_command("health", "beat", "database")
    assert "beat: Beat has not reported" in capsys.readouterr().out
    with pytest.raises(CommandError, match=r"There is no “bear”\. Choose from database, "):
        call_command("health", "bear")


def test_asking_leaves_nothing_behind(client, works, settings):
    before = dump()
    told(client)
    assert dump() == before
    assert list(settings.MEDIA_ROOT.iterdir()) == []
