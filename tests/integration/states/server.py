"""The mail server: what it says to whom, and when the process that speaks to it is killed."""

from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage
from messaging.delivery.smtp.dialogue import StageFailed
from messaging.delivery.smtp.transaction import Abandoned, Result

REPLIES = {
    "no such mailbox": Reply(Stage.RCPT, 550, "5.1.1 no such user"),
    "later": Reply(Stage.RCPT, 451, "4.7.1 greylisted, come back in 5 minutes"),
    "hello": Reply(Stage.MAIL, 250, "2.1.0 ok"),
    "welcome": Reply(Stage.RCPT, 250, "2.1.5 ok"),
    "taken": Reply(Stage.END, 250, "2.0.0 taken"),
    "spam": Reply(Stage.END, 554, "5.7.1 message is spam"),
    "content later": Reply(Stage.END, 451, "4.3.0 mailbox busy, try again later"),
    "lost": Reply(Stage.END, None, "", LocalError.CONNECTION_LOST),
    "wrong password": Reply(Stage.AUTH, 535, "5.7.8 authentication failed: wrong password"),
}
HEARD = {"no such mailbox": "failed", "later": "pending"}
ENDS = {"taken": "accepted", "spam": "failed", "content later": "pending", "lost": "unknown"}


class Killed(BaseException):
    """The process is no more."""


class MailServer:
    """What the server says to whom, and when the process that speaks to it is killed: set before each run."""

    def __init__(self):
        self.rcpt, self.end, self.fault, self.kill = {}, "taken", False, ""
        self.has_it, self.again = set(), []
        self.is_killed = False

    def killed(self):
        self.is_killed = True
        raise Killed

    def connection(self, setup, patience, on_line=None, on_step=None):
        return _Connection(self, setup)


class _Connection:
    def __init__(self, server, setup):
        self.mail_server, self.setup, self.server = server, setup, "mail.example:25"
        self.tls, self.transactions, self.is_open = "", 0, False

    def open(self):
        if self.mail_server.fault:
            raise StageFailed(REPLIES["wrong password"])
        self.is_open = True

    def close(self, politely=False):
        self.is_open = False

    def transact(self, envelope, content, before_end):
        server = self.mail_server
        b"".join(content)
        self.transactions += 1
        if server.kill == "before":
            server.killed()
        said = {address: server.rcpt.get(address, "welcome") for address in envelope.recipients}
        result = Result(REPLIES["hello"], {address: REPLIES[words] for address, words in said.items()})
        taken = [address for address, words in said.items() if words == "welcome"]
        if not taken:
            result.final = REPLIES[list(said.values())[-1]]
            return result
        if not before_end(result):
            self.is_open = False
            raise Abandoned
        server.again += server.has_it.intersection(taken)
        if server.end == "taken" and not server.kill:
            server.has_it.update(taken)
        if server.kill:
            server.killed()
        result.final = REPLIES[server.end]
        self.is_open = server.end != "lost"
        return result
