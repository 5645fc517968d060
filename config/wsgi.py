"""WSGI entry point for gunicorn."""

import os
import sys

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

try:
    application = get_wsgi_application()
except SystemExit as stop:  # a variable makes no sense: environment.py
    sys.stderr.write(f"{stop}\n")
    raise SystemExit(3) from stop  # gunicorn's code of a worker that cannot begin; with others it tries again for ever
