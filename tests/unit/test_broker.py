"""What is said of a broker that takes no wake-ups."""

import pytest
import redis
from celery import Celery

from messaging.broker.failures import known_reason, reason


@pytest.fixture(autouse=True)
def no_other_broker(monkeypatch):
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)  # Celery prefers it


def error_of(url):
    app = Celery(broker=url, set_as_current=False)
    app.conf.task_publish_retry_policy = {"max_retries": 1, "interval_start": 0}
    with pytest.raises(Exception) as raised:  # each transport has its own
        app.send_task("anything")
    return raised.value


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (redis.ResponseError("MISCONF It cannot persist."), "Redis refuses: MISCONF It cannot persist."),
        (redis.ResponseError("DB index is out of range"), "Redis refuses: DB index is out of range."),
        (redis.ConnectionError("max number of clients reached"), "Redis has as many clients as it takes (maxclients)."),
    ],
)
def test_broker_that_refuses_is_not_said_to_be_away(error, words):
    assert known_reason(error) == reason(error) == words


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://127.0.0.1:1/0", "Connection refused"),
        ("redis+socket:///no/such/socket", "No such file or directory"),
        ("amqp://127.0.0.1:1//", "Connection refused"),
    ],
)
def test_broker_that_is_away_is_told_in_the_words_of_the_system(settings, url, words):
    settings.CELERY_BROKER_URL = url
    error = error_of(url)
    assert reason(error) == f"It does not answer (CELERY_BROKER_URL): {words}."
    assert known_reason(error) == ""
