"""The real services that the environment names."""

import os

NO_SERVICES = "no real PostgreSQL and Redis: set DATABASE_URL and CELERY_BROKER_URL"
NO_PROGRAMS = "no programs of PostgreSQL and Redis on this machine, to start servers that may be killed"
SERVICES = {"DATABASE_URL": "postgres", "CELERY_BROKER_URL": "redis"}


def missing():
    return [name for name, scheme in SERVICES.items() if not os.environ.get(name, "").startswith(scheme)]


def urls():
    """Those of the real services, as arguments for an Installation."""
    return {"database_url": os.environ["DATABASE_URL"], "broker_url": os.environ["CELERY_BROKER_URL"]}
