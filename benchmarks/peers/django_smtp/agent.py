"""Django's own SMTP backend, opened once; it builds each message while it sends."""

from django.conf import settings

settings.configure(USE_TZ=True)

from django.core.mail import EmailMessage, get_connection  # noqa: E402

from benchmarks.agent import serve  # noqa: E402
from benchmarks.corpus import email_messages  # noqa: E402

loaded: list[EmailMessage] = []


def load(kind: str, run: str, count: int) -> None:
    loaded[:] = email_messages(kind, run, count)


def drain(port: int, connections: int) -> None:
    backend = "django.core.mail.backends.smtp.EmailBackend"
    with get_connection(backend, host="127.0.0.1", port=port) as connection:
        connection.send_messages(loaded)


serve(load=load, drain=drain)
