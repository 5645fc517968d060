"""django-mailer. Without its lock file, so that several `send_mail` may run (PostgreSQL's row locks part them)."""

from benchmarks.peers.base import *  # noqa: F403

INSTALLED_APPS = ["mailer"]
EMAIL_BACKEND = "mailer.backend.DbBackend"
MAILER_USE_FILE_LOCK = False
MAILER_EMAIL_BACKEND = "benchmarks.peers.django_mailer.backend.KeptOpen"
