"""The task: a new connection for each mail, because EmailMessage.send() opens one."""

from pathlib import Path

from celery import Celery
from django.core.mail import EmailMessage

app = Celery("task_per_mail")
app.config_from_object("django.conf:settings", namespace="CELERY")


@app.task
def send(subject: str, body: str, sender: str, recipient: str, headers: dict[str, str], attachment: str) -> None:
    message = EmailMessage(subject, body, sender, [recipient], headers=headers)
    if attachment:
        message.attach(Path(attachment).name, Path(attachment).read_bytes(), "application/pdf")
    message.send()
