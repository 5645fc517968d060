"""One Celery task per mail, as usually written by hand."""

import os

from benchmarks.peers.base import *  # noqa: F403

INSTALLED_APPS: list[str] = []
CELERY_BROKER_URL = os.environ["CELERY_BROKER_URL"]
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": os.environ["BENCH_PREFIX"]}
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
