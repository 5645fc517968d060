"""Django's SMTP backend, open from the start: django-mailer keeps it for a whole run, but opens it for each message."""

from typing import Any

from django.core.mail.backends.smtp import EmailBackend


class KeptOpen(EmailBackend):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.open()
