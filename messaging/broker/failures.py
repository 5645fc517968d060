"""What a broker says that takes no wake-ups, in words that name what to do; and saying it no more often than needed."""

import errno
import logging
import time

from django.conf import settings
from redis import exceptions as redis

from messaging.system_errors import words_of

AGAIN_SECONDS = 60.0
PATIENCE_SECONDS = 5.0  # between two tries of a broker that answers, and refuses

# The first that fits, so what is derived comes before what it is derived from.
_WORDS: list[tuple[type[Exception], str]] = [
    (redis.OutOfMemoryError, "Redis has reached its maxmemory and takes no wake-ups. Give it more, or free some."),
    (redis.ReadOnlyError, "This Redis is a read-only replica. CELERY_BROKER_URL has to name the primary."),
    (redis.BusyLoadingError, "Redis is still loading its data. This ends on its own."),
    (redis.AuthenticationError, "Redis refuses the user name or password in CELERY_BROKER_URL."),
    (redis.NoPermissionError, "The Redis user in CELERY_BROKER_URL lacks the right to do this."),
]
_FOLDER = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.ENOTDIR)


def known_reason(error: BaseException) -> str:
    """What a broker refuses for, and what to do; "" where the error does not tell."""
    is_embedded = settings.CELERY_BROKER_URL.startswith("filesystem")
    for each in _chain(error):
        for kind, words in _WORDS:
            if isinstance(each, kind):
                return words
        if isinstance(each, redis.ConnectionError) and "max number of clients" in str(each):
            return "Redis has as many clients as it takes (maxclients)."
        if isinstance(each, redis.ResponseError):  # it answers, so no one should look whether it runs
            return f"Redis refuses: {words_of(each).rstrip('.')}."
        if is_embedded and isinstance(each, OSError) and each.errno in _FOLDER:
            return f"The folder of the embedded broker, broker in VAR_DIR, cannot be used: {each.strerror}."
    return ""


def reason(error: BaseException) -> str:
    """Why a broker takes no wake-ups."""
    # The system's own error says it best. What it was raised from may be a step of the library's.
    said = next((each for each in reversed(_chain(error)) if isinstance(each, OSError)), error)
    return known_reason(error) or f"It does not answer (CELERY_BROKER_URL): {words_of(said)}."


def _chain(error: BaseException) -> list[BaseException]:
    """An error and what it was raised from; the libraries put theirs around those of the others."""
    found = [error]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None and cause not in found:
        found.append(cause)
    return found


class Complaint:
    """Says that the broker takes no wake-ups, in `log`: when that begins, changes or has lasted another minute; and
    when it is over.
    """

    def __init__(self, log: logging.Logger) -> None:
        self.log = log
        self.words = ""
        self.at = 0.0
        self.again_at = 0.0

    def may_try(self) -> bool:
        """Whether to ask the broker: one that took no wake-up is asked again after PATIENCE_SECONDS, by one of those
        who want to, so that not everyone waits for one that says nothing.
        """
        now = time.monotonic()
        if self.words and now < self.again_at:
            return False
        self.again_at = now + PATIENCE_SECONDS
        return True

    def make(self, error: BaseException) -> None:
        words, now = reason(error), time.monotonic()
        self.again_at = now + PATIENCE_SECONDS
        if words != self.words or now - self.at >= AGAIN_SECONDS:
            self.log.warning("the broker takes no wake-ups, and is tried again until it does. %s", words)
            self.words, self.at = words, now

    def withdraw(self) -> None:
        if self.words:
            self.log.warning("the broker takes wake-ups again")
            self.words = ""
