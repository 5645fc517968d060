"""Outtray's own settings; only the keys in a shared Redis get a prefix, and statements are counted."""

import os

from benchmarks import statements
from config.settings import *  # noqa: F403

statements.install()
if CELERY_BROKER_URL.startswith("redis"):  # noqa: F405
    CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": os.environ["BENCH_PREFIX"]}
