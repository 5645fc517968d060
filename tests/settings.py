"""Settings of the tests: their own keys and folder, whatever the machine's environment says."""

import os
import tempfile

os.environ["ENV_FILE"] = os.devnull
os.environ.setdefault("VAR_DIR", tempfile.mkdtemp(prefix="outtray-tests-"))
os.environ.setdefault("WITNESS_DIR", tempfile.mkdtemp(prefix="outtray-witness-"))
os.environ.setdefault("SECRET_KEY", "tests-only-" + "x" * 40)
os.environ.setdefault("FIELD_ENCRYPTION_KEYS", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
os.environ.setdefault("HTTPS", "off")
# The authorities of this machine: none, for it takes a while to read them all for each connection. See Authority.trust.
os.environ["SSL_CERT_FILE"] = os.devnull
# A browser test leaves its event loop running in this process, and Django would take the tests after it for async.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

from config.settings import *  # noqa: F403

SMTP_TIMEOUT_SCALE, SMTP_FINAL_REPLY_TIMEOUT = 0.1, 20.0
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_ROOT.mkdir(exist_ok=True)  # noqa: F405
STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"  # noqa: F405
# In a file, as in real life: threads of a test share it like processes do. No power is cut, so no one waits for a disk.
_options = DATABASES["default"].setdefault("OPTIONS", {})  # noqa: F405
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    _options["init_command"] = _options["init_command"].replace("synchronous=FULL", "synchronous=OFF")
