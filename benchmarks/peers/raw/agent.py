"""The limit: smtplib with bytes built before the clock starts, on as many connections as asked, a thread each."""

import smtplib
import threading

from django.conf import settings

from benchmarks.agent import serve
from benchmarks.corpus import SENDER, email_messages

settings.configure(USE_TZ=True)
loaded: list[tuple[str, bytes]] = []


def load(kind: str, run: str, count: int) -> None:
    loaded[:] = [
        (message.to[0], message.message().as_bytes(linesep="\r\n")) for message in email_messages(kind, run, count)
    ]


def drain(port: int, connections: int) -> None:
    def send(share: list[tuple[str, bytes]]) -> None:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="bench.example") as client:
            for recipient, content in share:
                client.sendmail(SENDER, [recipient], content)

    threads = [threading.Thread(target=send, args=(loaded[start::connections],)) for start in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


serve(load=load, drain=drain)
