"""Settings that the peers share: the same database and the same promises about durability as Outtray's."""

import os

from environ import Env

from benchmarks import statements

statements.install()

SECRET_KEY = "benchmark-" + "k" * 50
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
VAR_DIR = os.environ["VAR_DIR"]
MEDIA_ROOT = f"{VAR_DIR}/media"
DATABASES = {"default": Env().db("DATABASE_URL", default=f"sqlite:///{VAR_DIR}/peer.sqlite3")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000;",
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ["BENCH_SMTP_PORT"])
