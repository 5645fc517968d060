"""The outcome table: stage, reply code, enhanced code and words of real servers -> outcome and category."""

import pytest

from messaging.delivery.outcomes import Reply, Stage, judge

S = Stage
REAL_REPLIES = [
    # stage, code, text, outcome, category
    (S.END, 250, "2.0.0 Ok: queued as 4F2A", "accepted", ""),
    # Postfix
    (
        S.RCPT,
        550,
        "5.1.1 <x@example.com>: Recipient address rejected: User unknown in local recipient table",
        "permanent",
        "address",
    ),
    (
        S.RCPT,
        450,
        "4.2.0 <x@example.com>: Recipient address rejected: Greylisted, see http://postgrey",
        "transient",
        "busy",
    ),
    (S.RCPT, 554, "5.7.1 <x@example.com>: Relay access denied", "permanent", "setup"),
    (S.RCPT, 450, "4.1.2 <x@nope.example>: Recipient address rejected: Domain not found", "transient", "address"),
    (S.MAIL, 452, "4.3.1 Insufficient system storage", "transient", "busy"),
    (S.MAIL, 553, "5.7.1 <a@b>: Sender address rejected: not owned by user x", "permanent", "setup"),
    (S.RCPT, 452, "4.5.3 Error: too many recipients", "transient", "busy"),
    (S.MAIL, 552, "5.3.4 Message size exceeds fixed limit", "permanent", "content"),
    (S.END, 451, "4.3.0 Error: queue file write error", "transient", "busy"),
    (S.AUTH, 535, "5.7.8 Error: authentication failed", "setup", "setup"),
    (S.AUTH, 454, "4.7.0 Temporary authentication failure", "setup", "busy"),
    (S.MAIL, 530, "5.7.0 Must issue a STARTTLS command first", "setup", "setup"),
    (S.GREETING, 421, "4.7.0 too many connections", "setup", "busy"),
    (S.MAIL, 421, "4.4.2 timeout exceeded", "transient", "busy"),
    # Exchange Online
    (
        S.AUTH,
        535,
        "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
        "setup",
        "setup",
    ),
    (S.MAIL, 530, "5.7.57 Client not authenticated to send mail", "setup", "setup"),
    (
        S.RCPT,
        550,
        "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        "permanent",
        "address",
    ),
    (S.END, 554, "5.2.252 SendAsDenied; a@b not allowed to send as c@d", "permanent", "setup"),
    (S.RCPT, 451, "4.7.500 Server busy. Please try again later", "transient", "busy"),
    (S.RCPT, 550, "5.4.310 DNS domain nope.example does not exist", "permanent", "address"),
    (S.RCPT, 550, "5.7.606 Access denied, banned sending IP", "permanent", "policy"),
    # Google
    (S.RCPT, 550, "5.1.1 The email account that you tried to reach does not exist.", "permanent", "address"),
    (S.RCPT, 552, "5.2.2 The email account that you tried to reach is over quota", "permanent", "address"),
    (S.AUTH, 534, "5.7.9 Application-specific password required.", "setup", "setup"),
    (S.AUTH, 535, "5.7.8 Username and Password not accepted.", "setup", "setup"),
    (S.END, 550, "5.7.26 This mail has been blocked because the sender is unauthenticated.", "permanent", "policy"),
    (S.END, 421, "4.7.28 Our system has detected an unusual rate of unsolicited mail", "transient", "busy"),
    (S.END, 552, "5.3.4 Your message exceeded Google's message size limits.", "permanent", "content"),
    # Exim and the rest
    (S.RCPT, 550, "Unrouteable address", "permanent", "address"),
    (S.RCPT, 550, "relay not permitted", "permanent", "setup"),
    (S.END, 550, "This message was classified as SPAM and may not be delivered", "permanent", "policy"),
    (S.RCPT, 451, "Temporary local problem - please try later", "transient", "busy"),
    (S.GREETING, 554, "No SMTP service here", "setup", "policy"),
    (S.STARTTLS, 454, "TLS not available due to temporary reason", "setup", "busy"),
    (S.DATA, 554, "no valid recipients", "permanent", "content"),
    (S.RCPT, 599, "never heard of that code", "permanent", "address"),
    (S.MAIL, 555, "unsupported parameter", "permanent", "policy"),
]


@pytest.mark.parametrize(("stage", "code", "text", "outcome", "category"), REAL_REPLIES)
def test_reply_is_sorted_and_explained(stage, code, text, outcome, category):
    verdict = judge(Reply(stage, code, text))
    assert (verdict.outcome, verdict.category) == (outcome, category)
    assert verdict.explanation.endswith(".")
    assert verdict.advice or outcome == "accepted"


@pytest.mark.parametrize(
    ("stage", "error", "outcome", "category"),
    [
        (S.CONNECT, "name not found", "setup", "setup"),
        (S.CONNECT, "connection refused", "setup", "setup"),
        (S.CONNECT, "timeout", "setup", "network"),
        (S.CONNECT, "connection lost", "setup", "network"),
        (S.GREETING, "timeout", "setup", "network"),
        (S.GREETING, "not SMTP", "setup", "network"),
        (S.EHLO, "connection lost", "setup", "network"),
        (S.STARTTLS, "certificate", "setup", "setup"),
        (S.STARTTLS, "tls", "setup", "setup"),
        (S.STARTTLS, "no starttls", "setup", "setup"),
        (S.AUTH, "no auth", "setup", "setup"),
        (S.MAIL, "connection lost", "transient", "network"),
        (S.RCPT, "timeout", "transient", "network"),
        (S.DATA, "connection lost", "transient", "network"),
        (S.END, "connection lost", "unknown", "network"),
        (S.END, "timeout", "unknown", "network"),
        (S.END, "not SMTP", "unknown", "network"),
        (S.PREPARE, "content missing", "permanent", "content"),
        (S.MAIL, "too big", "permanent", "content"),
        (S.MAIL, "no smtputf8", "permanent", "address"),
    ],
)
def test_error_of_this_machine_is_sorted_and_explained(stage, error, outcome, category):
    verdict = judge(Reply(stage, None, "words", error))
    assert (verdict.outcome, verdict.category) == (outcome, category)


@pytest.mark.parametrize("stage", list(Stage))
def test_no_reply_whatever_is_left_without_verdict(stage):
    for code in [None, *range(200, 600)]:
        verdict = judge(Reply(stage, code, "", "" if code else "not SMTP"))
        assert verdict.explanation
        if stage == Stage.END and (code is None or 300 <= code < 400):
            assert verdict.outcome == "unknown"
