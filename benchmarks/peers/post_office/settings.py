"""django-post_office. A batch as large as the queue: it writes to the database once per batch."""

import os

from benchmarks.peers.base import *  # noqa: F403

INSTALLED_APPS = ["django.contrib.contenttypes", "post_office"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
POST_OFFICE = {
    "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"},
    "BATCH_SIZE": 10_000,
    "BATCH_DELIVERY_TIMEOUT": 600,
    "THREADS_PER_PROCESS": int(os.environ["BENCH_THREADS"]),
    "LOG_LEVEL": 1,
}
