"""Every knob of Outtray, in one file; each comes from the environment.

`make run` writes a private `.env` (mode 0600) with random keys beside manage.py; a real installation
sets the environment itself. docs/operations.md lists the variables, environment.py says how they are read.
"""

import os
import re
import sys
from pathlib import Path

from celery.schedules import schedule
from csp.constants import NONE, SELF

from config import private
from config.environment import HOST, MAKE_KEY, ORIGIN, Environment, check_sqlite, is_folder, make_folder, stop
from config.private import Place

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment(os.environ)
env.add_file(BASE_DIR / ".env")


def _own_state() -> Path:
    """Our folder among what the user's programs remember (XDG Base Directory Specification); in VAR_DIR for a user who
    has no home, or none to write to.
    """
    named = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = (Path(named) if named.startswith("/") else Path.home() / ".local" / "state") / "outtray"
    except RuntimeError:
        return VAR_DIR / "outtray"
    there = next(each for each in (folder, *folder.parents) if is_folder(each))
    return folder if os.access(there, os.W_OK | os.X_OK) else VAR_DIR / "outtray"


# --- Where things are kept -----------------------------------------------------------------------
VAR_DIR = env.folder("VAR_DIR", BASE_DIR / "var")
MEDIA_ROOT = env.folder("MEDIA_ROOT", VAR_DIR / "media")
# Outside of what a backup brings back: how far each database has come, so that a restored one is noticed.
WITNESS_DIR = env.folder("WITNESS_DIR", _own_state())
# Another value than the last time says: this database was restored from a backup.
RESTORED = env.text("RESTORED")

# --- Who may start, and how it is reached --------------------------------------------------------
DEBUG = env.switch("DEBUG", False)
SECRET_KEY = env.text("SECRET_KEY", "insecure-development-key" if DEBUG else "")
if not DEBUG and (len(SECRET_KEY) < 32 or SECRET_KEY.startswith(("insecure", "django-insecure", "change"))):
    stop(f"SECRET_KEY is missing, shorter than 32 characters or a default. {MAKE_KEY}")

PORT = env.port("PORT", 8000)
ALLOWED_HOSTS = env.words(
    "ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"], HOST, "names such as mail.office.example, without a port"
)
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [], ORIGIN, "addresses such as https://mail.office.example")
# With it in `Authorization: Bearer ...` a monitor gets the details of /health/.
HEALTH_TOKEN = env.text("HEALTH_TOKEN")
if HEALTH_TOKEN and not re.fullmatch(r"[!-~]{16,}", HEALTH_TOKEN):
    stop("HEALTH_TOKEN has to be at least 16 visible characters of ASCII, without blanks.")

# HTTPS is on unless someone says otherwise; `make run` says otherwise, because it listens on loopback only.
HTTPS = env.switch("HTTPS", not DEBUG)
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^health/$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
# Both bind other names of the domain, for a year and longer: only where an operator asks for them.
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.switch("HSTS_SUBDOMAINS", False)
SECURE_HSTS_PRELOAD = env.switch("HSTS_PRELOAD", False)
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # which want them on everywhere
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_ENGINE = "messaging.access.sessions.store"
CSRF_FAILURE_VIEW = "messaging.console.session_end.csrf_failure"
X_FRAME_OPTIONS = "DENY"
DEFAULT_EXCEPTION_REPORTER_FILTER = "messaging.console.error_pages.ReportFilter"
BEHIND_PROXY = env.switch("BEHIND_PROXY", False)
# Further proxies between the browser and the nearest one, which X-Forwarded-For names as well.
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES", [])
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# Nothing inline and nothing from another host, anywhere in the console; message bodies have a stricter policy still.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-src": [SELF],
        "frame-ancestors": [NONE],
    }
}

# First key encrypts, all decrypt (Fernet keys). Used for passwords at rest only.
FIELD_ENCRYPTION_KEYS = env.encryption_keys("FIELD_ENCRYPTION_KEYS")

# Settings of this server alone, over everyone's: a folder of `.opt` files (S10).
EMAIL_OPT_DIR = env.folder("EMAIL_OPT_DIR", None)

# --- Django --------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "crispy_forms",
    "crispy_bootstrap5",
    "django_filters",
    "django_htmx",
    "django_celery_beat",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "messaging",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "messaging.console.views.health.HealthMiddleware",
    "messaging.console.overload.BusyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "messaging.console.caching.PrivateMiddleware",
    "messaging.console.session_end.Sessions",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "messaging.console.request_bodies.BodyMiddleware",
    "messaging.console.session_end.Limits",
    "messaging.console.session_end.SignInRequired",
    "messaging.console.sign_in_limits.SignInMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "messaging.console.views.guard.RoleMiddleware",
    "messaging.console.views.guard.SecondFactorMiddleware",
    "messaging.console.company.CompanyMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "messaging.console.session_end.FormsAgain",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    ["messaging.console.template_loader.Loader", "django.template.loaders.app_directories.Loader"],
                )
            ],
            "libraries": {"outtray": "messaging.console.templatetags.outtray"},
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "messaging.console.context.console",
            ],
            "builtins": ["messaging.console.templatetags.forms_of"],
        },
    }
]
CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"

AUTHENTICATION_BACKENDS = ["messaging.access.roles.RoleBackend"]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/messages/"
PASSWORD_HASHERS = ["messaging.access.passwords.Hasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
# The second factor. None of allauth's own pages has an address here. Recovery codes are computed from a seed with these
# two numbers: changing one would end the codes that users keep.
MFA_ADAPTER = "messaging.access.second_factor.Adapter"
MFA_RECOVERY_CODE_COUNT = 10
MFA_RECOVERY_CODE_DIGITS = 8
ACCOUNT_EMAIL_VERIFICATION = "none"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = env.time_zone("TIME_ZONE", "UTC")
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = VAR_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# Without a name: whatever becomes of this process, none is left behind.
FILE_UPLOAD_HANDLERS = [
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "messaging.console.upload_files.NamelessFileUploadHandler",
]

# --- Database ------------------------------------------------------------------------------------
DATABASES = {"default": env.database("DATABASE_URL", VAR_DIR / "outtray.sqlite3")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE takes the write lock at BEGIN, so a claim never fails half-way with "database is locked";
    # FULL keeps the promise that a committed outcome survives a power cut.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000;",
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # A server that is gone without a word, or forgotten by a firewall, would be waited for by the system's own limits:
    # for a quarter of an hour, or two hours, on connections that are at work. An option in the URL counts more.
    DATABASES["default"]["OPTIONS"] = {
        "prepare_threshold": 5,  # Django's None forbids preparing any, as intake/rows.py does
        "connect_timeout": "10",  # seconds, for each of several hosts
        "keepalives_idle": "20",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "20000",  # milliseconds that what was sent may stay without an answer of the other machine
    } | DATABASES["default"]["OPTIONS"]

# --- Celery --------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.broker("CELERY_BROKER_URL", "filesystem://localhost")
BROKER_SECONDS = 2.0  # more than the second for which a worker has Redis wait for a wake-up
if CELERY_BROKER_URL.startswith("filesystem"):
    # The embedded broker: a folder of small files. Tasks are only wake-ups, so losing one loses nothing.
    _broker = VAR_DIR / "broker"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_broker / "queue"),
        "data_folder_out": str(_broker / "queue"),
        "control_folder": str(_broker / "control"),
        "polling_interval": 0.1,
    }
    CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
elif CELERY_BROKER_URL.startswith("redis"):
    # One that is frozen, or cut off by the network, says nothing; without a limit all who order something wait for it.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "socket_timeout": BROKER_SECONDS,
        "socket_connect_timeout": BROKER_SECONDS,
        "socket_keepalive": True,
    }
# Whatever a broker says, it is tried again until it works.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_WORKER_CONSUMER = "messaging.broker.consumer:Consumer"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULER = "messaging.broker.beat:Scheduler"
# How often beat has the lanes woken for what is due, and looks for what a dead worker left.
SWEEP_SECONDS = env.number("SWEEP_SECONDS", 5)
CELERY_BEAT_SCHEDULE = {
    "sweep": {
        "task": "messaging.tasks.sweep",
        "schedule": schedule(run_every=SWEEP_SECONDS),
        "options": {"expires": 60},
    },
    "tidy": {"task": "messaging.tasks.tidy", "schedule": schedule(run_every=3600), "options": {"expires": 600}},
}

# --- Delivery ------------------------------------------------------------------------------------
# Programs of this installation that use Django's send_mail land in the queue.
EMAIL_BACKEND = "messaging.backends.QueueEmailBackend"
DEFAULT_FROM_EMAIL = env.address("DEFAULT_FROM_EMAIL", "outtray@localhost")

LEASE_SECONDS = env.number("LEASE_SECONDS", 30)
LANES_PER_ACCOUNT = env.number("LANES_PER_ACCOUNT", 4)
# A lane ends after its turn and another is woken: the sweep and other accounts get a place in the worker, too.
LANE_TURN_SECONDS = env.number("LANE_TURN_SECONDS", 30)
CLAIM_SIZE = env.number("CLAIM_SIZE", 50)
MESSAGES_PER_CONNECTION = env.number("MESSAGES_PER_CONNECTION", 500)
# Gaps in seconds between the tries of one message after a transient failure; one more try than there are gaps.
RETRY_GAPS = env.numbers("RETRY_GAPS", [30, 120, 600, 1800, 3600, 10800, 21600])
# Seconds after its first try during which a message is tried again.
RETRY_MAX_AGE = env.number("RETRY_MAX_AGE", 2 * 86400)
# Gaps in seconds between probes of an account whose set-up is at fault; the last one repeats.
PROBE_GAPS = env.numbers("PROBE_GAPS", [15, 60, 300, 900])
# RFC 5321 4.5.3.2 names 2 to 10 minutes per stage; the scale applies to all but the wait for the final reply,
# where giving up early turns a slow server into an unknown outcome.
SMTP_TIMEOUT_SCALE = env.decimal("SMTP_TIMEOUT_SCALE", 0.2)
SMTP_FINAL_REPLY_TIMEOUT = env.decimal("SMTP_FINAL_REPLY_TIMEOUT", 600.0)
MAX_MESSAGE_BYTES = env.number("MAX_MESSAGE_BYTES", 50 * 1024 * 1024)
MAX_RECIPIENTS = env.number("MAX_RECIPIENTS", 1000)

# --- Logging -------------------------------------------------------------------------------------
LOG_LEVEL = env.choice("LOG_LEVEL", "WARNING", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "config.logs.Line"}},
    "filters": {"in_production": {"()": "django.utils.log.RequireDebugFalse"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line"},
        "mail_admins": {
            "class": "django.utils.log.AdminEmailHandler",
            "level": "ERROR",
            "filters": ["in_production"],
        },
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # As Django has it, but for its own handler of the console, which escapes nothing.
        "django": {"handlers": ["mail_admins"], "level": "INFO"},
        "mail.log": {"level": "WARNING"},  # aiosmtpd tells every line of every dialogue at INFO
        "waitress.queue": {"level": "ERROR"},  # it tells of each request that waits for a thread
        "msal": {"level": "CRITICAL"},  # it tells a whole answer that it cannot read, token and all
    },
}

# --- The local mail catcher of `make run` --------------------------------------------------------
CATCHER_PORT = env.port("CATCHER_PORT", 1025)
CAUGHT_DIR = env.folder("CAUGHT_DIR", VAR_DIR / "caught")

# --- What has to be there; made last, so that a start that stops above leaves nothing behind ------------
_database = DATABASES["default"]
_file = Path(_database["NAME"]) if _database["ENGINE"].endswith("sqlite3") and _database["NAME"] != ":memory:" else None
_is_embedded = CELERY_BROKER_URL.startswith("filesystem")
if "makemigrations" not in sys.argv:  # what that writes is for everyone who has the source
    private.set_umask(VAR_DIR)
if _is_embedded or not VAR_DIR.exists() or (_file and _file.parent == VAR_DIR):
    make_folder(VAR_DIR, "VAR_DIR")
if _file and not is_folder(_file.parent):
    stop("DATABASE_URL names a file in a folder that is not there. Make the folder, or correct the path.")
# What other users of this machine can open, a sentence each; `manage.py check` and `make run` say it.
NOT_PRIVATE = private.close(
    [
        *(Place("DATABASE_URL", _file.with_name(_file.name + end)) for end in private.OF_SQLITE if _file),
        Place("VAR_DIR", VAR_DIR / "broker"),
        Place("MEDIA_ROOT", MEDIA_ROOT),
        Place("CAUGHT_DIR", CAUGHT_DIR),
        Place("WITNESS_DIR", WITNESS_DIR),
        Place("VAR_DIR", VAR_DIR, is_ours=False),
    ]
)
if _file:
    check_sqlite(_file, "VAR_DIR" if _file == VAR_DIR / "outtray.sqlite3" else "DATABASE_URL")
