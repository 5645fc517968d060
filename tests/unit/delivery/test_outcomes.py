"""The outcome table: stage, reply code, enhanced code and words of real servers -> outcome, category and scope."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.delivery.outcomes import meanings as m
from messaging.delivery.outcomes.meanings import MEANINGS
from messaging.delivery.outcomes.outcome_table import TABLE
from messaging.delivery.outcomes.verdict import Kind, LocalError, Pace, Reply, Scope, Stage, judge
from messaging.models import AttemptOutcome, Category, Phrase, Recipient, SendAttempt
from messaging.wording import advice, in_words

from .replies import HEARD
from .wordings import WORDINGS

S = Stage
E = LocalError
OPENING = [S.CONNECT, S.GREETING, S.EHLO, S.STARTTLS, S.AUTH]

# Words as the makers of each system publish them or its source has them; "RFC" is the wording of the RFC itself.
REAL_REPLIES = [
    # system, stage, code, text, outcome, category, scope, meaning
    ("Postfix", S.END, 250, "2.0.0 Ok: queued as 4F2A", "accepted", "", "message", None),
    # --- Postfix: smtpd, postscreen, its limits and its access maps
    ("Postfix", S.RCPT, 550, "5.1.1 <x@example.com>: Recipient address rejected: User unknown in local recipient table", "permanent", "address", "message", m.NO_MAILBOX),
    ("Postfix", S.RCPT, 450, "4.1.1 <x@example.com>: Recipient address rejected: unverified address", "transient", "address", "message", m.DOUBTFUL_MAILBOX),
    ("Postfix", S.RCPT, 450, "4.1.2 <x@nope.example>: Recipient address rejected: Domain not found", "transient", "address", "message", m.DOUBTFUL_DOMAIN),
    ("Postfix", S.RCPT, 450, "4.1.8 <a@nope.example>: Sender address rejected: Domain not found", "transient", "setup", "message", m.BAD_SENDER),
    ("Postfix", S.RCPT, 504, "5.5.2 <foo>: Recipient address rejected: need fully-qualified address", "permanent", "address", "message", m.BAD_ADDRESS),
    ("Postfix", S.RCPT, 501, "5.1.3 Bad recipient address syntax", "permanent", "address", "message", m.BAD_ADDRESS),
    ("Postfix", S.RCPT, 554, "5.7.1 <x@example.com>: Relay access denied", "setup", "setup", "set-up", m.NO_RELAY),
    ("Postfix", S.RCPT, 454, "4.7.1 <x@example.com>: Relay access denied", "setup", "setup", "set-up", m.NO_RELAY),
    ("Postfix", S.RCPT, 554, "5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied", "setup", "policy", "set-up", m.MACHINE_REFUSED),
    ("Postfix", S.RCPT, 554, "5.7.1 <x@example.com>: Recipient address rejected: Access denied", "permanent", "policy", "message", m.UNWANTED),
    ("Postfix", S.RCPT, 450, "4.7.1 Client host rejected: cannot find your hostname, [192.0.2.1]", "setup", "setup", "set-up", m.NO_REVERSE_NAME),
    ("Postfix", S.RCPT, 450, "4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", "setup", "setup", "set-up", m.NO_REVERSE_NAME),
    ("Postfix", S.RCPT, 450, "4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]", "setup", "setup", "set-up", m.NO_REVERSE_NAME),
    ("Postfix", S.RCPT, 556, "5.1.10 <x@example.com>: Recipient address rejected: Domain example.com does not accept mail (nullMX)", "permanent", "address", "message", m.NO_DOMAIN),
    ("Postfix", S.MAIL, 550, "5.7.27 <a@example.com>: Sender address rejected: Domain example.com does not accept mail (nullMX)", "permanent", "setup", "message", m.BAD_SENDER),
    ("Postfix", S.RCPT, 504, "5.5.2 <foo>: Helo command rejected: need fully-qualified hostname", "setup", "setup", "set-up", m.OUR_NAME),
    ("Postfix", S.RCPT, 450, "4.7.1 <foo>: Helo command rejected: Host not found", "setup", "setup", "set-up", m.OUR_NAME),
    ("Postfix", S.RCPT, 450, "4.7.1 Session encryption is required", "setup", "setup", "set-up", m.WANTS_TLS),
    ("Postfix", S.RCPT, 554, "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("Postfix", S.RCPT, 554, "5.7.1 Service unavailable; Sender address [a@example.com] blocked using dbl.spamhaus.org", "permanent", "policy", "message", m.LINK_LISTED),
    ("Postfix", S.MAIL, 452, "4.3.1 Insufficient system storage", "transient", "busy", "message", m.NOT_NOW),
    ("Postfix", S.MAIL, 553, "5.7.1 <a@b>: Sender address rejected: not owned by user x", "setup", "setup", "set-up", m.FROM_NOT_ALLOWED),
    ("Postfix", S.MAIL, 553, "5.7.1 <a@b>: Sender address rejected: not logged in", "setup", "setup", "set-up", m.WANTS_SIGN_IN),
    ("Postfix", S.MAIL, 501, "5.1.7 Bad sender address syntax", "permanent", "setup", "message", m.BAD_SENDER),
    ("Postfix", S.MAIL, 450, "4.7.1 Error: too much mail from 192.0.2.1", "transient", "busy", "pace", m.COME_BACK),
    ("Postfix", S.RCPT, 450, "4.7.1 Error: too many recipients from 192.0.2.1", "transient", "busy", "pace", m.COME_BACK),
    ("Postfix", S.RCPT, 452, "4.5.3 Error: too many recipients", "transient", "busy", "message", m.REST_LATER),
    ("Postfix", S.RCPT, 450, "4.3.2 Service currently unavailable", "transient", "busy", "pace", m.COME_BACK),
    ("Postfix", S.RCPT, 451, "4.3.0 <x@example.com>: Temporary lookup failure", "transient", "busy", "message", m.NOT_NOW),
    ("Postfix", S.RCPT, 451, "4.3.5 Server configuration error", "transient", "busy", "message", m.NOT_NOW),
    ("Postfix", S.RCPT, 553, "5.6.7 Must declare SMTPUTF8 to send unicode address", "permanent", "address", "message", m.NOT_ASCII),
    ("Postfix", S.MAIL, 552, "5.3.4 Message size exceeds fixed limit", "permanent", "content", "message", m.TOO_BIG),
    ("Postfix", S.MAIL, 503, "5.5.1 Error: nested MAIL command", "transient", "network", "message", m.LOST_THREAD),
    ("Postfix", S.DATA, 554, "5.5.1 Error: no valid recipients", "permanent", "address", "message", m.NOBODY_LEFT),
    ("Postfix", S.END, 451, "4.3.0 Error: queue file write error", "transient", "busy", "message", m.NOT_NOW),
    ("Postfix", S.END, 550, "5.7.1 Error: message content rejected", "permanent", "policy", "message", m.SPAM),
    ("Postfix", S.END, 554, "5.4.0 Error: too many hops", "permanent", "network", "message", m.LOOP),
    ("Postfix", S.END, 521, "5.5.2 mx.example.com Error: bare <LF> received", "permanent", "content", "message", m.FAULTY_FORM),
    ("Postfix", S.MAIL, 421, "4.4.2 mx.example.com Error: timeout exceeded", "transient", "busy", "pace", m.COME_BACK),
    ("Postfix", S.GREETING, 421, "4.7.0 mx.example.com Error: too many connections from 192.0.2.1", "setup", "busy", "pace", m.COME_BACK),
    ("Postfix", S.GREETING, 421, "4.3.2 All server ports are busy", "setup", "busy", "pace", m.COME_BACK),
    ("Postfix", S.STARTTLS, 454, "4.7.0 TLS not available due to local problem", "setup", "busy", "pace", m.COME_BACK),
    ("Postfix", S.AUTH, 535, "5.7.8 Error: authentication failed: UGFzc3dvcmQ6", "setup", "setup", "set-up", m.WRONG_PASSWORD),
    ("any", S.AUTH, 500, "Bad password", "setup", "setup", "set-up", m.WRONG_PASSWORD),
    ("any", S.AUTH, 504, "5.7.0 Credentials rejected", "setup", "setup", "set-up", m.WRONG_PASSWORD),
    ("Postfix", S.AUTH, 454, "4.7.0 Temporary authentication failure: Connection lost to authentication server", "setup", "busy", "pace", m.COME_BACK),
    ("Postfix", S.AUTH, 503, "5.5.1 Error: authentication not enabled", "setup", "setup", "set-up", m.SIGN_IN_NOT_THERE),
    ("Postfix", S.AUTH, 504, "5.5.4 Encryption required for requested authentication mechanism", "setup", "setup", "set-up", m.WANTS_TLS),
    ("Postfix", S.MAIL, 530, "5.7.0 Must issue a STARTTLS command first", "setup", "setup", "set-up", m.WANTS_TLS),
    # --- Exchange Online
    ("Exchange Online", S.AUTH, 535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.", "setup", "setup", "set-up", m.M365_SIGN_IN_OFF),
    ("Exchange Online", S.AUTH, 535, "5.7.139 Authentication unsuccessful, the user credentials were incorrect.", "setup", "setup", "set-up", m.WRONG_PASSWORD),
    ("Exchange Online", S.AUTH, 535, "5.7.3 Authentication unsuccessful [AM6PR07CA0001.eurprd07.prod.outlook.com]", "setup", "setup", "set-up", m.WRONG_PASSWORD),
    ("Exchange Online", S.AUTH, 535, "5.7.139 Authentication unsuccessful, basic authentication is disabled.", "setup", "setup", "set-up", m.M365_SIGN_IN_OFF),
    ("Exchange Online", S.AUTH, 535, "5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.", "setup", "setup", "set-up", m.M365_SIGN_IN_OFF),
    ("Exchange Online", S.AUTH, 535, "5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy. Contact your administrator.", "setup", "setup", "set-up", m.M365_SIGN_IN_OFF),
    ("Exchange Online", S.MAIL, 530, "5.7.57 Client not authenticated to send mail. Error: 535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", "setup", "setup", "set-up", m.M365_SIGN_IN_OFF),
    ("Exchange Online", S.MAIL, 550, "5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM", "setup", "setup", "set-up", m.WANTS_SIGN_IN),
    ("Exchange Online", S.RCPT, 550, "5.7.506 Access Denied, Bad HELO", "setup", "setup", "set-up", m.OUR_NAME),
    ("Exchange Online", S.RCPT, 550, "5.7.508 Access denied, [192.0.2.1] has exceeded permitted limits within 24-hour range", "transient", "busy", "pace", m.QUOTA),
    ("Exchange Online", S.RCPT, 550, "5.7.511 Access denied, banned sender[192.0.2.1]. To request removal from this list please forward this message to delist@messaging.microsoft.com", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("Exchange Online", S.MAIL, 530, "5.7.57 Client not authenticated to send mail.", "setup", "setup", "set-up", m.WANTS_SIGN_IN),
    ("Exchange Online", S.EHLO, 421, "4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2.", "setup", "setup", "set-up", m.OLD_TLS),
    ("Exchange Online", S.RCPT, 550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", "permanent", "address", "message", m.NO_MAILBOX),
    ("Exchange Online", S.RCPT, 550, "5.4.1 Recipient address rejected: Access denied. AS(201806281)", "permanent", "address", "message", m.NO_MAILBOX),
    ("Exchange Online", S.RCPT, 550, "5.4.1 Relay Access Denied", "setup", "setup", "set-up", m.NO_RELAY),
    ("Exchange Online", S.RCPT, 550, "5.7.64 TenantAttribution; Relay Access Denied", "setup", "setup", "set-up", m.NO_RELAY),
    ("Exchange Online", S.RCPT, 550, "5.4.310 DNS domain nope.example does not exist", "permanent", "address", "message", m.NO_DOMAIN),
    ("Exchange Online", S.RCPT, 550, "5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit https://sender.office.com/", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("Exchange Online", S.RCPT, 550, "5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("Exchange Online", S.END, 550, "5.7.705 Access denied, tenant has exceeded threshold", "setup", "policy", "set-up", m.ACCOUNT_BARRED),
    ("Exchange Online", S.END, 550, "5.7.750 Service unavailable. Client blocked from sending from unregistered domains", "setup", "policy", "set-up", m.ACCOUNT_BARRED),
    ("Exchange Online", S.END, 550, "5.7.501 Access denied, spam abuse detected", "setup", "policy", "set-up", m.ACCOUNT_BARRED),
    ("Exchange Online", S.END, 550, "5.1.8 Access denied, bad outbound sender", "setup", "policy", "set-up", m.ACCOUNT_BARRED),
    ("Exchange Online", S.RCPT, 550, "5.7.513 Service unavailable, Client host [192.0.2.1] blocked by example.com using Customer Block list (AS16012607)", "permanent", "policy", "message", m.UNWANTED),
    ("Exchange Online", S.RCPT, 550, "5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; sender not authenticated for group", "permanent", "policy", "message", m.INSIDERS_ONLY),
    ("Exchange Online", S.END, 550, "5.7.509 Access denied, sending domain example.com does not pass DMARC verification", "permanent", "policy", "message", m.SENDER_UNPROVEN),
    ("Exchange Online", S.RCPT, 550, "5.7.23 The message was rejected because of Sender Policy Framework violation", "permanent", "policy", "message", m.SENDER_UNPROVEN),
    ("Exchange Online", S.END, 554, "5.2.252 SendAsDenied; a@b not allowed to send as c@d", "setup", "setup", "set-up", m.FROM_NOT_ALLOWED),
    ("Exchange Online", S.END, 550, "5.2.252 Sender throttled due to continuous send as denied errors.", "transient", "busy", "pace", m.QUOTA),
    ("Exchange Online", S.END, 550, "5.1.90 Your message can't be sent because you've reached your daily limit for message recipients", "transient", "busy", "pace", m.QUOTA),
    ("Exchange Online", S.END, 554, "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", "transient", "busy", "pace", m.QUOTA),
    ("Exchange Online", S.END, 554, "5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded", "setup", "setup", "set-up", m.SENT_ITEMS_FULL),
    ("Exchange Online", S.END, 432, "4.3.2 Concurrent connections limit exceeded.", "transient", "busy", "pace", m.COME_BACK),
    ("Exchange Online", S.END, 432, "4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", "transient", "busy", "pace", m.COME_BACK),
    ("Exchange Online", S.END, 432, "4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", "transient", "busy", "message", m.MAILBOX_RATE),
    ("Exchange Online", S.RCPT, 550, "5.2.121 Recipient's per hour message receive limit from specific sender exceeded", "transient", "busy", "message", m.MAILBOX_RATE),
    ("Exchange Online", S.RCPT, 451, "4.7.500 Server busy. Please try again later from [192.0.2.1].", "transient", "busy", "pace", m.COME_BACK),
    ("Exchange Online", S.RCPT, 451, "4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.", "transient", "busy", "pace", m.HELD_BACK),
    ("Exchange Online", S.MAIL, 451, "4.7.550 Access denied, please try again later", "transient", "busy", "pace", m.HELD_BACK),
    ("Exchange Online", S.RCPT, 451, "4.4.3 Temporary server error. Please try again later ATTR18", "transient", "network", "message", m.NETWORK_NOT_NOW),
    ("Exchange Online", S.RCPT, 550, "5.5.0 Requested action not taken: mailbox unavailable", "permanent", "address", "message", m.UNKNOWN_MAILBOX),
    # --- Exchange on the premises
    ("Exchange Online", S.END, 430, "4.2.0 STOREDRV; mailbox logon failure; failure to process message", "setup", "setup", "set-up", m.MAILBOX_CLOSED),
    ("Exchange", S.RCPT, 550, "5.7.1 Unable to relay", "setup", "setup", "set-up", m.NO_RELAY),
    ("Exchange", S.RCPT, 550, "5.7.54 SMTP; Unable to relay recipient in non-accepted domain", "setup", "setup", "set-up", m.NO_RELAY),
    ("Exchange", S.MAIL, 530, "5.7.1 Client was not authenticated", "setup", "setup", "set-up", m.WANTS_SIGN_IN),
    ("Exchange", S.MAIL, 550, "5.7.60 SMTP; Client does not have permissions to send as this sender", "setup", "setup", "set-up", m.FROM_NOT_ALLOWED),
    ("Exchange Online", S.END, 550, "5.7.60 SMTP; Client does not have permissions to send as this sender [AM6PR07MB1.eurprd07.prod.outlook.com]", "setup", "setup", "set-up", m.FROM_NOT_ALLOWED),
    ("Exchange", S.AUTH, 535, "5.7.3 Authentication unsuccessful", "setup", "setup", "set-up", m.WRONG_PASSWORD),
    ("Exchange", S.MAIL, 421, "4.4.2 Message submission rate for this client has exceeded the configured limit", "transient", "busy", "pace", m.COME_BACK),
    ("Exchange", S.MAIL, 452, "4.3.1 Insufficient system resources", "transient", "busy", "message", m.NOT_NOW),
    ("Exchange", S.END, 552, "5.3.4 Message size exceeds fixed maximum message size", "permanent", "content", "message", m.TOO_BIG),
    ("Exchange", S.END, 550, "5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient", "permanent", "content", "message", m.TOO_BIG),
    ("Exchange", S.RCPT, 554, "5.4.6 Hop count exceeded - possible mail loop", "permanent", "network", "message", m.LOOP),
    # --- Google: Gmail, Workspace and its relay
    ("Google", S.RCPT, 550, "5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address", "permanent", "address", "message", m.NO_MAILBOX),
    ("Google", S.RCPT, 550, "5.2.1 The email account that you tried to reach is inactive.", "permanent", "address", "message", m.MOVED),
    ("Google", S.RCPT, 552, "5.2.2 The recipient's inbox is out of storage space and inactive.", "transient", "address", "message", m.MAILBOX_FULL),
    ("Google", S.RCPT, 452, "4.2.2 The recipient's inbox is out of storage space.", "transient", "address", "message", m.MAILBOX_FULL),
    ("Google", S.RCPT, 450, "4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.", "transient", "busy", "message", m.MAILBOX_RATE),
    ("Google", S.RCPT, 550, "5.2.1 The user you are trying to contact is receiving mail at a rate that\n5.2.1 prevents additional messages from being delivered.", "transient", "busy", "message", m.MAILBOX_RATE),
    ("Google", S.RCPT, 452, "4.5.3 Domain policy size per transaction exceeded, please try this recipient in a separate transaction.", "transient", "busy", "message", m.REST_LATER),
    ("Google", S.RCPT, 451, "4.3.0 Multiple destination domains per transaction is unsupported. Please try again.", "transient", "busy", "message", m.REST_LATER),
    ("Google", S.RCPT, 553, "5.1.3 The recipient address <x> is not a valid RFC 5321 address.", "permanent", "address", "message", m.BAD_ADDRESS),
    ("Google", S.MAIL, 550, "5.4.5 Daily user sending limit exceeded. For more information on Gmail\n5.4.5 sending limits go to https://support.google.com/a/answer/166852", "transient", "busy", "pace", m.QUOTA),
    ("Google relay", S.MAIL, 550, "5.7.1 Daily SMTP relay limit exceeded for customer.", "transient", "busy", "pace", m.QUOTA),
    ("Google relay", S.MAIL, 550, "5.7.1 Invalid credentials for relay [192.0.2.1]. The IP address you've registered in your Workspace SMTP Relay service doesn't match domain of the account this email is being sent from.", "setup", "setup", "set-up", m.NO_RELAY),
    ("Google relay", S.END, 550, "5.7.0 Mail relay denied [192.0.2.1]. Invalid credentials for relay for one of the domains", "setup", "setup", "set-up", m.NO_RELAY),
    ("Google relay", S.RCPT, 450, "4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error.", "transient", "busy", "pace", m.COME_BACK),
    ("Google relay", S.MAIL, 550, "5.7.0 Mail relay denied 192.0.2.1. Invalid credentials for relay for one of the domains in: example.com", "setup", "setup", "set-up", m.NO_RELAY),
    ("Google relay", S.MAIL, 550, "5.7.0 Mail Sending denied.", "setup", "policy", "set-up", m.ACCOUNT_BARRED),
    ("Google relay", S.EHLO, 421, "4.7.0 Try again later, closing connection.", "setup", "busy", "pace", m.COME_BACK),
    ("Google", S.AUTH, 534, "5.7.9 Application-specific password required.", "setup", "setup", "set-up", m.APP_PASSWORD),
    ("Google", S.AUTH, 534, "5.7.14 Please log in through your web browser and then try again.", "setup", "setup", "set-up", m.BROWSER_SIGN_IN),
    ("Google", S.AUTH, 535, "5.7.8 Username and Password not accepted.", "setup", "setup", "set-up", m.WRONG_PASSWORD),
    ("Google", S.AUTH, 454, "4.7.0 Too many login attempts, please try again later.", "setup", "busy", "pace", m.COME_BACK),
    ("Google", S.MAIL, 530, "5.7.0 Authentication Required.", "setup", "setup", "set-up", m.WANTS_SIGN_IN),
    ("Google", S.END, 550, "5.7.26 This mail has been blocked because the sender is unauthenticated.", "permanent", "policy", "message", m.SENDER_UNPROVEN),
    ("Google", S.END, 550, "5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy.", "permanent", "policy", "message", m.SENDER_UNPROVEN),
    ("Google", S.END, 421, "4.7.26 This mail has been rate limited because it is unauthenticated.", "transient", "policy", "message", m.SENDER_UNPROVEN),
    ("Google", S.END, 550, "5.7.25 The IP address sending this message does not have a PTR record setup", "setup", "setup", "set-up", m.NO_REVERSE_NAME),
    ("Google", S.END, 550, "5.7.1 This message does not meet IPv6 sending guidelines regarding PTR records and authentication.", "setup", "setup", "set-up", m.NO_REVERSE_NAME),
    ("Google", S.END, 421, "4.7.28 Gmail has detected an unusual rate of mail originating from your IP address. To protect our users from spam, mail has been temporarily rate limited.", "transient", "busy", "pace", m.HELD_BACK),
    ("Google", S.END, 421, "4.7.28 Gmail has detected this message exceeded its quota for sending messages with the same Message-ID:.", "transient", "policy", "message", m.SPAM),
    ("Google", S.END, 421, "4.7.0 This message is suspicious due to the nature of the content or the links within.", "transient", "policy", "message", m.SPAM),
    ("Google", S.END, 550, "5.7.1 Our system has detected that this message is likely unsolicited mail.", "permanent", "policy", "message", m.SPAM),
    ("Google", S.END, 550, "5.7.1 Unauthenticated email is not accepted from this domain.", "permanent", "policy", "message", m.SENDER_UNPROVEN),
    ("Google", S.END, 421, "4.7.0 Our system has detected an unusual rate of unsolicited mail originating from your IP address.", "transient", "busy", "pace", m.HELD_BACK),
    ("Google", S.END, 550, "5.7.28 There is an unusual rate of unsolicited mail originating from your IP address.", "transient", "busy", "pace", m.HELD_BACK),
    ("Google", S.END, 550, "5.7.1 [192.0.2.1] Our system has detected that this message is not RFC 5322 compliant.", "permanent", "content", "message", m.FAULTY_FORM),
    ("Google", S.RCPT, 421, "4.7.0 IP not in whitelist for RCPT domain, closing connection.", "transient", "policy", "message", m.UNWANTED),
    ("Google", S.RCPT, 421, "4.7.0 TLS required for RCPT domain, closing connection.", "transient", "policy", "message", m.UNWANTED),
    ("Google", S.END, 552, "5.7.0 This message was blocked because its content presents a potential security issue.", "permanent", "content", "message", m.BAD_ATTACHMENT),
    ("Google", S.END, 552, "5.3.4 Your message exceeded Google's message size limits.", "permanent", "content", "message", m.TOO_BIG),
    ("Google", S.END, 554, "5.6.0 Mail message is malformed. Not accepted.", "permanent", "content", "message", m.CONTENT_REFUSED),
    ("Google", S.MAIL, 503, "5.5.1 EHLO/HELO first.", "transient", "network", "message", m.LOST_THREAD),
    ("Google", S.EHLO, 501, "5.5.4 HELO/EHLO argument is invalid.", "setup", "setup", "set-up", m.OUR_NAME),
    ("Google", S.MAIL, 555, "5.5.2 Syntax error, goodbye.", "permanent", "setup", "message", m.BAD_SENDER),
    # --- Yahoo and AOL
    ("Yahoo", S.MAIL, 421, "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes", "transient", "busy", "pace", m.HELD_BACK),
    ("Yahoo", S.MAIL, 421, "4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("Yahoo", S.GREETING, 553, "5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("Yahoo", S.END, 554, "delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com)", "permanent", "address", "message", m.NO_MAILBOX),
    ("Yahoo", S.END, 552, "1 Requested mail action aborted, mailbox not found", "permanent", "address", "message", m.NO_MAILBOX),
    ("Yahoo", S.END, 554, "delivery error: dd Not a valid recipient - atlas315.free.mail.ne1.yahoo.com", "permanent", "address", "message", m.NO_MAILBOX),
    ("Yahoo", S.END, 554, "delivery error: dd x@yahoo.com is no longer valid.", "permanent", "address", "message", m.MOVED),
    ("Yahoo", S.END, 554, "5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes", "permanent", "policy", "message", m.SPAM),
    ("Yahoo", S.END, 554, "Message not allowed - Headers are not RFC compliant[291]", "permanent", "content", "message", m.FAULTY_FORM),
    ("Yahoo", S.RCPT, 450, "User is receiving mail too quickly", "transient", "busy", "message", m.MAILBOX_RATE),
    ("Yahoo", S.MAIL, 451, "Message temporarily deferred due to unresolvable RFC.5321 from domain.", "transient", "setup", "message", m.BAD_SENDER),
    ("Yahoo", S.MAIL, 421, "Max message per connection reached, closing transmission channel", "transient", "busy", "pace", m.COME_BACK),
    ("AOL", S.RCPT, 554, "30 Sorry, your message to x@aol.jp cannot be delivered. This mailbox is disabled (554.30)", "permanent", "address", "message", m.MOVED),
    # --- Outlook.com and Hotmail
    ("Outlook.com", S.MAIL, 550, "5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    # --- iCloud
    ("iCloud", S.RCPT, 421, "4.7.1 Messages to x@icloud.com deferred due to excessive volume. Try again later - https://support.apple.com/en-us/HT204137", "transient", "busy", "message", m.MAILBOX_RATE),
    ("iCloud", S.RCPT, 552, "5.2.2 <x@icloud.com>: user is over quota", "transient", "address", "message", m.MAILBOX_FULL),
    ("iCloud", S.RCPT, 451, "4.7.1 Service unavailable - try again later", "transient", "busy", "message", m.NOT_NOW),
    ("Comcast", S.RCPT, 450, "4.2.0 <x@comcast.net> - Recipient temporarily unavailable", "transient", "busy", "message", m.MAILBOX_BUSY),
    ("iCloud", S.RCPT, 550, "5.1.6 recipient no longer on server: x@icloud.com", "permanent", "address", "message", m.MOVED),
    ("iCloud", S.RCPT, 550, "5.1.1 <x@icloud.com>: inactive email address", "permanent", "address", "message", m.NO_MAILBOX),
    ("iCloud", S.END, 550, "5.7.1 [CS01] Message rejected due to local policy.", "permanent", "policy", "message", m.SPAM),
    ("iCloud", S.END, 550, "5.7.1 Your email was rejected due to having a domain present in the Spamhaus DBL -- see https://www.spamhaus.org/dbl/", "permanent", "policy", "message", m.LINK_LISTED),
    ("iCloud", S.END, 554, "5.7.1 Your message was rejected due to example.com's DMARC policy.", "permanent", "policy", "message", m.SENDER_UNPROVEN),
    # --- Exim, and cPanel on top of it
    ("Exim", S.RCPT, 550, "Unrouteable address", "permanent", "address", "message", m.NO_DOMAIN),
    ("Exim", S.RCPT, 550, "relay not permitted", "setup", "setup", "set-up", m.NO_RELAY),
    ("Exim", S.RCPT, 550, "Administrative prohibition", "permanent", "policy", "message", m.UNWANTED),
    ("Exim", S.RCPT, 550, "Sender verify failed", "permanent", "setup", "message", m.BAD_SENDER),
    ("Exim", S.RCPT, 451, "Temporary local problem - please try later", "transient", "busy", "message", m.NOT_NOW),
    ("Exim", S.RCPT, 451, "Cannot resolve <x@example.com> at this time", "transient", "address", "message", m.DOUBTFUL_DOMAIN),
    ("Exim", S.RCPT, 552, "too many recipients", "transient", "busy", "message", m.REST_LATER),
    ("Exim", S.DATA, 554, "Too many recipients", "permanent", "content", "message", m.TOO_MANY),
    ("Exim", S.RCPT, 501, "<x>: recipient address must contain a domain", "permanent", "address", "message", m.BAD_ADDRESS),
    ("Exim", S.EHLO, 501, "Syntactically invalid EHLO argument(s)", "setup", "setup", "set-up", m.OUR_NAME),
    ("Exim", S.GREETING, 421, "mx.example.com: Too many concurrent SMTP connections; please try again later.", "setup", "busy", "pace", m.COME_BACK),
    ("Exim", S.MAIL, 421, "too many messages in this connection", "transient", "busy", "pace", m.COME_BACK),
    ("Exim", S.GREETING, 554, "SMTP service not available", "setup", "policy", "set-up", m.MACHINE_REFUSED),
    ("Exim", S.STARTTLS, 454, "TLS currently unavailable", "setup", "busy", "pace", m.COME_BACK),
    ("Exim", S.AUTH, 535, "Incorrect authentication data", "setup", "setup", "set-up", m.WRONG_PASSWORD),
    ("Exim", S.AUTH, 435, "Unable to authenticate at present", "setup", "busy", "pace", m.COME_BACK),
    ("Exim", S.END, 552, "Message size exceeds maximum permitted", "permanent", "content", "message", m.TOO_BIG),
    ("Exim", S.END, 550, "maximum allowed line length is 998 octets, got 1200", "permanent", "content", "message", m.FAULTY_FORM),
    ("Exim", S.END, 550, "This message was classified as SPAM and may not be delivered", "permanent", "policy", "message", m.SPAM),
    ("Exim", S.END, 550, "This message contains malware (Eicar-Test-Signature)", "permanent", "content", "message", m.BAD_ATTACHMENT),
    ("Exim", S.END, 550, "Administrative prohibition", "permanent", "policy", "message", m.SPAM),
    ("Exim", S.END, 552, "A message header line is too long", "permanent", "content", "message", m.FAULTY_FORM),
    ("Exim", S.DATA, 503, "Valid RCPT command must precede DATA", "transient", "network", "message", m.LOST_THREAD),
    ("cPanel", S.END, 550, "Domain example.com has exceeded the max emails per hour (500/500 (100%)) allowed. Message discarded.", "transient", "busy", "pace", m.QUOTA),
    ("cPanel", S.RCPT, 550, "No Such User Here", "permanent", "address", "message", m.NO_MAILBOX),
    # --- Sendmail
    ("Sendmail", S.RCPT, 550, "5.7.1 <x@example.com>... Relaying denied. Proper authentication required.", "setup", "setup", "set-up", m.NO_RELAY),
    ("Sendmail", S.MAIL, 553, "5.1.8 <a@nope.example>... Domain of sender address a@nope.example does not exist", "permanent", "setup", "message", m.BAD_SENDER),
    ("Sendmail", S.MAIL, 451, "4.1.8 Domain of sender address a@nope.example does not resolve", "transient", "setup", "message", m.BAD_SENDER),
    ("Sendmail", S.RCPT, 550, "5.1.1 <x@example.com>... User unknown", "permanent", "address", "message", m.NO_MAILBOX),
    ("Sendmail", S.GREETING, 421, "4.3.2 Connection rate limit exceeded.", "setup", "busy", "pace", m.COME_BACK),
    # --- qmail and netqmail
    ("qmail", S.RCPT, 553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", "setup", "setup", "set-up", m.NO_RELAY),
    ("qmail", S.RCPT, 553, "sorry, your envelope sender is in my badmailfrom list (#5.7.1)", "setup", "setup", "set-up", m.BAD_SENDER),
    ("qmail", S.END, 552, "sorry, that message size exceeds my databytes limit (#5.3.4)", "permanent", "content", "message", m.TOO_BIG),
    ("qmail", S.END, 554, "too many hops, this message is looping (#5.4.6)", "permanent", "network", "message", m.LOOP),
    ("qmail", S.END, 451, "qqt failure (#4.3.0)", "transient", "busy", "message", m.NOT_NOW),
    ("qmail rcptcheck", S.RCPT, 421, "you have exceeded your messaging limits (#4.3.0)", "transient", "busy", "pace", m.QUOTA),
    ("qmail chkuser", S.RCPT, 511, "sorry, no mailbox here by that name (#5.1.1 - chkuser)", "permanent", "address", "message", m.NO_MAILBOX),
    ("MailEnable", S.RCPT, 503, "This mail server requires authentication when attempting to send to a non-local e-mail address.", "setup", "setup", "set-up", m.WANTS_SIGN_IN),
    # --- OpenSMTPD
    ("OpenSMTPD", S.MAIL, 530, "5.5.1 Invalid command: Must issue an AUTH command first", "setup", "setup", "set-up", m.WANTS_SIGN_IN),
    ("OpenSMTPD", S.AUTH, 535, "Authentication failed", "setup", "setup", "set-up", m.WRONG_PASSWORD),
    ("OpenSMTPD", S.MAIL, 452, "4.5.0 Other/Undefined protocol status: Too many messages sent", "transient", "busy", "pace", m.COME_BACK),
    ("OpenSMTPD", S.END, 550, "5.7.1 Delivery not authorized, message refused: Message is not RFC 2822 compliant", "permanent", "content", "message", m.FAULTY_FORM),
    # --- hMailServer
    ("hMailServer", S.RCPT, 550, "Delivery is not allowed to this address.", "setup", "setup", "set-up", m.NO_RELAY),
    ("hMailServer", S.RCPT, 530, "SMTP authentication is required.", "setup", "setup", "set-up", m.WANTS_SIGN_IN),
    ("hMailServer", S.RCPT, 550, "Unknown user", "permanent", "address", "message", m.NO_MAILBOX),
    ("hMailServer", S.RCPT, 550, "Too many recipients.", "transient", "busy", "message", m.REST_LATER),
    ("hMailServer", S.AUTH, 530, "A SSL/TLS-connection is required for authentication.", "setup", "setup", "set-up", m.WANTS_TLS),
    ("hMailServer", S.END, 554, "Rejected - Message containing bare LF's.", "permanent", "content", "message", m.FAULTY_FORM),
    # --- Relays: Amazon SES, SendGrid, Mailgun, Mandrill
    ("Amazon SES", S.END, 554, "Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: a@example.com", "setup", "setup", "set-up", m.FROM_NOT_ALLOWED),
    ("Amazon SES", S.END, 554, "Message rejected: Sending suspended for this account. For more information, please check the inbox of the email address associated with your AWS account.", "setup", "policy", "set-up", m.ACCOUNT_BARRED),
    ("Amazon SES", S.END, 454, "Throttling failure: Maximum sending rate exceeded", "transient", "busy", "pace", m.COME_BACK),
    ("Amazon SES", S.MAIL, 454, "Throttling failure: Daily message quota exceeded", "transient", "busy", "pace", m.QUOTA),
    ("Amazon SES", S.MAIL, 501, "Invalid MAIL FROM address provided", "permanent", "setup", "message", m.BAD_SENDER),
    ("Amazon SES", S.RCPT, 501, "Invalid RCPT TO address provided", "permanent", "address", "message", m.BAD_ADDRESS),
    ("SendGrid", S.END, 403, "You are not authorized to send from that email address", "setup", "setup", "set-up", m.FROM_NOT_ALLOWED),
    ("SendGrid", S.END, 550, "The from address does not match a verified Sender Identity.", "setup", "setup", "set-up", m.FROM_NOT_ALLOWED),
    ("SendGrid", S.AUTH, 451, "Authentication failed: Maximum credits exceeded", "setup", "busy", "pace", m.QUOTA),
    ("SendGrid", S.MAIL, 550, "Unauthenticated senders not allowed", "setup", "setup", "set-up", m.WANTS_SIGN_IN),
    ("SendGrid", S.MAIL, 450, "too frequent connects from 198.51.100.135, please try again later.", "transient", "busy", "pace", m.COME_BACK),
    ("SocketLabs", S.MAIL, 501, "5.7.0 Authentication required. Please authenticate with CRAM MD5 or AUTH Login.", "setup", "setup", "set-up", m.WANTS_SIGN_IN),
    ("Mailgun", S.END, 421, "Domain sandbox1.mailgun.org is not allowed to send: Please activate your Mailgun account. Check your inbox or log in to your control panel to resend the activation email.", "setup", "policy", "set-up", m.ACCOUNT_BARRED),
    ("Mailgun", S.RCPT, 550, "5.7.1 Relaying denied", "setup", "setup", "set-up", m.NO_RELAY),
    # --- Gateways: Mimecast, Proofpoint, Barracuda, Cisco IronPort
    ("Mimecast", S.RCPT, 451, "Internal resources are temporarily unavailable", "transient", "busy", "message", m.GREYLISTED),
    ("Mimecast", S.RCPT, 451, "IP temporarily blacklisted", "transient", "busy", "pace", m.HELD_BACK),
    ("Mimecast", S.GREETING, 421, "Unable to process connection at this time", "setup", "busy", "pace", m.COME_BACK),
    ("Mimecast", S.RCPT, 550, "Administrative prohibition - envelope blocked", "permanent", "policy", "message", m.UNWANTED),
    ("Mimecast", S.RCPT, 550, "Envelope blocked - User Entry", "permanent", "policy", "message", m.UNWANTED),
    ("Mimecast", S.RCPT, 550, "SPF Sender Invalid - envelope rejected", "permanent", "policy", "message", m.SENDER_UNPROVEN),
    ("Mimecast", S.RCPT, 451, "Open relay not allowed", "setup", "setup", "set-up", m.NO_RELAY),
    ("Mimecast", S.END, 550, "Rejected by header based Anti-Spoofing policy: a@example.com", "permanent", "policy", "message", m.SPAM),
    ("Mimecast", S.END, 554, "Maximum email size exceeded", "permanent", "content", "message", m.TOO_BIG),
    ("Mimecast", S.END, 554, "Mail loop detected", "permanent", "network", "message", m.LOOP),
    ("Mimecast", S.END, 550, "csi.mimecast.org Poor Reputation Sender. - https://community.mimecast.com/docs/DOC-1369#550", "permanent", "policy", "message", m.SPAM),
    ("Mimecast", S.RCPT, 550, "Local CT IP Reputation - (Reject)", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("Proofpoint", S.GREETING, 554, "Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("Proofpoint", S.RCPT, 550, "5.7.1 Recipient address rejected: User email address is marked as invalid", "permanent", "address", "message", m.NO_MAILBOX),
    ("Proofpoint", S.END, 550, "5.7.0 Local Policy Violation", "permanent", "policy", "message", m.SPAM),
    ("Barracuda", S.END, 550, "permanent failure for one or more recipients (x@example.com:blocked)", "permanent", "policy", "message", m.UNWANTED),
    ("Barracuda", S.RCPT, 450, "cuda_nsu 4.7.1 <x@example.com>: Recipient address rejected: Policy Rejection- Abuse. Go away.", "transient", "busy", "message", m.NOT_NOW),
    ("Barracuda", S.RCPT, 554, "Service unavailable; Client host [mx.example.com] blocked using Barracuda Reputation; http://www.barracudanetworks.com/reputation/?r=1", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("IronPort", S.GREETING, 554, "Your access to this mail system has been rejected due to the sending MTA's poor reputation.", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("IronPort", S.RCPT, 550, "#5.7.1 Your access to submit messages to this e-mail system has been rejected.", "setup", "policy", "set-up", m.MACHINE_REFUSED),
    ("IronPort", S.RCPT, 550, "#5.1.0 Address rejected.", "permanent", "address", "message", m.UNKNOWN_MAILBOX),
    ("IronPort", S.RCPT, 452, "Too many recipients received this hour", "transient", "busy", "pace", m.QUOTA),
    # --- Block lists and greylisters
    ("Spamhaus", S.RCPT, 550, "5.9.12.34 blacklisted see http://www.spamhaus.org/query/bl?ip=5.9.12.34", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("SpamCop", S.END, 550, "JunkMail rejected - [192.0.2.1] is in an RBL: Blocked - see https://www.spamcop.net/bl.shtml?192.0.2.1", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("URIBL", S.RCPT, 554, "5.7.1 Service unavailable; Client host [mail.example.com] blocked using multi.uribl.com", "permanent", "policy", "message", m.LINK_LISTED),
    ("Comcast", S.GREETING, 554, "mx.example.net 192.0.2.1 found on one or more DNSBLs, see http://postmaster.comcast.net/", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("SpamRL", S.RCPT, 550, "The sending IP (192.0.2.1) is listed on https://spamrl.com/. Please resolve this and retry.", "setup", "policy", "set-up", m.MACHINE_BLOCKED),
    ("Orange", S.RCPT, 552, "5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]", "transient", "address", "message", m.MAILBOX_FULL),
    ("Orange", S.GREETING, 421, "mwinf5c63 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR005_104 [104]", "setup", "busy", "pace", m.COME_BACK),
    ("Cox", S.END, 552, "attachment extension is forbidden", "permanent", "content", "message", m.BAD_ATTACHMENT),
    ("postgrey", S.RCPT, 450, "4.2.0 <x@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.com.html", "transient", "busy", "message", m.GREYLISTED),
    ("milter-greylist", S.RCPT, 451, "4.7.1 Greylisting in action, please come back in 00:05:00", "transient", "busy", "message", m.GREYLISTED),
    ("sqlgrey", S.RCPT, 450, "<x@example.com>: Recipient address rejected: Greylisted for 5 minutes", "transient", "busy", "message", m.GREYLISTED),
    ("rspamd", S.END, 451, "4.7.1 Try again later", "transient", "busy", "message", m.GREYLISTED),
    ("rspamd", S.END, 554, "5.7.1 Spam message rejected", "permanent", "policy", "message", m.SPAM),
    # --- What the RFCs themselves say
    ("RFC 4954", S.AUTH, 432, "4.7.12 A password transition is needed", "setup", "setup", "set-up", m.NEW_PASSWORD),
    ("RFC 4954", S.AUTH, 534, "5.7.9 Authentication mechanism is too weak", "setup", "setup", "set-up", m.APP_PASSWORD),
    ("RFC 4954", S.AUTH, 538, "5.7.11 Encryption required for requested authentication mechanism", "setup", "setup", "set-up", m.WANTS_TLS),
    ("RFC 5248", S.MAIL, 523, "Encryption Needed", "setup", "setup", "set-up", m.WANTS_TLS),
    ("RFC 5248", S.AUTH, 525, "5.7.13 User Account Disabled", "setup", "policy", "set-up", m.ACCOUNT_BARRED),
    ("RFC 5248", S.RCPT, 550, "5.7.17 Mailbox owner has changed", "permanent", "address", "message", m.MOVED),
    ("RFC 7372", S.END, 550, "5.7.20 No passing DKIM signature found", "permanent", "policy", "message", m.SENDER_UNPROVEN),
    ("RFC 7372", S.END, 550, "5.7.25 Reverse DNS validation failed", "setup", "setup", "set-up", m.NO_REVERSE_NAME),
    ("RFC 7504", S.GREETING, 521, "mail.example.com does not accept mail", "setup", "setup", "set-up", m.TAKES_NO_MAIL),
    ("RFC 7504", S.RCPT, 556, "Domain does not accept mail", "permanent", "address", "message", m.NO_DOMAIN),
    ("RFC 7505", S.RCPT, 550, "5.7.27 Sender address has null MX", "permanent", "setup", "message", m.BAD_SENDER),
    ("RFC 7505", S.RCPT, 550, "Recipient address has null MX", "permanent", "address", "message", m.NO_DOMAIN),
    ("RFC 3463", S.RCPT, 550, "5.1.2 Bad destination system address", "permanent", "address", "message", m.NO_DOMAIN),
    ("RFC 3463", S.RCPT, 450, "4.1.0 Other address status", "transient", "address", "message", m.DOUBTFUL_MAILBOX),
    ("RFC 3463", S.RCPT, 452, "4.5.3", "transient", "busy", "message", m.REST_LATER),
    ("RFC 3463", S.RCPT, 550, "5.4.1 No answer from host", "permanent", "network", "message", m.ROUTE_BROKEN),
    ("RFC 3463", S.RCPT, 550, "5.4.6 Routing loop detected", "permanent", "network", "message", m.LOOP),
    ("RFC 3463", S.END, 550, "5.2.3 Message length exceeds administrative limit", "permanent", "content", "message", m.TOO_BIG),
    ("RFC 3463", S.RCPT, 550, "5.7.1 Delivery not authorized, message refused", "permanent", "policy", "message", m.UNWANTED),
    ("RFC 3463", S.MAIL, 451, "4.4.5 Mail system congestion", "transient", "busy", "pace", m.COME_BACK),
    ("RFC 3463", S.MAIL, 451, "4.7.0 Other or undefined security status", "transient", "busy", "pace", m.COME_BACK),
    ("RFC 3463", S.RCPT, 450, "4.2.0 Other or undefined mailbox status", "transient", "busy", "message", m.MAILBOX_BUSY),
    ("RFC 3463", S.MAIL, 550, "5.7.1 Delivery not authorized, message refused", "permanent", "setup", "message", m.NOT_OUR_SENDER),
    ("RFC 5321", S.RCPT, 551, "User not local; please try <y@example.com>", "permanent", "address", "message", m.MOVED),
    ("RFC 5321", S.RCPT, 552, "Requested mail action aborted: exceeded storage allocation", "transient", "address", "message", m.MAILBOX_FULL),
    ("RFC 5321", S.MAIL, 455, "Server unable to accommodate parameters", "transient", "busy", "message", m.NOT_NOW),
    ("RFC 5321", S.STARTTLS, 501, "Syntax error in parameters or arguments", "setup", "setup", "set-up", m.TLS_REFUSED),
    ("generic", S.RCPT, 571, "Delivery refused", "permanent", "policy", "message", m.UNWANTED),
    ("generic", S.GREETING, 554, "5.7.1 You are not allowed to connect.", "setup", "policy", "set-up", m.MACHINE_REFUSED),
    ("generic", S.GREETING, 421, "Try again later", "setup", "busy", "pace", m.COME_BACK),
    ("generic", S.RCPT, 550, "5.7.1 You are on our blacklist", "permanent", "policy", "message", m.UNWANTED),
    ("generic", S.RCPT, 550, "5.7.1 Blacklisted by recipient", "permanent", "policy", "message", m.UNWANTED),
    ("generic", S.END, 550, "Your message was rejected by this user and was not delivered", "permanent", "policy", "message", m.UNWANTED),
    ("generic", S.RCPT, 550, "Refused by policy", "permanent", "policy", "message", m.UNWANTED),
    ("generic", S.RCPT, 550, "Access denied", "permanent", "policy", "message", m.UNWANTED),
    ("generic", S.RCPT, 550, "Sender is banned", "permanent", "policy", "message", m.UNWANTED),
    ("generic", S.RCPT, 550, "Mailbox full", "transient", "address", "message", m.MAILBOX_FULL),
    ("generic", S.RCPT, 550, "5.1.1 <dmarc.greylist.daily-limit@example.com>: Recipient address rejected: User unknown", "permanent", "address", "message", m.NO_MAILBOX),
    ("generic", S.RCPT, 450, "4.2.0 <relay.denied@spamhaus.example>: mailbox locked", "transient", "busy", "message", m.MAILBOX_BUSY),
    ("generic", S.END, 554, "rejected due to virus", "permanent", "content", "message", m.BAD_ATTACHMENT),
    ("generic", S.RCPT, 599, "never heard of that code", "permanent", "address", "message", m.ADDRESS_REFUSED),
    ("generic", S.MAIL, 599, "never heard of that code", "permanent", "policy", "message", m.REFUSED_AT_ALL),
    ("generic", S.RCPT, 334, "not an answer to RCPT", "transient", "network", "message", m.NOT_SMTP),
    ("generic", S.AUTH, 535, "5.7.8 Application-specific password required", "setup", "setup", "set-up", m.APP_PASSWORD),
    ("generic", S.AUTH, 535, "5.7.139 Authentication unsuccessful, account is locked. Contact your administrator.", "setup", "setup", "set-up", m.ACCOUNT_LOCKED),
    ("generic", S.AUTH, 535, "5.7.139 Authentication unsuccessful, blocked by Conditional Access.", "setup", "setup", "set-up", m.SIGN_IN_RULE),
    ("generic", S.AUTH, 535, "5.7.139 Authentication unsuccessful, user is disabled.", "setup", "policy", "set-up", m.ACCOUNT_BARRED),
    ("generic", S.AUTH, 535, "5.7.8 Error: authentication failed: This user does not have access rights to this service", "setup", "setup", "set-up", m.PROGRAMS_OFF),
    ("generic", S.MAIL, 530, "5.7.57 Client not authenticated. Basic authentication is not supported for Client Submission.", "setup", "setup", "set-up", m.PASSWORDS_OFF),
    ("generic", S.MAIL, 552, "Quota exceeded", "transient", "busy", "pace", m.QUOTA),
    ("generic", S.MAIL, 550, "TLS 1.0 is no longer supported", "setup", "setup", "set-up", m.OLD_TLS),
    ("generic", S.RCPT, 550, "You must authenticate to use this server.", "setup", "setup", "set-up", m.WANTS_SIGN_IN),
    ("generic", S.RCPT, 550, "We do not relay non-local mail", "setup", "setup", "set-up", m.NO_RELAY),
    ("generic", S.RCPT, 550, "Mailbox quota exceeded", "transient", "address", "message", m.MAILBOX_FULL),
    ("generic", S.END, 550, "5.7.1 TLS required", "setup", "setup", "set-up", m.WANTS_TLS),
    # Codes whose words no one knows.
    ("generic", S.AUTH, 550, "5.7.30 in words of its own", "setup", "setup", "set-up", m.PASSWORDS_OFF),
    ("generic", S.AUTH, 525, "5.7.13 in words of its own", "setup", "policy", "set-up", m.ACCOUNT_BARRED),
    ("generic", S.RCPT, 550, "5.7.25 in words of its own", "setup", "setup", "set-up", m.NO_REVERSE_NAME),
    ("generic", S.END, 550, "5.7.508 in words of its own", "transient", "busy", "pace", m.QUOTA),
    ("generic", S.EHLO, 421, "4.7.66 in words of its own", "setup", "setup", "set-up", m.OLD_TLS),
    ("generic", S.END, 550, "5.7.60 in words of its own", "setup", "setup", "set-up", m.FROM_NOT_ALLOWED),
    ("generic", S.RCPT, 550, "5.7.133 in words of its own", "permanent", "policy", "message", m.INSIDERS_ONLY),
    ("generic", S.RCPT, 550, "5.2.2 in words of its own", "transient", "address", "message", m.MAILBOX_FULL),
    ("generic", S.RCPT, 550, "5.1.1 in words of its own", "permanent", "address", "message", m.NO_MAILBOX),
    ("generic", S.AUTH, 250, "not an answer to AUTH", "setup", "network", "set-up", m.NOT_SMTP),
]  # fmt: skip

# RFC 5321 4.2 and 4.3.2: a code without further words, at every stage where it may be heard.
BARE_CODES = [
    (421, {S.GREETING: "setup pace", S.EHLO: "setup pace", S.AUTH: "setup pace", S.MAIL: "transient pace", S.RCPT: "transient pace", S.DATA: "transient pace", S.END: "transient message"}),
    (450, {S.EHLO: "setup pace", S.MAIL: "transient message", S.RCPT: "transient message", S.DATA: "transient message", S.END: "transient message"}),
    (451, {S.AUTH: "setup pace", S.MAIL: "transient message", S.RCPT: "transient message", S.DATA: "transient message", S.END: "transient message"}),
    (452, {S.MAIL: "transient message", S.RCPT: "transient message", S.END: "transient message"}),
    (454, {S.STARTTLS: "setup pace", S.AUTH: "setup pace"}),
    (455, {S.MAIL: "transient message", S.RCPT: "transient message"}),
    (500, {S.EHLO: "setup set-up", S.STARTTLS: "setup set-up", S.AUTH: "setup set-up", S.MAIL: "transient message", S.RCPT: "transient message", S.DATA: "transient message", S.END: "permanent message"}),
    (501, {S.EHLO: "setup set-up", S.AUTH: "setup set-up", S.MAIL: "permanent message", S.RCPT: "permanent message", S.DATA: "permanent message"}),
    (502, {S.EHLO: "setup set-up", S.AUTH: "setup set-up", S.MAIL: "transient message", S.RCPT: "transient message", S.DATA: "transient message"}),
    (503, {S.EHLO: "setup set-up", S.AUTH: "setup set-up", S.MAIL: "transient message", S.RCPT: "transient message", S.DATA: "transient message"}),
    (504, {S.AUTH: "setup set-up", S.MAIL: "permanent message", S.RCPT: "permanent message"}),
    (521, {S.GREETING: "setup set-up"}),
    (530, {S.MAIL: "setup set-up", S.RCPT: "setup set-up", S.DATA: "setup set-up"}),
    (534, {S.AUTH: "setup set-up"}),
    (535, {S.AUTH: "setup set-up"}),
    (538, {S.AUTH: "setup set-up", S.MAIL: "setup set-up"}),
    (550, {S.EHLO: "setup set-up", S.MAIL: "permanent message", S.RCPT: "permanent message", S.DATA: "permanent message", S.END: "permanent message"}),
    (551, {S.MAIL: "permanent message", S.RCPT: "permanent message"}),
    (552, {S.MAIL: "permanent message", S.RCPT: "transient message", S.END: "permanent message"}),
    (553, {S.MAIL: "permanent message", S.RCPT: "permanent message"}),
    (554, {S.GREETING: "setup set-up", S.MAIL: "permanent message", S.RCPT: "permanent message", S.DATA: "permanent message", S.END: "permanent message"}),
    (555, {S.MAIL: "permanent message", S.RCPT: "permanent message"}),
    (556, {S.MAIL: "permanent message", S.RCPT: "permanent message"}),
]  # fmt: skip

ERRORS_HERE = [
    (S.CONNECT, E.NAME_NOT_FOUND, "setup", "setup"),
    (S.CONNECT, E.CONNECTION_REFUSED, "setup", "setup"),
    (S.CONNECT, E.SETUP, "setup", "setup"),
    (S.CONNECT, E.TIMEOUT, "setup", "network"),
    (S.CONNECT, E.CONNECTION_LOST, "setup", "network"),
    (S.GREETING, E.TIMEOUT, "setup", "network"),
    (S.GREETING, E.NOT_SMTP, "setup", "network"),
    (S.EHLO, E.CONNECTION_LOST, "setup", "network"),
    (S.CONNECT, E.REFUSED_ADDRESS, "setup", "setup"),
    (S.STARTTLS, E.CERTIFICATE, "setup", "setup"),
    (S.STARTTLS, E.CERTIFICATE_EXPIRED, "setup", "setup"),
    (S.STARTTLS, E.CERTIFICATE_EARLY, "setup", "setup"),
    (S.STARTTLS, E.CERTIFICATE_OTHER_NAME, "setup", "setup"),
    (S.STARTTLS, E.CERTIFICATE_STRANGER, "setup", "setup"),
    (S.STARTTLS, E.TLS, "setup", "setup"),
    (S.STARTTLS, E.NO_TLS, "setup", "setup"),
    (S.STARTTLS, E.OLD_TLS, "setup", "setup"),
    (S.STARTTLS, E.CERTIFICATE_WEAK, "setup", "setup"),
    (S.STARTTLS, E.WEAK_KEY_EXCHANGE, "setup", "setup"),
    (S.STARTTLS, E.WEAK_SIGNATURE, "setup", "setup"),
    (S.STARTTLS, E.NO_COMMON_TLS, "setup", "setup"),
    (S.STARTTLS, E.WANTS_CERTIFICATE, "setup", "setup"),
    (S.STARTTLS, E.NAME_NOT_SERVED, "setup", "setup"),
    (S.STARTTLS, E.TLS_FAULT_THERE, "setup", "setup"),
    (S.STARTTLS, E.NO_STARTTLS, "setup", "setup"),
    (S.AUTH, E.NO_AUTH, "setup", "setup"),
    (S.AUTH, E.SIGN_IN_UNREACHABLE, "setup", "network"),
    (S.AUTH, E.SIGN_IN_CERTIFICATE, "setup", "setup"),
    (S.AUTH, E.SIGN_IN_SERVER, "setup", "setup"),
    (S.AUTH, E.CLIENT_SECRET, "setup", "setup"),
    (S.AUTH, E.SIGN_IN_ENDED, "setup", "setup"),
    (S.AUTH, E.SIGN_IN_RULE, "setup", "setup"),
    (S.AUTH, E.ACCOUNT_LOCKED, "setup", "setup"),
    (S.AUTH, E.APPLICATION_UNKNOWN, "setup", "setup"),
    (S.AUTH, E.CONSENT_MISSING, "setup", "setup"),
    (S.AUTH, E.SERVICE_ACCOUNT, "setup", "setup"),
    (S.AUTH, E.SIGN_IN_REFUSED, "setup", "setup"),
    (S.AUTH, E.NO_TOKEN_SIGN_IN, "setup", "setup"),
    (S.MAIL, E.CONNECTION_LOST, "transient", "network"),
    (S.RCPT, E.TIMEOUT, "transient", "network"),
    (S.DATA, E.CONNECTION_LOST, "transient", "network"),
    (S.END, E.CONNECTION_LOST, "unknown", "network"),
    (S.END, E.TIMEOUT, "unknown", "network"),
    (S.END, E.NOT_SMTP, "unknown", "network"),
    (S.PREPARE, E.CONTENT_MISSING, "permanent", "content"),
    (S.PREPARE, E.STORE_AWAY, "transient", "setup"),
    (S.PREPARE, E.BARE_LINE_END, "permanent", "content"),
    (S.PREPARE, E.NOT_PREPARED, "transient", "setup"),
    (S.PREPARE, E.UNEXPECTED, "setup", "setup"),
    (S.CONNECT, E.UNEXPECTED, "setup", "setup"),
    (S.END, E.UNEXPECTED, "unknown", "network"),
    (S.PREPARE, E.OUT_OF_FILES, "setup", "setup"),
    (S.CONNECT, E.OUT_OF_FILES, "setup", "setup"),
    (S.MAIL, E.TOO_BIG, "permanent", "content"),
    (S.MAIL, E.NO_SMTPUTF8, "permanent", "address"),
    (S.MAIL, E.NO_8BITMIME, "permanent", "content"),
    (S.MAIL, E.HEADER_NEEDS_SMTPUTF8, "permanent", "setup"),
    (S.RCPT, E.MORE_RECIPIENTS, "transient", "busy"),
]

# What is said to an access token (XOAUTH2, OAUTHBEARER) that is not taken.
TOKEN_REFUSALS = [
    ("Exchange Online", 535, "5.7.3 Authentication unsuccessful [AM6PR07CA0001.eurprd07.prod.outlook.com]", m.TOKEN_REFUSED),
    ("Exchange Online", 535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.", m.SMTP_AUTH_OFF),
    ("Exchange Online", 535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.", m.SMTP_AUTH_OFF),
    ("Exchange Online", 535, "5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.", m.SIGN_IN_RULE),
    ("Exchange Online", 535, "5.7.139 Authentication unsuccessful, user is not authorized to access this application.", m.SIGN_IN_RULE),
    ("Exchange Online", 535, "5.7.139 Authentication unsuccessful, account is locked.", m.ACCOUNT_LOCKED),
    ("Google", 535, "5.7.8 Username and Password not accepted. For more information, go to\n5.7.8 https://support.google.com/mail/?p=BadCredentials (status: 400, schemes: Bearer, scope: https://mail.google.com/)", m.TOKEN_REFUSED),
    ("Dovecot", 535, "5.7.8 Error: authentication failed: (status: invalid_token)", m.TOKEN_REFUSED),
]  # fmt: skip


@pytest.mark.parametrize(("system", "code", "text", "meaning"), TOKEN_REFUSALS)
def test_refusal_of_a_token_is_not_told_as_a_wrong_password(system, code, text, meaning):
    verdict = judge(Reply(S.AUTH, code, text, E.TOKEN_REFUSED))
    assert (verdict.outcome, verdict.scope) == ("setup", "set-up")
    assert verdict.meaning is meaning


@pytest.mark.parametrize(("system", "stage", "code", "text", "outcome", "category", "scope", "meaning"), REAL_REPLIES)
def test_reply_of_a_real_server_is_sorted(system, stage, code, text, outcome, category, scope, meaning):
    verdict = judge(Reply(stage, code, text))
    assert (verdict.outcome, verdict.category, verdict.scope) == (outcome, category, scope), verdict.meaning.key
    if meaning is not None:
        assert verdict.meaning is meaning


@pytest.mark.parametrize("heard", HEARD, ids=lambda heard: f"{heard.system} {heard.stage} {heard.code}")
def test_published_reply_of_a_server_is_sorted(heard):
    verdict = judge(Reply(heard.stage, heard.code, heard.text))
    assert (verdict.meaning.key, f"{verdict.outcome} {verdict.scope}") == (heard.meaning.key, heard.outcome)


@pytest.mark.parametrize(("stage", "code", "text", "outcome", "meaning"), WORDINGS)
def test_wording_of_the_same_kind_is_sorted_alike(stage, code, text, outcome, meaning):
    verdict = judge(Reply(stage, code, text))
    assert (verdict.meaning.key, f"{verdict.outcome} {verdict.scope}") == (meaning.key, outcome)


def test_published_replies_name_where_they_are_published():
    known = {system for system, *_ in REAL_REPLIES}
    with_source = [heard for heard in HEARD if re.fullmatch(r"https?://[^/ ]+\.[a-z]+/\S+", heard.source)]
    assert with_source == HEARD
    assert len({heard.system for heard in with_source} - known - {"unnamed"}) >= 40
    assert len({heard[1:4] for heard in HEARD}) == len(HEARD), "no reply is there twice"


def test_table_of_real_replies_is_worth_the_name():
    assert len(REAL_REPLIES) > 200
    assert len({system for system, *_ in REAL_REPLIES}) > 25
    assert len({row[1:4] for row in REAL_REPLIES}) == len(REAL_REPLIES), "no reply is there twice"


@pytest.mark.parametrize(
    ("code", "stage", "expected"), [(code, stage, told) for code, row in BARE_CODES for stage, told in row.items()]
)
def test_bare_code_is_sorted_by_stage(code, stage, expected):
    verdict = judge(Reply(stage, code))
    assert f"{verdict.outcome} {verdict.scope}" == expected, verdict.meaning.key


@pytest.mark.parametrize(("stage", "error", "outcome", "category"), ERRORS_HERE)
def test_error_of_this_machine_is_sorted(stage, error, outcome, category):
    verdict = judge(Reply(stage, None, "words", error))
    assert (verdict.outcome, verdict.category) == (outcome, category)


def test_every_line_of_the_table_makes_a_difference():
    heard = [Reply(stage, code, text) for _, stage, code, text, *_ in REAL_REPLIES]
    heard += [Reply(stage, code, text) for _, stage, code, text, *_ in HEARD]
    heard += [Reply(stage, code, text) for stage, code, text, *_ in WORDINGS]
    heard += [Reply(S.RCPT, 552, after_accepted=True)]
    heard += [Reply(stage, code) for code, row in BARE_CODES for stage in row]
    heard += [Reply(stage, None, "words", error) for stage, error, *_ in ERRORS_HERE]
    heard += [Reply(S.AUTH, code, text, E.TOKEN_REFUSED) for _, code, text, _ in TOKEN_REFUSALS]
    needed = set()
    for reply in heard:
        fitting = [line for line in TABLE if line.fits(reply)]
        by_code = "permanent" if (reply.code or 0) >= 500 else "transient"
        told = [(line.outcome or by_code, line.meaning, line.pace) for line in fitting[:2]]
        if len(told) == 1 or told[0] != told[1]:
            needed.add(TABLE.index(fitting[0]))
    idle = [line for number, line in enumerate(TABLE) if number not in needed]
    assert not idle, "a line without which nothing would be sorted otherwise is dead, shadowed or superfluous"


# --- Beyond the outcome ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "code", "text", "pace"),
    [
        (S.MAIL, 450, "4.7.1 Error: too much mail from 192.0.2.1", "minutes"),
        (S.END, 454, "Throttling failure: Maximum sending rate exceeded", "minutes"),
        (S.GREETING, 421, "4.3.2 All server ports are busy", "minutes"),
        (S.END, 454, "Throttling failure: Daily message quota exceeded", "hours"),
        (S.MAIL, 550, "5.4.5 Daily user sending limit exceeded.", "hours"),
        (S.MAIL, 421, "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints", "hours"),
        (S.RCPT, 450, "4.2.0 Greylisted", ""),
    ],
)
def test_pace_tells_minutes_from_hours(stage, code, text, pace):
    assert judge(Reply(stage, code, text)).pace == Pace(pace)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(S.RCPT, 451, "4.7.1 Greylisting in action, please come back in 00:05:00"), Kind.GREYLISTING),
        (Reply(S.RCPT, 452, "4.5.3 Error: too many recipients"), Kind.REST_AT_ONCE),
        (
            Reply(S.RCPT, 450, "4.2.1 The user you are trying to contact is receiving mail too quickly."),
            Kind.MAILBOX_BUSY,
        ),
        (Reply(S.RCPT, 452, "4.2.2 The recipient's inbox is out of storage space."), Kind.MAILBOX_FULL),
        (Reply(S.RCPT, 450, "4.1.2 <x@nope.example>: Recipient address rejected: Domain not found"), Kind.IN_DOUBT),
        (Reply(S.DATA, None, "reset by peer", E.CONNECTION_LOST), Kind.BROKEN_OFF),
        (Reply(S.RCPT, 451, "4.3.0 Temporary lookup failure"), Kind.OTHER),
    ],
)
def test_kind_names_what_deserves_gaps_of_its_own(reply, kind):
    assert judge(reply).kind == kind


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 Greylisting in action, please come back in 00:05:00", 300),
        ("Greylisted for 5 minutes", 300),
        ("4.7.1 Try again in 300 seconds", 300),
        ("4.7.0 Please retry after 15 minutes.", 900),
        ("4.7.0 rate limited, wait at least 90 sec before the next", 90),
        ("4.7.1 Please wait 2 hours", 7200),
        ("4.7.0 temporarily blocked for 24h", 86400),
        ("4.7.0 try again in 99999 hours", 86400),
        ("4.7.1 try again\n4.7.1 in 10 minutes", 600),
        ("4.7.0 try again later", 0),
        ("4.7.0 more than 100 messages in 60 seconds", 0),
        ("4.2.2 mailbox full since 3 days", 0),
        ("4.7.1 try again. The limit resets every 10 minutes", 0),
        ("4.7.1 retry in 5 parsecs", 0),
    ],
)
def test_wait_is_taken_from_what_the_server_asks_and_from_nothing_else(text, seconds):
    assert judge(Reply(S.RCPT, 451, text)).wait == timedelta(seconds=seconds)


def test_refusal_for_good_asks_for_no_wait():
    assert judge(Reply(S.RCPT, 550, "5.1.1 User unknown, try again in 300 seconds")).wait == timedelta()


@pytest.mark.parametrize(
    ("code", "text", "outcome"),
    [
        (554, "5.7.1 <x@example.com>: Relay access denied", "permanent"),
        (454, "4.7.1 <x@example.com>: Relay access denied", "transient"),
        (550, "5.4.5 Daily user sending limit exceeded.", "transient"),
        (550, "5.1.1 User unknown", "permanent"),
    ],
)
def test_where_others_are_served_a_reply_is_about_its_message_only(code, text, outcome):
    confined = judge(Reply(S.RCPT, code, text)).confined()
    assert (confined.outcome, confined.scope) == (outcome, "message")


@pytest.mark.parametrize(
    ("reply", "by_words"),
    [
        (Reply(S.RCPT, 550, "relay not permitted"), True),
        (Reply(S.RCPT, 550, "5.1.1 words that no one knows"), False),
        (Reply(S.RCPT, 550, "words that no one knows"), False),
        (Reply(S.CONNECT, None, "", E.CONNECTION_REFUSED), True),
        (Reply(S.RCPT, 250, "2.1.5 Ok"), True),
    ],
)
def test_verdict_says_whether_words_or_only_a_code_were_understood(reply, by_words):
    assert judge(reply).by_words is by_words


@pytest.mark.parametrize(
    ("text", "enhanced"),
    [
        ("5.1.1 User unknown", "5.1.1"),
        ("5.1.1. User unknown", "5.1.1"),
        ("5.1.1", "5.1.1"),
        ("#5.1.0 Address rejected.", "5.1.0"),
        ("sorry, that message size exceeds my databytes limit (#5.3.4)", "5.3.4"),
        ("5.9.12.34 blacklisted", ""),
        ("User unknown 5.1.1", ""),
        ("3.1.1 no class of ours", ""),
        ("", ""),
    ],
)
def test_enhanced_status_code_is_found_where_servers_write_it(text, enhanced):
    assert Reply(S.RCPT, 550, text).enhanced == enhanced


@pytest.mark.parametrize(
    ("stage", "text", "outcome", "meaning"),
    [
        (S.RCPT, "Kein Relaying ohne Anmeldung", "setup", m.WANTS_SIGN_IN),
        (S.RCPT, "Vous devez vous authentifier avant d’envoyer", "setup", m.WANTS_SIGN_IN),
        (S.RCPT, "Se requiere autenticación", "setup", m.WANTS_SIGN_IN),
        (S.RCPT, "Autenticazione richiesta", "setup", m.WANTS_SIGN_IN),
        (S.RCPT, "Je moet inloggen om mail te versturen", "setup", m.WANTS_SIGN_IN),
        (S.RCPT, "Wymagana autoryzacja SMTP", "setup", m.WANTS_SIGN_IN),
        (S.RCPT, "Требуется аутентификация", "setup", m.WANTS_SIGN_IN),
        (S.RCPT, "需要身份验证", "setup", m.WANTS_SIGN_IN),
        (S.RCPT, "認証が必要です", "setup", m.WANTS_SIGN_IN),
        (S.RCPT, "Relay não permitido", "setup", m.NO_RELAY),
        (S.RCPT, "Relais refusé", "setup", m.NO_RELAY),
        (S.END, "Absenderadresse gehört nicht zu Ihrem Konto", "setup", m.FROM_NOT_ALLOWED),
        (S.MAIL, "Expéditeur non autorisé", "setup", m.FROM_NOT_ALLOWED),
        (S.END, "Verschlüsselung erforderlich", "setup", m.WANTS_TLS),
        (S.AUTH, "Konto gesperrt", "setup", m.ACCOUNT_LOCKED),
        (S.AUTH, "Compte verrouillé", "setup", m.ACCOUNT_LOCKED),
        (S.END, "Votre compte a été suspendu", "setup", m.ACCOUNT_BARRED),
        (S.END, "Tageslimit für den Versand überschritten", "transient", m.QUOTA),
        (S.END, "Vous avez dépassé votre quota d'envoi horaire", "transient", m.QUOTA),
        (S.END, "Se ha superado el límite de envíos por hora", "transient", m.QUOTA),
        (S.RCPT, "Das Postfach des Empfängers ist voll", "transient", m.MAILBOX_FULL),
        (S.RCPT, "La boîte aux lettres est pleine", "transient", m.MAILBOX_FULL),
        (S.RCPT, "Buzón lleno", "transient", m.MAILBOX_FULL),
        (S.RCPT, "La casella di posta è piena", "transient", m.MAILBOX_FULL),
        (S.RCPT, "A caixa postal está cheia", "transient", m.MAILBOX_FULL),
        (S.RCPT, "Skrzynka pełna", "transient", m.MAILBOX_FULL),
        (S.RCPT, "Почтовый ящик переполнен", "transient", m.MAILBOX_FULL),
        (S.RCPT, "邮箱已满", "transient", m.MAILBOX_FULL),
        (S.RCPT, "El usuario no existe", "permanent", m.NO_MAILBOX),
        (S.RCPT, "Пользователь не найден", "permanent", m.NO_MAILBOX),
        (S.RCPT, "Gebruiker onbekend", "permanent", m.NO_MAILBOX),
    ],
)
def test_reply_in_another_language_is_sorted(stage, text, outcome, meaning):
    verdict = judge(Reply(stage, 550, text))
    assert (verdict.outcome, verdict.meaning, verdict.by_words) == (outcome, meaning, True)


@pytest.mark.parametrize(
    ("stage", "text", "meaning"),
    [
        (S.RCPT, "5.1.1 User account is locked", m.MOVED),
        (S.RCPT, "No such user; must check the address", m.NO_MAILBOX),
        (S.RCPT, "5.7.1 TLS required by recipient", m.UNWANTED),
        (S.END, "Your message looks like spam. Please authenticate your mail with DKIM", m.SENDER_UNPROVEN),
        (S.RCPT, "5.7.1 Message blocked by policy", m.UNWANTED),
        (S.RCPT, "5.2.1 user not logged in for 90 days", m.MOVED),
        (S.END, "Blocked: spam, links to a site without SSL", m.SPAM),
        (S.END, "Message rejected: please use a smaller attachment", m.BAD_ATTACHMENT),
    ],
)
def test_words_alike_about_one_message_pause_nothing(stage, text, meaning):
    verdict = judge(Reply(stage, 550, text))
    assert (verdict.outcome, verdict.scope, verdict.meaning) == ("permanent", "message", meaning)


@pytest.mark.parametrize(
    ("code", "after_accepted", "meaning"),
    [
        (552, True, m.REST_LATER),
        (552, False, m.MAILBOX_FULL),
        (452, True, m.REST_LATER),
    ],
)
def test_bare_code_tells_too_many_recipients_only_after_accepted_ones(code, after_accepted, meaning):
    verdict = judge(Reply(S.RCPT, code, "", after_accepted=after_accepted))
    assert (verdict.outcome, verdict.meaning) == ("transient", meaning)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5.7.1 You don’t relay\n5.7.1 “here”", 'You don\'t relay "here"'),
        ("Bo\\xeete pleine", "Boite pleine"),
        ("Boîte pleine", "Boite pleine"),
        ('See <a href="https://mail.example/relay?x=1">help</a> now', "See help now"),
        ("<a@mail.example>: unknown", "<(address)>: unknown"),
    ],
)
def test_words_of_a_reply_are_plain(text, words):
    assert Reply(S.RCPT, 550, text).words == words


# --- Whatever is heard -------------------------------------------------------------------------------

# Words of the table itself, shuffled, reach its lines far more often than random text does.
WORDS = sorted(
    {word for text in [row[3] for row in REAL_REPLIES] + [heard.text for heard in HEARD] for word in text.split()}
)
texts = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
enhanced_codes = st.builds("{}.{}.{} ".format, st.integers(2, 5), st.integers(0, 9), st.integers(0, 999))
errors = st.one_of(st.none(), st.sampled_from(LocalError))
replies = st.builds(
    Reply,
    stage=st.sampled_from(Stage),
    code=st.one_of(st.none(), st.integers(200, 599)),
    text=st.builds("{}{}".format, st.one_of(st.just(""), enhanced_codes), texts),
    error=errors,
)


@given(replies)
def test_whatever_is_heard_gets_a_verdict_that_fits_its_columns(reply):
    verdict = judge(reply)
    assert verdict.outcome in AttemptOutcome
    assert verdict.reason == Phrase(verdict.meaning.key), "a row keeps the meaning and no words"
    assert in_words(verdict.reason) == verdict.meaning.explanation
    attempt = SendAttempt._meta
    assert len(verdict.outcome) <= attempt.get_field("outcome").max_length
    assert len(verdict.category) <= attempt.get_field("category").max_length
    assert len(reply.enhanced) <= min(
        attempt.get_field("enhanced_code").max_length, Recipient._meta.get_field("enhanced_code").max_length
    )
    assert timedelta() <= verdict.wait <= timedelta(days=1)
    if verdict.outcome != "accepted":
        assert verdict.category in Category
        assert advice(verdict.reason)


@given(replies)
def test_whatever_is_heard_keeps_to_the_rules(reply):
    verdict = judge(reply)
    if reply.stage == S.END and reply.error:
        assert verdict.outcome == "unknown"
    if reply.stage in OPENING:
        assert verdict.outcome == "setup", "nothing heard before MAIL is about a message"
    if verdict.outcome == "accepted":
        assert 200 <= reply.code < 300
        assert not reply.error
    if verdict.outcome == "permanent" and not reply.error:
        assert reply.code >= 500
    if verdict.outcome == "unknown":
        assert reply.stage == S.END
        assert reply.error or reply.code is None or reply.code < 400
    assert (verdict.scope == Scope.PACE) == bool(verdict.pace)
    if verdict.scope == Scope.PACE:
        assert verdict.outcome in ("transient", "setup"), "our pace costs no message"
        assert verdict.category == "busy"
    else:
        assert (verdict.scope == Scope.SETUP) == (verdict.outcome == "setup")
    assert verdict.confined().scope == Scope.MESSAGE
    assert verdict.confined().outcome != "setup"


def test_each_meaning_has_a_key_of_its_own():
    meanings = {id(found): found for found in vars(m).values() if isinstance(found, m.Meaning)}
    assert sorted(found.key for found in meanings.values()) == sorted(MEANINGS)
    assert all(line.meaning is MEANINGS[line.meaning.key] for line in TABLE)


def test_words_can_be_read_by_office_staff():
    for line in TABLE:
        for words in (line.meaning.explanation, line.meaning.advice):
            assert words.endswith(".")
            assert "'" not in words
            assert '"' not in words
        assert ". " not in line.meaning.explanation, "one sentence says what is the matter"
        assert not re.search(r"\b(MAIL|RCPT|DATA|EHLO|relay|transient|permanent|IP)\b", line.meaning.explanation)
