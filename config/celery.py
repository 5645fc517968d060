"""The Celery application; its settings are the CELERY_* names of config/settings.py."""

import os

from celery import Celery

from . import embedded_broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded_broker.use()

app = Celery("outtray")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
