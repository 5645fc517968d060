"""What `manage.py check` says about the settings of this server that have to do with Email Setup."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.core.exceptions import ImproperlyConfigured

from config import private

from . import opt_files, secrets


@register()
def check_opt_files(**kwargs: Any) -> list[CheckMessage]:
    """The folder EMAIL_OPT_DIR and the files in it. No errors: they must not keep mail from being taken in."""
    if settings.EMAIL_OPT_DIR is None:
        return []
    files = opt_files.read()
    found: list[CheckMessage] = [
        Warning(f"This server sends nothing: {error}", id="messaging.W001") for error in files.errors
    ]
    _, password = files.values.get("password", ("", ""))
    if password and private.is_open_to_others(settings.EMAIL_OPT_DIR / password):
        words = f"Other users of this machine can read the password in {settings.EMAIL_OPT_DIR / password}."
        found.append(Warning(words, hint="Let only Outtray’s own account read the folder.", id="messaging.W005"))
    if not settings.EMAIL_OPT_DIR.is_absolute():
        words = f"EMAIL_OPT_DIR is {settings.EMAIL_OPT_DIR}, which is a different folder wherever a process is started."
        found.append(Warning(words, hint="Write it as an absolute path.", id="messaging.W002"))
    return found


@register()
def check_encryption_keys(**kwargs: Any) -> list[CheckMessage]:
    """FIELD_ENCRYPTION_KEYS, if there are any."""
    if not settings.FIELD_ENCRYPTION_KEYS:
        return []
    try:
        secrets.check_keys()
    except ImproperlyConfigured as error:
        return [Warning(str(error), hint="No stored password can be read until it is fixed.", id="messaging.W003")]
    return []


@register()
def check_private(**kwargs: Any) -> list[CheckMessage]:
    """Whether others on this machine can open what is stored; see config/private.py."""
    return [Warning(words, id="messaging.W004") for words in settings.NOT_PRIVATE]
