"""Wake lanes. A wake-up carries no truth: a lost one is made good by the sweep, a double one finds nothing to do."""

import logging
from collections.abc import Callable
from datetime import datetime

from celery import current_app
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from messaging.broker.failures import Complaint
from messaging.delivery.store import claims
from messaging.lifecycle import limits
from messaging.setup.layers import resolve

log = logging.getLogger(__name__)
complaint = Complaint(log)

MESSAGES_PER_LANE = 5


def wake_after_commit(account_id: int | None) -> None:
    """Wake the account's lanes once what made messages due is committed."""
    try_after_commit(lambda: wake(account_id))


def try_after_commit(work: Callable[[], object]) -> None:
    """Have something done after the commit, without which it would be done later.

    Its errors reach no one: what is committed holds, and an error would have it ordered once more.
    """

    def help_out() -> None:
        try:
            work()
        except DatabaseError as error:
            log.warning("the database went away after a commit, whose rest is done later: %s", error)
            connection.close()

    transaction.on_commit(help_out)


def wake(account_id: int | None) -> None:
    """Wake as many lanes as the due messages of an account are worth, less those at work."""
    now = timezone.now()
    account = None if account_id is None else User.objects.filter(pk=account_id).first()
    wanted = -(-claims.due_count(account_id, now) // MESSAGES_PER_LANE)
    idle = resolve(account).max_connections - limits.places_taken(account_id, now)
    for _ in range(min(wanted, idle)):
        _send(account_id)


def wake_all(now: datetime | None = None) -> None:
    """Wake the lanes of each account that has due messages."""
    for account_id in claims.due_accounts(now or timezone.now()):
        wake(account_id)


def _send(account_id: int | None) -> None:
    ask_for("deliver", account_id)


def ask_for(task: str, *args: int | None) -> None:
    """Have a task of messaging/tasks.py run within a minute; what the broker does not take, the sweep makes up for."""
    if not complaint.may_try():
        return
    try:
        # By name: importing the tasks from here would turn the imports upside down.
        current_app.send_task(f"messaging.tasks.{task}", args=args, expires=60)
    except Exception as error:  # transports have errors of their own: one is an AttributeError where the disk is full
        complaint.make(error)
    else:
        complaint.withdraw()
