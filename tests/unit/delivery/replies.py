"""Replies of real servers in their own words, each with where it is published, and what it means to us.

Addresses, hosts and ids in them are made up; the words are the servers'.
"""

from typing import NamedTuple

from messaging.delivery.outcomes import meanings as m
from messaging.delivery.outcomes.meanings import Meaning
from messaging.delivery.outcomes.reply import Stage as S

BOUNCES = "https://github.com/sisimai/set-of-emails/blob/HEAD/maildir/bsd/"
CODES = "https://github.com/fm/smtp-codes/blob/HEAD/data/codes/"
MANUAL = "https://github.com/ActiveCampaign/smtp-field-manual/blob/HEAD/data/codes/"
SISIMAI = "https://github.com/sisimai/p5-sisimai/blob/HEAD/lib/Sisimai/"
STALWART = "https://github.com/stalwartlabs/stalwart/blob/HEAD/crates/smtp/src/inbound/"
MICROSOFT_NDR = (
    "https://learn.microsoft.com/en-us/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online/"
    "non-delivery-reports-in-exchange-online"
)
EXCHANGE_SMTP = (
    "https://learn.microsoft.com/en-us/exchange/mail-flow-best-practices/"
    "fix-issues-with-printers-scanners-and-lob-applications-that-send-email-using-off"
)
JAMES = (
    "https://github.com/apache/james-project/blob/HEAD/protocols/smtp/src/main/java/org/apache/james/protocols/smtp/"
    "core/AbstractAuthRequiredToRelayRcptHook.java"
)
COURIER = "https://github.com/svarshavchik/courier/blob/HEAD/courier/courier/module.esmtp/courieresmtpd.C"
COREMAIL = "https://blog.sina.com.cn/s/blog_8dc13ec50101fxxr.html"
ZONE = "https://github.com/zone-eu/zone-mta/blob/HEAD/config/bounces.txt"

SETUP, PACE, DEAD, LATER = "setup set-up", "transient pace", "permanent message", "transient message"
KNOCKED = "setup pace"  # our pace, told before MAIL


class Heard(NamedTuple):
    """What was heard from which system and at which stage; `outcome` is outcome and scope."""

    system: str
    stage: S
    code: int
    text: str
    outcome: str
    meaning: Meaning
    source: str


# fmt: off
HEARD = [
    # --- Our set-up: sign in, or be allowed to relay
    Heard("cPanel", S.RCPT, 550, "Please turn on SMTP Authentication in your mail client.\n(host) [192.0.2.1]:50000 is not permitted to relay through this server\nwithout authentication.", SETUP, m.WANTS_SIGN_IN, "https://bobcares.com/blog/2-reasons-for-550-please-turn-on-smtp-authentication-error-in-cpanel-exchange-servers/"),
    Heard("MessageLabs", S.RCPT, 550, "Please turn on SMTP Authentication in your mail client.\nmail0.bemta0.messagelabs.com [198.51.100.21]:22222 is not permitted to\nrelay through this server without authentication.", SETUP, m.WANTS_SIGN_IN, BOUNCES + "rhost-messagelabs-01.eml"),
    Heard("MessageLabs", S.RCPT, 553, "you are trying to use me [server-1.messagelabs.com] as a relay, but I have not been configured to let you [192.0.2.1, example.com] do this. (#5.7.1)", SETUP, m.NO_RELAY, CODES + "553.json"),
    Heard("mailcow", S.RCPT, 550, "smtp auth required", SETUP, m.WANTS_SIGN_IN, "https://github.com/mailcow/mailcow/issues/318"),
    Heard("unnamed", S.MAIL, 550, "Authentication is required for relay", SETUP, m.WANTS_SIGN_IN, "https://github.com/4IceG/luci-app-sms-tool-js/issues/45"),
    Heard("MXroute", S.RCPT, 550, "Authentication Required", SETUP, m.WANTS_SIGN_IN, CODES + "550.json"),
    Heard("MXroute", S.RCPT, 550, "Unauthenticated mail not allowed from this range", SETUP, m.WANTS_SIGN_IN, CODES + "550.json"),
    Heard("La Poste", S.RCPT, 550, "5.5.0 Authentification requise. Authentication Required. LPN105_402", SETUP, m.WANTS_SIGN_IN, SISIMAI + "Rhost/FrancePTT.pm"),
    Heard("IONOS", S.RCPT, 550, "must be authenticated", SETUP, m.WANTS_SIGN_IN, "https://www.ionos.com/help/email/troubleshooting-mail-basicmail-business/error-messages-caused-by-undeliverable-email/"),
    Heard("Stalwart", S.MAIL, 503, "5.5.1 You must authenticate first.", SETUP, m.WANTS_SIGN_IN, STALWART + "mail.rs"),
    Heard("Stalwart", S.RCPT, 550, "5.1.2 Relay not allowed.", SETUP, m.NO_RELAY, STALWART + "rcpt.rs"),
    Heard("Haraka", S.MAIL, 550, "Authentication required", SETUP, m.WANTS_SIGN_IN, "https://github.com/haraka/Haraka/blob/HEAD/connection.js"),
    Heard("iRedAPD", S.RCPT, 554, "5.7.1 <x@example.com>: Recipient address rejected: SMTP AUTH is required for users under this sender domain", SETUP, m.WANTS_SIGN_IN, "https://github.com/iredmail/iRedAPD/blob/HEAD/libs/__init__.py"),
    Heard("James", S.RCPT, 550, "5.7.1 Requested action not taken: relaying denied", SETUP, m.NO_RELAY, JAMES),
    Heard("Courier", S.MAIL, 535, "Authentication required.", SETUP, m.WANTS_SIGN_IN, COURIER),
    Heard("DavMail", S.MAIL, 530, "Authentication required", SETUP, m.WANTS_SIGN_IN, "https://github.com/mguessan/davmail/blob/HEAD/src/java/davmail/smtp/SmtpConnection.java"),
    Heard("Postfix", S.RCPT, 501, "Rcpt-To validation failed: RCPT TO not accepted: 5.7.1 This system is not configured to relay mail (r) from <a@example.com> to <x@example.jp> for 127.0.0.1", SETUP, m.NO_RELAY, BOUNCES + "lhost-postfix-44.eml"),
    Heard("sendmail 5", S.RCPT, 550, "Insecure Mail Relay", SETUP, m.NO_RELAY, BOUNCES + "lhost-v5sendmail-06.eml"),
    Heard("ImprovMX", S.RCPT, 550, "5.1.3 Relay not permitted. (#id-5.9.2)", SETUP, m.NO_RELAY, CODES + "550.json"),
    Heard("Infomaniak", S.RCPT, 554, "5.7.1 Relay access denied", SETUP, m.NO_RELAY, CODES + "554.json"),
    Heard("Titan", S.RCPT, 554, "5.7.1 <user@example.com>: Relay access denied;", SETUP, m.NO_RELAY, CODES + "554.json"),
    Heard("Yahoo", S.RCPT, 550, "relaying denied for <x@example.com>", SETUP, m.NO_RELAY, CODES + "550.json"),
    Heard("Fastmail", S.RCPT, 554, "<x@example.net>: Recipient address rejected: Relay access denied", SETUP, m.NO_RELAY, "https://www.fastmail.com/help/send/undeliverable.html"),
    Heard("unnamed", S.RCPT, 553, "host denies relay.", SETUP, m.NO_RELAY, COREMAIL),
    Heard("unnamed", S.RCPT, 550, "we don't handle mail for example.com", SETUP, m.NO_RELAY, SISIMAI + "Reason/NoRelaying.pm"),
    Heard("unnamed", S.RCPT, 550, "not an open relay, so get lost", SETUP, m.NO_RELAY, SISIMAI + "Reason/NoRelaying.pm"),
    Heard("unnamed", S.RCPT, 553, "sorry, you don't authenticate or the domain isn't in my list of allowed rcpthosts", SETUP, m.NO_RELAY, SISIMAI + "Reason/SecurityError.pm"),
    Heard("unnamed", S.RCPT, 550, "You are not authorized to send mail, authentication is required", SETUP, m.WANTS_SIGN_IN, SISIMAI + "Reason/SecurityError.pm"),
    Heard("unnamed", S.RCPT, 550, "authentication turned on in your email client", SETUP, m.WANTS_SIGN_IN, SISIMAI + "Reason/SecurityError.pm"),
    Heard("unnamed", S.RCPT, 550, "authentication credentials invalid", SETUP, m.WANTS_SIGN_IN, SISIMAI + "Reason/SecurityError.pm"),
    Heard("Orange", S.MAIL, 550, "Authentification invalide. OFR_305 [305]", SETUP, m.WANTS_SIGN_IN, SISIMAI + "Reason/SecurityError.pm"),
    Heard("Coremail", S.RCPT, 553, "relay check local fail.", SETUP, m.NO_RELAY, COREMAIL),
    Heard("Coremail", S.RCPT, 554, "openrelay check.", SETUP, m.NO_RELAY, COREMAIL),
    Heard("Coremail", S.MAIL, 555, "helohost error.", SETUP, m.OUR_NAME, COREMAIL),
    Heard("Coremail", S.RCPT, 556, "remote ip check error.", SETUP, m.MACHINE_REFUSED, COREMAIL),
    Heard("unnamed", S.RCPT, 550, "<jemand@example.com>... Forwarding Denied", SETUP, m.NO_RELAY, "https://bazoat.bar/article/i-get-a-550-553-or-relay-prohibited-error-when-sending-email-messages"),
    # --- Our set-up: encryption
    Heard("Exchange Online", S.MAIL, 451, "5.7.3 STARTTLS is required to send mail", SETUP, m.WANTS_TLS, "https://github.com/nedimf/maildroid/issues/29"),
    Heard("AOL", S.MAIL, 503, "Bad sequence of commands (TLS required)", SETUP, m.WANTS_TLS, "https://github.com/PHPMailer/PHPMailer/issues/767"),
    Heard("Exim", S.RCPT, 550, "TLS encryption or CRAM-MD5 required", SETUP, m.WANTS_TLS, "https://github.com/Exim/exim/blob/HEAD/doc/doc-docbook/spec.xfpt"),
    Heard("Amazon SES", S.RCPT, 550, "5.7.1 TLS required by recipient", DEAD, m.UNWANTED, "https://github.com/mozilla/fx-private-relay/issues/757"),
    Heard("SendGrid", S.RCPT, 550, "TLS required but not supported", DEAD, m.ROUTE_BROKEN, SISIMAI + "Reason/SecurityError.pm"),
    # --- Our set-up: signing in
    Heard("Exchange Online", S.AUTH, 550, "5.7.30 Basic authentication is not supported for Client Submission.", SETUP, m.PASSWORDS_OFF, "https://github.com/OpenCTI-Platform/opencti/issues/12069"),
    Heard("Exchange Online", S.AUTH, 535, "5.7.139 Authentication unsuccessful, Account Locked.", SETUP, m.ACCOUNT_LOCKED, "https://github.com/gophish/gophish/issues/2910"),
    Heard("Exchange Online", S.AUTH, 535, "5.7.139 Autenticação malsucedida, a solicitação não atendeu aos critérios para ser autenticada com sucesso. Entre em contato com seu administrador.", SETUP, m.WRONG_PASSWORD, "https://github.com/gophish/gophish/issues/3220"),
    Heard("Exchange Online", S.AUTH, 535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.", SETUP, m.M365_SIGN_IN_OFF, "https://docs.bookyourpto.com/features/smtp-troubleshoot"),
    Heard("Zoho", S.AUTH, 554, "5.1.8 Sender Address Blocked", SETUP, m.ACCOUNT_BARRED, "https://help.zoho.com/portal/en/community/topic/issue-with-outgoing-mail"),
    Heard("QQ", S.AUTH, 535, "Login Fail. Please enter your authorization code to login. More information in http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=28&&no=1001256", SETUP, m.APP_PASSWORD, "https://github.com/YMFE/yapi/issues/2219"),
    Heard("QQ", S.AUTH, 535, r"Error: \xc7\xeb\xca\xb9\xd3\xc3\xca\xda\xc8\xa8\xc2\xeb\xb5\xc7\xc2\xbc\xa1\xa3\xcf\xea\xc7\xe9\xc7\xeb\xbf\xb4: http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=28&&no=1001256", SETUP, m.APP_PASSWORD, "https://github.com/pandolia/qqbot/issues/221"),
    Heard("Tiscali", S.AUTH, 535, "5.7.0 authentication rejected: your password is too simple", SETUP, m.NEW_PASSWORD, "https://github.com/MailCore/mailcore2/pull/1517"),
    Heard("Brevo", S.AUTH, 535, "5.7.0 Invalid login or password", SETUP, m.WRONG_PASSWORD, "https://github.com/marcpope/borgbackupserver/issues/16"),
    Heard("JetEmail", S.AUTH, 535, "IP not authorized", SETUP, m.MACHINE_REFUSED, "https://support.jetemail.com/outbound/smtp-error-codes/535-IP-not-authorized"),
    Heard("GoDaddy", S.AUTH, 535, "Authentication not allowed on IBSMTP Servers. IB401", SETUP, m.SIGN_IN_NOT_THERE, SISIMAI + "Rhost/GoDaddy.pm"),
    Heard("Yahoo", S.AUTH, 535, "5.7.0 (#AUTH005) Too many bad auth attempts.", KNOCKED, m.COME_BACK, "https://github.com/mageplaza/magento-2-smtp/issues/271"),
    Heard("unnamed", S.AUTH, 535, "auth failed (this user authenticate too many times)", KNOCKED, m.COME_BACK, "https://github.com/nodemailer/nodemailer/issues/1350"),
    Heard("Emailit", S.AUTH, 454, "Temporary authentication failure", KNOCKED, m.COME_BACK, "https://emailit.com/docs/smtp/troubleshooting/"),
    # --- Our set-up: the From address is not ours
    Heard("Zoho", S.END, 553, "Relaying disallowed as office@sender.example", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/frappe/erpnext/issues/19057"),
    Heard("Zoho", S.RCPT, 553, "Relaying disallowed as office@sender.example", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/mattermost/mattermost/issues/13224"),
    Heard("ZeptoMail", S.RCPT, 553, "Relaying disallowed as <a@sender.example>.", SETUP, m.FROM_NOT_ALLOWED, "https://www.zoho.com/zeptomail/help/api/smtp-error-codes.html"),
    Heard("Zoho", S.END, 553, "Relaying disallowed", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/odoo/odoo/issues/1493"),
    Heard("Exchange Online", S.END, 550, "5.7.60 SMTP; Client does not have permissions to send as this sender [MW2PR1901MB2155.namprd19.prod.outlook.com]", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/swiftmailer/swiftmailer/issues/1030"),
    Heard("Exchange", S.MAIL, 550, "5.7.1 Client does not have permissions to send as this sender", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/nodemailer/nodemailer/issues/145"),
    Heard("Yandex", S.MAIL, 553, "5.7.1 Sender address rejected: not owned by auth user.", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/splitbrain/dokuwiki-plugin-smtp/issues/38"),
    Heard("docker-mailserver", S.RCPT, 553, "5.7.1 <root@mail2.example.com>: Sender address rejected: not owned by user relay@example.com", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/docker-mailserver/docker-mailserver/issues/3824"),
    Heard("nixos-mailserver", S.RCPT, 553, "5.7.1 <user2@example.com>: Sender address rejected: not owned by user user2@example.com", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/r-raymond/nixos-mailserver/issues/9"),
    Heard("goneo", S.RCPT, 553, "mail@example.com: Sender address rejected: not owned by user ihre-e-mail@beigoneo.de", SETUP, m.FROM_NOT_ALLOWED, "https://goneo.de/hilfe/email/fehlermeldungen"),
    Heard("La Poste", S.MAIL, 550, "5.5.3 Mail from not owned by user. LPN105_421.", SETUP, m.FROM_NOT_ALLOWED, SISIMAI + "Rhost/FrancePTT.pm"),
    Heard("Haraka", S.MAIL, 550, "Envelope domain 'sender.example' doesn't match AUTH domain 'other.example'", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/haraka/Haraka/blob/HEAD/plugins/auth/auth_base.js"),
    Heard("Stalwart", S.MAIL, 501, "5.5.4 You are not allowed to send from this address.", SETUP, m.FROM_NOT_ALLOWED, STALWART + "mail.rs"),
    Heard("Stalwart", S.MAIL, 550, "5.7.1 Sender address not allowed.", SETUP, m.FROM_NOT_ALLOWED, STALWART + "mail.rs"),
    Heard("iRedAPD", S.RCPT, 554, "5.7.1 <x@example.com>: Recipient address rejected: Sender is not same as SMTP authenticate username", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/iredmail/iRedAPD/blob/HEAD/libs/__init__.py"),
    Heard("Yandex", S.END, 550, "5.7.0 Sender or From header address rejected: not owned by authorized user", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/marlam/msmtp/issues/69"),
    Heard("Postmark", S.END, 422, "Invalid 'From' address: 'sender@example.com' is not a verified sender signature.", SETUP, m.FROM_NOT_ALLOWED, "https://postmarkapp.com/support/article/troubleshooting-422-unprocessable-entity-errors"),
    Heard("SparkPost", S.END, 550, "5.7.1 Unconfigured Sending Domain <mapzen.example>", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/transitland/transitland-datastore/issues/1231"),
    Heard("Brevo", S.END, 550, "From header is missing, header is not RFC 5322 compliant", DEAD, m.FAULTY_FORM, "https://github.com/bass3l/strapi-provider-email-smtp/issues/4"),
    Heard("unnamed", S.MAIL, 550, "You are not allowed to use the domain hotmail.com as a sender domain.", SETUP, m.FROM_NOT_ALLOWED, "https://github.com/PHPMailer/PHPMailer/issues/304"),
    Heard("Rackspace", S.RCPT, 550, "5.1.0 Sender is not allowed to send from example.com", SETUP, m.FROM_NOT_ALLOWED, CODES + "550.json"),
    Heard("Forpsi", S.MAIL, 550, "5.1.0 <john.smith@domain.example> sender rejected", DEAD, m.BAD_SENDER, "https://support.konto.pl/kb/a2164/blad-5_1_0.aspx"),
    Heard("Spectrum", S.MAIL, 550, "5.1.0 <a@sender.example> sender rejected. Please see https://www.spectrum.net/support/internet/understanding-email-error-codes for more information. AUP#In-1310", DEAD, m.BAD_SENDER, BOUNCES + "rhost-spectrum-01.eml"),
    Heard("Mail.ru", S.MAIL, 501, "5.1.8 Sender address rejected", DEAD, m.BAD_SENDER, BOUNCES + "lhost-mailru-09.eml"),
    # --- The account is barred
    Heard("Outlook.com", S.END, 554, "5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message due to a permanent exception with message WASCL UserAction verdict is not None. Actual verdict is RefuseQuota, ShowTierUpgrade. OutboundSpamException: WASCL UserAction verdict is not None. [Hostname=VI1PR05MB5405.eurprd05.prod.outlook.com]", SETUP, m.ACCOUNT_BARRED, "https://github.com/Youans/nodejs-nodemailer-outlook/issues/11"),
    Heard("Exchange Online", S.RCPT, 550, "5.1.8 Access denied, bad outbound sender", SETUP, m.ACCOUNT_BARRED, MICROSOFT_NDR),
    Heard("Zoho", S.END, 554, "5.1.8 Email Outgoing Blocked", SETUP, m.ACCOUNT_BARRED, "https://help.zoho.com/portal/en/community/topic/554-5-1-8-email-outgoing-blocked-13-11-2017"),
    Heard("Mail.ru", S.RCPT, 550, "message sending for this account is disabled", SETUP, m.ACCOUNT_BARRED, "https://mailout.ru/2015/09"),
    Heard("Mailgun", S.END, 421, "Domain example.com is not allowed to send: Account Terminated", SETUP, m.ACCOUNT_BARRED, "https://help.kyriossystems.com/en/articles/13613564-email-errors-mailgun-google-workspace"),
    Heard("SMTP2GO", S.MAIL, 550, "that SMTP username's account is not allowed to send", SETUP, m.ACCOUNT_BARRED, "https://support.smtp2go.com/hc/en-gb/articles/360015283053-550-that-SMTP-username-s-account-is-not-allowed-to-send"),
    Heard("MailChannels", S.END, 550, "5.7.1 [SB01] Your email address has been blocked due to complaints", SETUP, m.ACCOUNT_BARRED, "https://support.mailchannels.com/hc/en-us/articles/202222810-Fixing-the-550-5-7-1-SB01-error"),
    # --- This machine is barred
    Heard("Exchange Online", S.END, 550, "5.7.708 Service unavailable. Access denied, traffic not accepted from this IP", SETUP, m.MACHINE_BLOCKED, MICROSOFT_NDR),
    Heard("Exchange Online", S.END, 550, "5.7.511 Access denied, banned sender", SETUP, m.MACHINE_BLOCKED, MICROSOFT_NDR),
    Heard("GMX", S.RCPT, 550, "<x@example.com>: IP address is block listed", SETUP, m.MACHINE_BLOCKED, CODES + "550.json"),
    Heard("GMX", S.GREETING, 554, "mail.com (mxgmxus002) Nemesis ESMTP Service not available\nNo SMTP service\nBad DNS PTR resource record.\nFor explanation visit http://postmaster.gmx.com/en/error-messages?ip=192.0.2.22&c=rdns", SETUP, m.NO_REVERSE_NAME, BOUNCES + "lhost-postfix-60.eml"),
    Heard("T-Online", S.GREETING, 554, "IP=192.0.2.1 - None/bad reputation. Ask your postmaster for help or to contact postmaster@rx.t-online.de for reset. (NOWL)", SETUP, m.MACHINE_BLOCKED, "https://timmehosting.de/leitfaden-wenn-t-online-e-mails-blockiert-ursachen-und-loesungen"),
    Heard("T-Online", S.RCPT, 554, "IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.) (BL)", SETUP, m.MACHINE_BLOCKED, ZONE),
    Heard("EarthLink", S.MAIL, 550, "IP 192.0.2.212 is blocked by EarthLink. Go to earthlink.net/block for details.", SETUP, m.MACHINE_BLOCKED, "https://pastebin.com/mt8MbFRM"),
    Heard("AT&T", S.RCPT, 553, "5.3.0 flph825 DNSBL:ATTRBL 521< 192.0.2.1 >_is_blocked.For assistance forward this email to abuse@example.com", SETUP, m.MACHINE_BLOCKED, ZONE),
    Heard("Orange", S.GREETING, 550, "mwinf5c04 ME Adresse IP source bloquee pour incident de spam. Client host blocked for spamming issues. OFR006_102", SETUP, m.MACHINE_BLOCKED, BOUNCES + "rhost-franceptt-06.eml"),
    Heard("Trend Micro", S.END, 550, "Service unavailable; Client Host [192.0.2.1] blocked using Trend Micro RBL+. Please see http://www.mail-abuse.com/cgi-bin/lookup?ip_address=192.0.2.1", SETUP, m.MACHINE_BLOCKED, ZONE),
    Heard("Google", S.END, 550, "5.7.1 [192.0.2.22      18] Our system has detected that this message is\n5.7.1 likely suspicious due to the very low reputation of the sending IP\n5.7.1 address. To best protect our users from spam, the message has been\n5.7.1 blocked.", SETUP, m.MACHINE_BLOCKED, BOUNCES + "lhost-postfix-58.eml"),
    Heard("La Poste", S.RCPT, 554, "5.7.1 <host.example[192.0.2.1]:49309>: Client host rejected: #216 lpn LPN000_630", SETUP, m.MACHINE_REFUSED, BOUNCES + "rhost-franceptt-12.eml"),
    Heard("Mimecast", S.RCPT, 554, "Host network not allowed - https://community.mimecast.com/docs/DOC-1369#554", SETUP, m.MACHINE_REFUSED, CODES + "554.json"),
    Heard("unnamed", S.RCPT, 550, "5.7.0 <x@example.jp>... Please use the smtp server of your ISP.", SETUP, m.MACHINE_REFUSED, SISIMAI + "Reason/Blocked.pm"),
    Heard("Rackspace", S.GREETING, 450, "4.7.1 Client host 192.0.2.1 has no PTR record (G1F)", SETUP, m.NO_REVERSE_NAME, CODES + "450.json"),
    Heard("Exim", S.MAIL, 554, "5.7.1 Reverse DNS failed.", SETUP, m.NO_REVERSE_NAME, BOUNCES + "lhost-exim-34.eml"),
    Heard("Proofpoint", S.END, 550, "5.7.1 Service unavailable; client [192.0.2.1] blocked using prs.proofpoint.com", SETUP, m.MACHINE_BLOCKED, CODES + "550.json"),
    Heard("Outlook.com", S.END, 550, "5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150). You can also refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors.", SETUP, m.MACHINE_BLOCKED, CODES + "550.json"),
    Heard("GoDaddy", S.END, 554, "IB104. Connection refused. 192.0.2.1 is listed on the Spamhaus Block List (SBL). Please visit http://www.spamhaus.org/sbl for more information or to request a delisting.", SETUP, m.MACHINE_BLOCKED, CODES + "554.json"),
    Heard("Microsoft", S.RCPT, 550, "not currently accepting mail from your ip", SETUP, m.MACHINE_BLOCKED, SISIMAI + "Reason/Blocked.pm"),
    Heard("Free", S.RCPT, 550, "too many spams from your IP (192.0.2.1), please visit http://postmaster.free.fr/", SETUP, m.MACHINE_BLOCKED, SISIMAI + "Reason/Blocked.pm"),
    Heard("sendmail", S.RCPT, 554, "Rejecting open proxy example.net [192.0.2.1]", SETUP, m.MACHINE_BLOCKED, SISIMAI + "Reason/Blocked.pm"),
    Heard("unnamed", S.RCPT, 550, "sender ip address rejected", SETUP, m.MACHINE_BLOCKED, SISIMAI + "Reason/Blocked.pm"),
    Heard("unnamed", S.RCPT, 550, "server access forbidden by your ip 192.0.2.1", SETUP, m.MACHINE_BLOCKED, SISIMAI + "Reason/Blocked.pm"),
    Heard("unnamed", S.RCPT, 550, "no access from mail server 192.0.2.1", SETUP, m.MACHINE_BLOCKED, SISIMAI + "Reason/Blocked.pm"),
    Heard("unnamed", S.MAIL, 550, "Sorry, no access for this ip", SETUP, m.MACHINE_BLOCKED, "http://www.icglink.net/cgi-bin/icglink/helpdesk/kb.cgi?view=73&lang=en"),
    Heard("sendmail", S.RCPT, 450, "4.7.1 Access denied. IP name lookup failed [192.0.2.222]", SETUP, m.NO_REVERSE_NAME, BOUNCES + "lhost-sendmail-08.eml"),
    Heard("Google", S.RCPT, 550, "the corresponding forward dns entry does not point to the sending ip", SETUP, m.NO_REVERSE_NAME, SISIMAI + "Reason/RequirePTR.pm"),
    # --- Our pace
    Heard("cPanel", S.RCPT, 550, "Domain sender.example has exceeded the max defers and failures per hour (5/5 (100%)) allowed. Message discarded.", PACE, m.QUOTA, "https://support.cpanel.net/hc/en-us/articles/360049231233-The-exceeded-the-max-defers-and-failures-per-hour-message"),
    Heard("GoDaddy", S.RCPT, 550, "5.1.1 <x@example.com>  - 198.51.100.225 has sent to too many recipients this hour. IB607  <http://x.co/rlbounce>", PACE, m.QUOTA, BOUNCES + "rhost-godaddy-03.eml"),
    Heard("GoDaddy", S.MAIL, 550, "192.0.2.1> This IP has sent too many messages this hour. IB504", PACE, m.QUOTA, CODES + "550.json"),
    Heard("GoDaddy", S.RCPT, 554, "192.0.2.1 has been temporarily blocked for attempting to mail too many invalid recipients. IB112", PACE, m.HELD_BACK, CODES + "554.json"),
    Heard("Prolateral outMail", S.RCPT, 554, "5.7.1 <x@example.com>: Recipient address rejected: You have exceeded your Outmail quota.", PACE, m.QUOTA, "https://support.prolateral.com/index.php?/Knowledgebase/Article/View/187/35/what-does-smtp-554-571-mean"),
    Heard("Emailit", S.MAIL, 452, "4.5.3 Daily message limit exceeded", PACE, m.QUOTA, "https://emailit.com/docs/smtp/troubleshooting/"),
    Heard("Emailit", S.MAIL, 452, "4.4.5 Messages per second limit exceeded", PACE, m.COME_BACK, "https://emailit.com/docs/smtp/troubleshooting/"),
    Heard("postfwd", S.RCPT, 554, "5.7.1 <x@example.com>: Recipient address rejected: Number recipients per hour exceeded", PACE, m.QUOTA, "https://git.oopen.de/install/mailsystem/raw/commit/3eb53b54635f88f84864097f58bd10ab58a94c61/DOC/postfwd/README.default-rate-limits"),
    Heard("QQ", S.END, 550, "Ip frequency limited [V2VkIEFwciAgMyAxNjozNjo1OSBKU1QgMjAxOQo= Blocked IP 192.0.2.22]. http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000725", PACE, m.QUOTA, BOUNCES + "rhost-tencent-01.eml"),
    Heard("QQ", S.MAIL, 550, "Sender frequency limited.", PACE, m.QUOTA, CODES + "550.json"),
    Heard("NetEase 163", S.MAIL, 451, "MI:SFQ", PACE, m.QUOTA, "https://biecuoliao.com/pa/MBRrwEM.html"),
    Heard("Exim", S.GREETING, 554, "neko-22.r.example.net : CAT : neko22 : CAT : You've reached your daily relay quota - 203.0.113.0", KNOCKED, m.QUOTA, BOUNCES + "lhost-exim-56.eml"),
    Heard("Emailhost", S.END, 554, "sending quota exceeded", PACE, m.QUOTA, "https://www.emailhost.com.cn/service.html?article_category=25&brd=1"),
    Heard("Zoho", S.END, 550, "5.4.6 Unusual sending activity detected.", PACE, m.HELD_BACK, "https://help.zoho.com/portal/en/community/topic/unable-to-send-message-reason-550-5-4-6-unusual-sending-activity-detected"),
    Heard("This Web Host", S.END, 550, "5.7.1 [CSR] Our system has detected an unusual amount of unsolicited email originating from your address", PACE, m.HELD_BACK, "https://www.thiswebhost.com/clients/knowledgebase/554/I-am-receiving-an-error-sending-e-mail.html"),
    Heard("MXroute", S.RCPT, 554, "Your IP is sending excessive rejected recipients.", PACE, m.HELD_BACK, CODES + "554.json"),
    Heard("IONOS", S.MAIL, 421, "Rate limit reached. Please try again later", PACE, m.COME_BACK, "https://ionos.de/hilfe/e-mail/postmaster/smtp-fehlermeldungen-der-11-ionos-mailserver"),
    Heard("Stalwart", S.MAIL, 452, "4.4.5 Rate limit exceeded, try again later.", PACE, m.COME_BACK, STALWART + "mail.rs"),
    Heard("DTI", S.MAIL, 452, "4.3.2 Connection rate limit exceeded.", PACE, m.COME_BACK, BOUNCES + "lhost-postfix-09.eml"),
    Heard("Rackspace", S.MAIL, 451, "4.7.1 Received too many messages from a new or untrusted IP (G28)", PACE, m.COME_BACK, CODES + "451.json"),
    Heard("unnamed", S.RCPT, 451, "4.7.1 <mx.example.org[192.0.2.2]>: Client host rejected: Please try again slower", PACE, m.COME_BACK, SISIMAI + "Reason/Speeding.pm"),
    Heard("Free", S.RCPT, 550, "Too many errors from your IP (192.0.2.1), please visit http://postmaster.free.fr/", PACE, m.COME_BACK, SISIMAI + "Reason/TooManyConn.pm"),
    # --- A mailbox that gets too much
    Heard("Yandex", S.RCPT, 450, "4.2.1 The recipient has exceeded message rate limit. Try again later.", LATER, m.MAILBOX_RATE, CODES + "450.json"),
    Heard("Rackspace", S.RCPT, 450, "4.2.1 <x@example.com>: Mailbox received too much email in a short period of time (G30)", LATER, m.MAILBOX_RATE, CODES + "450.json"),
    Heard("Titan", S.RCPT, 550, "5.4.7 <x@example.com>: Recipient address rejected: Recipients Domain Hourly Quota Exceeded", LATER, m.MAILBOX_RATE, CODES + "550.json"),
    Heard("Outlook.com", S.END, 554, "5.2.122 The recipient has exceeded their limit for the number of messages they can receive per hour.", LATER, m.MAILBOX_RATE, MANUAL + "554.json"),
    # --- A mailbox that is full
    Heard("IONOS", S.RCPT, 550, "Quota Exceeded", LATER, m.MAILBOX_FULL, "https://www.ionos.com/help/email/troubleshooting-mail-basicmail-business/error-messages-caused-by-undeliverable-email/"),
    Heard("Dovecot", S.END, 552, "5.2.2 <x@example.org> Quota exceeded (mailbox for user is full)", LATER, m.MAILBOX_FULL, BOUNCES + "lhost-postfix-63.eml"),
    Heard("web.de", S.RCPT, 550, "<x@example.com>: Requested mail action aborted: exceeded storage allocation, Quota exceeded", LATER, m.MAILBOX_FULL, CODES + "550.json"),
    Heard("Free", S.RCPT, 550, "5.2.2 user quota exceeded", LATER, m.MAILBOX_FULL, CODES + "550.json"),
    Heard("Yandex", S.RCPT, 552, "5.2.2 Mailbox size limit exceeded", LATER, m.MAILBOX_FULL, CODES + "552.json"),
    Heard("Comcast", S.RCPT, 552, "5.1.1 <x@comcast.net> recipient rejected - extended quota violation", LATER, m.MAILBOX_FULL, CODES + "552.json"),
    Heard("MailFoundry", S.RCPT, 552, "sorry, mailbox x@example.org is over quota temporarily (#5.1.1)", LATER, m.MAILBOX_FULL, BOUNCES + "lhost-mailfoundry-02.eml"),
    Heard("Sun Messaging Server", S.RCPT, 522, "5.2.0 Delivery failed: Over quota", LATER, m.MAILBOX_FULL, BOUNCES + "lhost-messagingserver-02.eml"),
    Heard("qmail", S.RCPT, 552, "Error: disk quota exceeded", LATER, m.MAILBOX_FULL, BOUNCES + "lhost-qmail-08.eml"),
    Heard("NTT docomo", S.END, 552, "too much mail data", LATER, m.MAILBOX_FULL, SISIMAI + "Rhost/NTTDOCOMO.pm"),
    Heard("Strato", S.RCPT, 554, "User has exhausted allowed storage space", LATER, m.MAILBOX_FULL, "https://strato.de/faq/mail/fehlermeldungen-bei-e-mails"),
    Heard("Bytecamp", S.RCPT, 422, "4.2.2 Quota limit exceeded (Speicherplatz des Kontos ueberschritten)", LATER, m.MAILBOX_FULL, "https://www.bytecamp.net/de/faq/email/zustellen.html"),
    Heard("unnamed", S.RCPT, 550, "the user's space has been used up", LATER, m.MAILBOX_FULL, SISIMAI + "Reason/MailboxFull.pm"),
    Heard("unnamed", S.RCPT, 550, "recipient rejected: mailbox would exceed maximum allowed storage", LATER, m.MAILBOX_FULL, SISIMAI + "Reason/MailboxFull.pm"),
    Heard("web.de", S.RCPT, 550, "Benutzer hat zuviele Mails auf dem Server. / User has too many messages on the server.", LATER, m.MAILBOX_FULL, "http://www.sitepackage.de/service/dokumentation/auswertung/typische-fehlermeldungen-bei-unzustellbarkeit.html"),
    Heard("unnamed", S.END, 550, "not sufficient disk space", LATER, m.MAILBOX_FULL, SISIMAI + "Reason/MailboxFull.pm"),
    # --- One mailbox that is dead, closed or does not want it: no account is to pause for it
    Heard("Zoho", S.RCPT, 550, "5.1.1 User does not exist - <x@example.com>", DEAD, m.NO_MAILBOX, BOUNCES + "rhost-zoho-01.eml"),
    Heard("Yandex", S.RCPT, 550, "5.7.1 No such user!", DEAD, m.NO_MAILBOX, CODES + "550.json"),
    Heard("Stalwart", S.RCPT, 550, "5.1.2 Mailbox does not exist.", DEAD, m.NO_MAILBOX, STALWART + "rcpt.rs"),
    Heard("La Poste", S.RCPT, 550, "5.5.0 Adresse destinataire invalide. Invalid recipient. LPN007_416", DEAD, m.NO_MAILBOX, BOUNCES + "rhost-franceptt-02.eml"),
    Heard("Proton", S.RCPT, 550, "5.1.1 Recipient address rejected: Address does not exist", DEAD, m.NO_MAILBOX, CODES + "550.json"),
    Heard("Facebook", S.RCPT, 550, "5.1.1 RCP-P1 http://postmaster.facebook.com/response_codes?ip=192.0.2.54#rcp  Recipient address does not exist", DEAD, m.NO_MAILBOX, BOUNCES + "rhost-facebook-04.eml"),
    Heard("KDDI", S.END, 550, ": User unknown", DEAD, m.NO_MAILBOX, SISIMAI + "Rhost/KDDI.pm"),
    Heard("unnamed", S.RCPT, 550, "nessun utente simile in questo indirizzo", DEAD, m.NO_MAILBOX, SISIMAI + "Reason/UserUnknown.pm"),
    Heard("unnamed", S.RCPT, 550, "no existe dicha persona", DEAD, m.NO_MAILBOX, SISIMAI + "Reason/UserUnknown.pm"),
    Heard("ISEP", S.RCPT, 550, "Utilisateur inconnu !", DEAD, m.NO_MAILBOX, "https://github.com/KumoCorp/kumomta/blob/HEAD/assets/community/bounces.toml"),
    Heard("zerospam", S.RCPT, 554, "5.7.1 <x@example.com>: Recipient address rejected: Not in recipient list", DEAD, m.NO_MAILBOX, MANUAL + "554.json"),
    Heard("AT&T", S.RCPT, 550, "5.2.1 <X@PRODIGY.NET>... Addressee unknown, relay=[192.0.2.1]", DEAD, m.MOVED, MANUAL + "550.json"),
    Heard("Rambler", S.RCPT, 540, "5.7.1 <x@rambler.ru>: recipient address rejected: Inactive", DEAD, m.MOVED, CODES + "540.json"),
    Heard("i.ua", S.RCPT, 550, "Mailbox is frozen. See http://mail.i.ua/err/3/", DEAD, m.MOVED, BOUNCES + "rhost-iua-01.eml"),
    Heard("Free", S.RCPT, 550, "5.2.1 This mailbox has been blocked due to inactivity", DEAD, m.MOVED, CODES + "550.json"),
    Heard("La Poste", S.RCPT, 550, "5.5.0 Le compte du destinataire est bloque. The recipient account is blocked. LPN007_426", DEAD, m.MOVED, BOUNCES + "rhost-franceptt-05.eml"),
    Heard("Yahoo", S.END, 554, "delivery error: dd Sorry your message to x@example.co.jp cannot be delivered. This account has been disabled or discontinued [#102]. - mta222.mail.example.co.jp", DEAD, m.MOVED, BOUNCES + "lhost-postfix-52.eml"),
    Heard("Sendmail", S.RCPT, 525, "5.7.13 Disabled recipient address", DEAD, m.MOVED, BOUNCES + "lhost-sendmail-35.eml"),
    Heard("unnamed", S.RCPT, 550, "5.7.1 <x@example.com>: Recipient address rejected: User x@example.com temporary locked. Please try again later!", LATER, m.MAILBOX_BUSY, BOUNCES + "lhost-amazonses-19.eml"),
    Heard("Coremail", S.RCPT, 550, "user is locked.", DEAD, m.MOVED, COREMAIL),
    Heard("addy.io", S.RCPT, 552, "5.2.1 <name@example.com>: Recipient address rejected: User disabled", DEAD, m.MOVED, "https://github.com/anonaddy/anonaddy/issues/580"),
    Heard("web.de", S.RCPT, 550, "Benutzer nicht bekannt/User unknown", DEAD, m.NO_MAILBOX, "http://www.sitepackage.de/service/dokumentation/auswertung/typische-fehlermeldungen-bei-unzustellbarkeit.html"),
    Heard("Exchange", S.RCPT, 550, "5.7.1 RESOLVER.RST.AuthRequired; authentication required", DEAD, m.INSIDERS_ONLY, BOUNCES + "lhost-exchange2007-04.eml"),
    Heard("Facebook", S.RCPT, 550, "5.1.1 RCP-P2 http://postmaster.facebook.com/response_codes?ip=192.0.2.135#rcp Refused due to recipient preferences", DEAD, m.UNWANTED, BOUNCES + "rhost-facebook-03.eml"),
    Heard("Rackspace", S.RCPT, 554, "5.7.1 a@example.com: Sender address rejected: Blocked by this recipient (GE)", DEAD, m.UNWANTED, CODES + "554.json"),
    Heard("Mail.ru", S.RCPT, 550, "spam message rejected. Please visit http://help.mail.ru/notspam-support/id?c=7y4y or report details to abuse@corp.mail.ru.", DEAD, m.UNWANTED, CODES + "550.json"),
    Heard("iCloud", S.RCPT, 554, "mr28p00im-smtpin040.me.com ESMTP not accepting connections", LATER, m.NOT_NOW, SISIMAI + "Reason/Blocked.pm"),
    Heard("GMX", S.RCPT, 550, "Requested action not taken: mailbox unavailable\nFailure sending mail. Try again later", LATER, m.NOT_NOW, "https://github.com/jstedfast/MailKit/issues/968"),
    Heard("NTT docomo", S.RCPT, 552, "Too many recipients", LATER, m.REST_LATER, BOUNCES + "lhost-postfix-48.eml"),
    # --- Words that speak of the mail or its sender, and of no mailbox
    Heard("Barracuda", S.RCPT, 550, "rejecting spoofed message", DEAD, m.UNWANTED, CODES + "550.json"),
    Heard("Yahoo", S.RCPT, 554, "Message not allowed - [299]", DEAD, m.UNWANTED, CODES + "554.json"),
    Heard("unnamed", S.RCPT, 550, "domain [example.com] mismatches client ip 192.0.2.225.", DEAD, m.UNWANTED, BOUNCES + "lhost-outlook-09.eml"),
    Heard("Amazon SES", S.RCPT, 554, "Message rejected: Email address is not verified. The following identities failed the check in region AP-NORTHEAST-1: x@example.jp", DEAD, m.UNWANTED, BOUNCES + "lhost-postfix-77.eml"),
    Heard("unnamed", S.RCPT, 550, "sender is spammer", DEAD, m.UNWANTED, SISIMAI + "Reason/Rejected.pm"),
    # --- The content
    Heard("Zoho", S.END, 554, "5.7.7 Email policy violation detected", DEAD, m.SPAM, BOUNCES + "rhost-zoho-02.eml"),
    Heard("ImprovMX", S.RCPT, 551, "5.7.1 Due to the very low reputation of the sending domain, this message has been blocked (Code 2).", DEAD, m.LINK_LISTED, CODES + "551.json"),
    Heard("Cloudflare", S.END, 421, "4.3.0 Upstream error, please check https://developers.cloudflare.com/email-routing/postmaster for possible reasons why. RsrUEMk60942", LATER, m.NOT_NOW, BOUNCES + "rhost-cloudflare-01.eml"),
    Heard("Hostpoint", S.MAIL, 550, "SPF-check failed: 550 example.com doesn't allow sending mails from 192.0.2.1", DEAD, m.SENDER_UNPROVEN, CODES + "550.json"),
    Heard("GoDaddy", S.MAIL, 550, "192.0.2.1 is not allowed to send from <example.com> per its SPF Record. Please inspect your SPF settings, and try again. IB508", DEAD, m.SENDER_UNPROVEN, CODES + "550.json"),
    Heard("FireEye", S.RCPT, 550, "5.7.26 <x@example.com>: ETP205 DMARC Failure for domain", DEAD, m.SENDER_UNPROVEN, CODES + "550.json"),
]
# fmt: on
