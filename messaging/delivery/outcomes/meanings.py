"""What a reply means, told to office staff: what is the matter, and what to do."""

from dataclasses import dataclass
from enum import StrEnum

from messaging.models import Category, Words


class Kind(StrEnum):
    """What deserves gaps of its own between tries (see retry.py)."""

    OTHER = ""
    GREYLISTING = "greylisting"  # minutes: the server waits for proof that we try again
    REST_AT_ONCE = "rest at once"  # the others were taken; the rest goes in a transaction of its own
    MAILBOX_BUSY = "mailbox busy"  # an hour or so: limits per mailbox are by the hour
    MAILBOX_FULL = "mailbox full"  # hours: a person has to make room
    IN_DOUBT = "address in doubt"  # a few tries: soon someone should look at the address
    BROKEN_OFF = "broken off"  # soon: nothing was said against the message
    STORE_AWAY = "store away"  # soon, and over a night: someone has to mount it


@dataclass(frozen=True)
class Meaning:
    """One thing that can be the matter, for office staff: its category ("" for none), what it is, and what to do.

    Rows keep the `key`, which therefore never changes; the words may.
    """

    key: str
    category: str
    explanation: str
    advice: str
    kind: Kind = Kind.OTHER


GO_ON = "Nothing to do: sending resumes automatically."
WAIT = "Nothing to do: it is tried again automatically."
SEE_WORDS = "See the server’s own words."
ASK = "Ask the recipient, or look in the server’s log. Then choose Mark as sent or Send again."
A, C, B, S, N, P = (Category.ADDRESS, Category.CONTENT, Category.BUSY, Category.SETUP, Category.NETWORK,
                    Category.POLICY)  # fmt: skip

# --- Meanings: this machine and the connection -------------------------------------------------------
# fmt: off
NO_NAME = Meaning("no-name", S, "The name of the mail server was not found.", "Check the server name in Email Setup.")
NO_LISTENER = Meaning("no-listener", S, "The mail server refused the connection.",
    "Check server and port in Email Setup, and that the mail server is running.")
REFUSED_ADDRESS = Meaning("refused-address", S,
    "The name of the mail server points to an address that Outtray never connects to.",
    "The address is link-local or a cloud’s metadata service. Check the server name in Email Setup, and its entry in "
    "DNS.")
BAD_CERTIFICATE = Meaning("bad-certificate", S, "The mail server’s certificate could not be verified.",
    "Check the server name in Email Setup, or ask the mail server’s administrator.")
EXPIRED_CERTIFICATE = Meaning("expired-certificate", S, BAD_CERTIFICATE.explanation,
    "It has expired. The mail server’s administrator has to renew it; if it is renewed already, check this machine’s "
    "clock.")
EARLY_CERTIFICATE = Meaning("early-certificate", S, BAD_CERTIFICATE.explanation,
    "It is not valid yet. Check this machine’s clock, or ask the mail server’s administrator.")
OTHER_NAME = Meaning("other-name", S, BAD_CERTIFICATE.explanation,
    "It is for a different name from the one in Email Setup. Enter the name on the certificate as the server; Check "
    "connection shows it.")
STRANGER = Meaning("stranger", S, BAD_CERTIFICATE.explanation,
    "It comes from an authority that this machine does not know. If it is your own, enter its certificate as "
    "“Certificate authorities” in Email Setup.")
WEAK_CERTIFICATE = Meaning("weak-certificate", S, BAD_CERTIFICATE.explanation,
    "Its key is too short, or it is signed with a method that is no longer secure (MD5 or SHA-1). Ask the mail "
    "server’s administrator for a new certificate.")
NO_TLS_HERE = Meaning("no-tls-here", S, "The mail server does not speak TLS where this setup expects it.",
    "A port that greets in the clear needs the auth type tls-explicit, usually with port 587; tls-implicit needs port "
    "465. If tls-explicit is set already, ask the mail server’s administrator.")
OLD_TLS_THERE = Meaning("old-tls-there", S,
    "The mail server supports only a version of encryption (TLS) that is no longer secure.",
    "Ask the mail server’s administrator for TLS 1.2 or newer, or use another server.")
WEAK_KEY_EXCHANGE = Meaning("weak-key-exchange", S,
    "The mail server secures connections (TLS) with a key that is too short to be safe.",
    "Port and auth type are right. Ask the mail server’s administrator for Diffie-Hellman keys of 2,048 bits or more, "
    "or for ECDHE, or use another server.")
WEAK_SIGNATURE = Meaning("weak-signature", S,
    "The mail server signs with a method that is no longer secure (MD5 or SHA-1) when it secures a connection (TLS).",
    "Port and auth type are right. Ask the mail server’s administrator to update it, or use another server.")
NO_COMMON_TLS = Meaning("no-common-tls", S,
    "The mail server and this machine have no way of securing a connection (TLS) in common.",
    "Port and auth type are right. Usually the mail server is too old and supports only methods that are no longer "
    "secure; some servers ask this machine for a certificate. Ask the mail server’s administrator for TLS 1.2 or newer "
    "with ECDHE.")
WANTS_CERTIFICATE = Meaning("wants-certificate", S,
    "The mail server accepts only machines that present a certificate of their own, and Outtray has none.",
    "Ask the mail server’s administrator to allow this machine without one, by its address or with user name and "
    "password.")
NAME_NOT_SERVED = Meaning("name-not-served", S, "The mail server does not recognise the name that Outtray used for it.",
    "Check the server name in Email Setup: enter the name that the mail server uses for itself.")
TLS_FAULT_THERE = Meaning("tls-fault-there", S,
    "The mail server had a fault of its own while securing the connection (TLS).",
    "Ask the mail server’s administrator; its log says more. Port and auth type are right.")
NO_TLS = Meaning("no-tls", S, "The secure connection (TLS) to the mail server failed.",
    "Check that auth type and port belong together: tls-implicit with 465, tls-explicit with 587.")
NO_STARTTLS = Meaning("no-starttls", S, "The mail server offers no STARTTLS, and this setup requires it.",
    "Use the submission port (587) or choose tls-implicit (465) in Email Setup.")
NO_AUTH = Meaning("no-auth", S, "The mail server offers no way to sign in that this setup can use.",
    "Many servers offer sign-in only after STARTTLS: choose tls-explicit and port 587.")
NO_SETUP = Meaning("no-setup", S, "Nothing can be sent with Email Setup as it is.",
    "Nothing to do for each message. Sending resumes automatically once an administrator has corrected Email Setup.")
CONTENT_LOST = Meaning("content-lost", C, "The stored content of this message is missing or damaged on this server.",
    "Have the program that wrote the message send it again.")
STORE_AWAY = Meaning("store-away", S, "The attachment files are not where this server keeps them.",
    "Ask an administrator to check that MEDIA_ROOT is there: a disk or network folder may not be mounted. It is tried "
    "again automatically.", Kind.STORE_AWAY)
NOT_PREPARED = Meaning("not-prepared", S, "This server could not prepare the message for sending.",
    "An administrator has to check the log and the disk; it is tried again automatically.")
UNEXPECTED = Meaning("unexpected", S, "This server met an unexpected error.",
    "An administrator has to check the log; it is tried again automatically, less and less often.")
OUT_OF_FILES = Meaning("out-of-files", S, "This server cannot open another connection or file.",
    "An administrator has to raise its limit on open files or free some memory; sending then resumes automatically.")
UNREACHABLE = Meaning("unreachable", N, "The mail server could not be reached.",
    "Check the network and the server name and port in Email Setup.")
SILENT = Meaning("silent", N, "The mail server accepted the connection but did not answer.",
    "Check the port in Email Setup: a TLS port (465) stays silent without tls-implicit.")
BROKE_OFF_EARLY = Meaning("broke-off-early", N, "The mail server broke off before the sign-in was finished.",
    "If this continues, ask the mail server’s administrator.")
BROKE_OFF = Meaning("broke-off", N, "The connection broke before the message was handed over.", WAIT, Kind.BROKEN_OFF)
NOT_SMTP = Meaning("not-smtp", N, "The mail server gave an answer that does not belong there.",
    "It is tried again automatically. If this continues, check server and port in Email Setup.")
LOST_THREAD = Meaning("lost-thread", N, "The mail server lost track of the conversation.",
    "It is tried again automatically on a new connection. If this continues, ask the mail server’s "
    "administrator.", Kind.BROKEN_OFF)

# --- Meanings: how fast and how much we send ---------------------------------------------------------
COME_BACK = Meaning("come-back", B,
    "The mail server is busy, or is getting mail too fast, and asks Outtray to come back later.", GO_ON)
QUOTA = Meaning("quota", B,
    "The mail server has taken as much mail from this account as it allows in an hour or a day.",
    "Nothing to do: sending resumes automatically once the server takes mail again. If this happens often, an "
    "administrator can ask for a higher limit, or spread the batches over more days.")
HELD_BACK = Meaning("held-back", B,
    "The mail server is delaying mail from here for a while, because of its volume or reputation.",
    "Nothing to do: sending resumes automatically, more slowly. If this continues for a day, ask the mail "
    "server’s administrator.")

# --- Meanings: our set-up as the server sees it ------------------------------------------------------
OUR_NAME = Meaning("our-name", S, "The mail server does not accept the name this machine gives as its own.",
    "Enter the full name of this machine as EHLO name in Email Setup, such as mail.example.com.")
NO_REVERSE_NAME = Meaning("no-reverse-name", S,
    "The mail server cannot find a name for this machine’s network address.",
    "An administrator has to get a reverse DNS entry (PTR) for the address, or use the provider’s mail server.")
OLD_TLS = Meaning("old-tls", S, "The mail server asks for a newer version of encryption (TLS).",
    "An administrator has to update this machine’s system libraries.")
WANTS_TLS = Meaning("wants-tls", S, "The mail server wants a secure connection first.",
    "Choose tls-explicit (587) or tls-implicit (465) in Email Setup.")
NO_RELAY = Meaning("no-relay", S, "The mail server does not pass mail on to outside addresses for this machine.",
    "Sign in (send type 3) in Email Setup, or have this machine allowed as a relay client.")
WANTS_SIGN_IN = Meaning("wants-sign-in", S, "The mail server wants a sign-in first.",
    "Choose send type 3 and enter user name and password in Email Setup.")
M365_SIGN_IN_OFF = Meaning("m365-sign-in-off", S,
    "Password sign-in for SMTP is switched off in Microsoft 365 for this mailbox.",
    "Choose Microsoft 365 as “Way to sign in” in Email Setup, or ask a Microsoft 365 administrator to allow "
    "authenticated SMTP for the mailbox.")
APP_PASSWORD = Meaning("app-password", S, "The mail provider wants an app password or modern sign-in for this account.",
    "Choose another “Way to sign in” in Email Setup, or create an app password for the account and enter that one.")
BROWSER_SIGN_IN = Meaning("browser-sign-in", S,
    "The mail provider wants the owner of the account to confirm the sign-in.",
    "Sign in to the account with a web browser and confirm that it was you. To avoid this, choose another “Way to "
    "sign in” in Email Setup, or use an app password.")
PASSWORDS_OFF = Meaning("passwords-off", S, "The mail provider no longer takes a password for sending.",
    "Choose another “Way to sign in” in Email Setup, such as Microsoft 365 or Google. A new password does not help.")
ACCOUNT_LOCKED = Meaning("account-locked", S, "The mail provider has locked this account.",
    "Ask the administrator of the mail account to unlock it; a lock after wrong passwords often ends on its own. Make "
    "sure that the password in Email Setup is right, or the account will be locked again. Sending resumes "
    "automatically.")
PROGRAMS_OFF = Meaning("programs-off", S,
    "Sending from other programs is switched off at the mail provider for this account.",
    "Sign in to the account with a web browser and switch on POP3, IMAP and SMTP in its settings.")
SIGN_IN_NOT_THERE = Meaning("sign-in-not-there", S, "The mail server offers no sign-in here, or not in this way.",
    "Check port and auth type in Email Setup: sign-in is usual on port 587 with tls-explicit.")
NEW_PASSWORD = Meaning("new-password", S, "The mail server asks for the password to be changed.",
    "Sign in to the mailbox by other means, set a new password and enter it in Email Setup.")
WRONG_PASSWORD = Meaning("wrong-password", S, "The mail server refused the user name or the password.",
    "Enter user name and password again in Email Setup. Microsoft 365 and Google do not accept any password for many "
    "accounts: choose another “Way to sign in” for those.")
MAILBOX_CLOSED = Meaning("mailbox-closed", S,
    "Microsoft 365 does not let the signed-in application or person use the sending mailbox.",
    "A Microsoft 365 administrator has to give it full access to the mailbox (Add-MailboxPermission), which can take "
    "an hour to take effect. Sending then resumes automatically.")
SENT_ITEMS_FULL = Meaning("sent-items-full", S,
    "The mailbox of the sending account is full, so the server takes no more mail from it.",
    "Empty Sent Items and Deleted Items in the sending mailbox, or ask for a larger mailbox.")
ACCOUNT_BARRED = Meaning("account-barred", P, "The mail provider has barred this account or organisation from sending.",
    "An administrator has to look for notices in the provider’s console or the mailbox, do what they ask, and have "
    "sending allowed again.")
MACHINE_BLOCKED = Meaning("machine-blocked", P, "This machine’s network address is on a block list.",
    "An administrator has to find the reason (a virus, a hacked mailbox, a bad mailing) and have the address taken "
    "off the list named in the server’s own words, or send through another mail server.")
MACHINE_REFUSED = Meaning("machine-refused", P, "The mail server refuses to talk to this machine.",
    "Ask the mail server’s administrator to allow this machine, or use another mail server.")
TAKES_NO_MAIL = Meaning("takes-no-mail", S,
    "This server takes no mail at all.", "Check the server name in Email Setup.")
TLS_REFUSED = Meaning("tls-refused", S, "The mail server refused the secure connection.",
    "Ask the mail server’s administrator, or choose another auth type.")

# --- Meanings: modern sign-in (OAuth 2.0), first at the provider and then at the mail server ----------
SIGN_IN_UNREACHABLE = Meaning("sign-in-unreachable", N, "The provider’s sign-in server could not be reached.",
    "It is tried again automatically. If this continues, check the network and firewall of this machine, and the "
    "sign-in server in Email Setup.")
SIGN_IN_CERTIFICATE = Meaning("sign-in-certificate", S,
    "The certificate of the provider’s sign-in server could not be verified.",
    "Check the sign-in server in Email Setup. If it has an authority of its own, or a firewall looks into secure "
    "connections, enter that authority under Certificate authorities.")
SIGN_IN_SERVER = Meaning("sign-in-server", S, "The sign-in server in Email Setup cannot be used.",
    "Correct it as its own words say; for Microsoft and Google it is usually left empty.")
CLIENT_SECRET = Meaning("client-secret", S, "The provider refused the client secret: it is wrong or has expired.",
    "Make a new client secret where the application is registered (Microsoft: Entra admin centre, App registrations, "
    "Certificates & secrets) and enter its value, not its ID, in Email Setup.")
SIGN_IN_ENDED = Meaning("sign-in-ended", S, "The sign-in at the provider has ended or was revoked.",
    "Sign in again in Email Setup, or enter a new refresh token there. A sign-in ends when the password is changed, "
    "when an administrator revokes it, or after months without use.")
UNKNOWN_APPLICATION = Meaning("unknown-application", S,
    "The provider does not know the tenant or the application, or does not let it sign in this way.",
    "Check tenant and client ID in Email Setup. Where a person signs in at Microsoft, also set “Allow public client "
    "flows” to Yes under Authentication of the application.")
NO_CONSENT = Meaning("no-consent", S, "The application has no consent to send mail.",
    "An administrator of the organisation has to grant it. Microsoft: Entra admin centre, App registrations, API "
    "permissions, SMTP.SendAsApp (as an application) or SMTP.Send (by a person), “Grant admin consent”. A person then "
    "signs in again.")
SERVICE_ACCOUNT = Meaning("service-account", S, "Google refused the service account, or its key cannot be used.",
    "Check the key (JSON file), and that the user name is a mailbox of your domain. In the Google Admin console, under "
    "Security, API controls, Domain-wide delegation, allow the account’s client ID the scope https://mail.google.com/.")
SIGN_IN_REFUSED = Meaning("sign-in-refused", S, "The provider gave no access token.",
    "See the provider’s own words; check the way to sign in, and what belongs to it, in Email Setup.")
NO_TOKEN_SIGN_IN = Meaning("no-token-sign-in", S,
    "The mail server offers no modern sign-in here, and this setup requires it.",
    "Many servers offer it only after STARTTLS: choose tls-explicit and port 587. If this continues, this server does "
    "not know it: choose user name and password as the way to sign in.")
SMTP_AUTH_OFF = Meaning("smtp-auth-off", S,
    "Sign-in for SMTP is switched off in Microsoft 365 for this mailbox or organisation.",
    "A Microsoft 365 administrator has to allow Authenticated SMTP, for the mailbox (admin centre, Active users, Mail, "
    "Manage email apps) or for the organisation. It can take an hour.")
SIGN_IN_RULE = Meaning("sign-in-rule", S, "A rule in Microsoft 365 keeps this user or application from signing in.",
    "An administrator has to check the sign-in logs in the Entra admin centre, and conditional access, security "
    "defaults, and who may use the application.")
TOKEN_REFUSED = Meaning("token-refused", S, "The mail server refused the access token.",
    "Check that the user name is the mailbox that the sign-in is for, or sign in again. Microsoft 365, as an "
    "application: an administrator has to register it in Exchange Online (New-ServicePrincipal) and give it the "
    "mailbox (Add-MailboxPermission). Google: check the scope, which is https://mail.google.com/.")

# --- Meanings: the sender ----------------------------------------------------------------------------
NOT_OUR_SENDER = Meaning("not-our-sender", S, "The mail server does not let this account send from that address.",
    "Send from an address the account may use, or have it allowed (“Send as”, or a verified sender).")
FROM_NOT_ALLOWED = Meaning("from-not-allowed", S, NOT_OUR_SENDER.explanation,
    "Check “From address” in Email Setup: it must be one that the account may use, often the user name itself. Or have "
    "it allowed at the mail provider (“Send as”, or a verified sender). Sending resumes automatically.")
BAD_SENDER = Meaning("bad-sender", S, "The mail server does not accept the sender’s address.",
    "Correct the from address in Email Setup or of the message.")
SENDER_UNPROVEN = Meaning("sender-unproven", P,
    "The sender’s domain does not vouch for this mail server (SPF, DKIM or DMARC).",
    "An administrator has to add the mail server to the SPF record of the sender’s domain and have mail signed "
    "(DKIM); then send again.")

# --- Meanings: the recipient -------------------------------------------------------------------------
GREYLISTED = Meaning("greylisted", B, "The recipient’s server asks new senders to try again later (greylisting).", WAIT,
    Kind.GREYLISTING)
MAILBOX_RATE = Meaning("mailbox-rate", B,
    "The recipient’s mailbox is getting more mail at the moment than it accepts.", WAIT,
    Kind.MAILBOX_BUSY)
MAILBOX_BUSY = Meaning("mailbox-busy", B,
    "The recipient’s mailbox cannot be reached at the moment.", WAIT, Kind.MAILBOX_BUSY)
REST_LATER = Meaning("rest-later", B, "The mail server takes only so many recipients at a time.",
    "Nothing to do: the rest is sent automatically.", Kind.REST_AT_ONCE)
TOO_MANY = Meaning("too-many", C,
    "The message has more recipients than the mail server takes.", "Send it to fewer at a time.")
NO_MAILBOX = Meaning("no-mailbox", A, "The mailbox does not exist.", "Correct the address and send again.")
DOUBTFUL_MAILBOX = Meaning("doubtful-mailbox", A, "The recipient’s server could not confirm that the mailbox exists.",
    "Check the address. If it is wrong, cancel the message and send it to the right one; otherwise it is tried again "
    "automatically.", Kind.IN_DOUBT)
NO_DOMAIN = Meaning("no-domain", A, "The domain of the address does not exist or takes no mail.",
    "Correct the part after the @ and send again.")
DOUBTFUL_DOMAIN = Meaning("doubtful-domain", A, "The domain of the address was not found.",
    "Check the part after the @. If it is wrong, cancel the message and send it to the right address; otherwise it is "
    "tried again automatically.", Kind.IN_DOUBT)
BAD_ADDRESS = Meaning("bad-address", A, "The mail server does not understand the address.", "Correct the address.")
NOT_ASCII = Meaning("not-ascii", A, "The mail server cannot take an address with accented or non-Latin letters.",
    "Ask for an address in plain letters, or use a mail server with SMTPUTF8.")
HEADER_NOT_ASCII = Meaning("header-not-ascii", S,
    "The message is from an address with accented or non-Latin letters, or has one as Reply-To, and the mail server "
    "accepts no such message.",
    "Send it from an address in plain letters, and without such a Reply-To, or use a mail server with SMTPUTF8.")
MOVED = Meaning("moved", A, "The mailbox has moved or is closed.", "Ask for the new address.")
MAILBOX_FULL = Meaning("mailbox-full", A,
    "The mailbox is full.", "Reach the recipient another way and ask them to make room.",
    Kind.MAILBOX_FULL)
UNKNOWN_MAILBOX = Meaning("unknown-mailbox", A,
    "The mailbox does not exist or takes no mail.", "Correct the address and send again.")
ADDRESS_REFUSED = Meaning("address-refused", A, "The mail server refused the recipient.",
    "See the server’s own words; correct the address and send again.")
NOBODY_LEFT = Meaning("nobody-left", A,
    "The mail server accepted none of the recipients.", "Correct the addresses and send again.")
UNWANTED = Meaning("unwanted", P, "The recipient’s side does not accept this mail from here.",
    "Reach the recipient another way and ask them to have your mail allowed.")
INSIDERS_ONLY = Meaning("insiders-only", P,
    "The recipient takes mail only from certain senders, such as people of their organisation.",
    "Ask the recipient to have your mail allowed, or write to another address.")
ROUTE_BROKEN = Meaning("route-broken", N, "The mail server cannot get through to the recipient’s server.",
    "Check the part after the @. If it is right, ask the recipient’s administrator.")
LOOP = Meaning("loop", N, "The message went round in circles among the recipient’s servers.",
    "Tell the recipient’s administrator; reach the recipient another way until then.")

# --- Meanings: the message ---------------------------------------------------------------------------
TOO_BIG = Meaning("too-big", C, "The message is larger than the mail server takes.",
    "Send fewer or smaller attachments, or a link to them.")
SEALED = Meaning("sealed", C,
    "The signed or encrypted part of the message has 8-bit characters, which the mail server does not accept (it does "
    "not offer 8BITMIME) and which cannot be encoded now without breaking the signature.",
    "Encode the text as quoted-printable or base64 before it is signed, or send it through a server with 8BITMIME.")
BAD_ATTACHMENT = Meaning("bad-attachment", C,
    "The mail server considers an attachment dangerous, or does not accept its type.",
    "Send it as a PDF, or send a link to it. If that is what you sent, have this machine checked for viruses.")
LINK_LISTED = Meaning("link-listed", P, "The sender’s domain or a link in the message is on a block list.",
    "An administrator has to look up the list named in the server’s own words. Without the link the message may go "
    "through.")
SPAM = Meaning("spam", P, "The mail server considers the message spam or against its rules.",
    "Ask the recipient’s administrator, or change the content; see the server’s own words.")
FAULTY_FORM = Meaning("faulty-form", C, "The mail server says that the message is not properly formed.",
    "Tell the person who looks after the program that wrote it; see the server’s own words.")
CONTENT_REFUSED = Meaning("content-refused", C, "The mail server refused the content of the message.",
    "See the server’s own words; change the content and send again.")
REFUSED = Meaning("refused", C, "The mail server refused the message.",
    "See the server’s own words; correct the message and send again.")
REFUSED_AT_ALL = Meaning("refused-at-all", P, "The mail server refused the message.", SEE_WORDS)
NOT_NOW = Meaning("not-now", B, "The mail server could not take the message now.", WAIT)
NETWORK_NOT_NOW = Meaning("network-not-now", N,
    "The mail server could not get through to the recipient’s server.", WAIT)

# --- Meanings: no refusal ----------------------------------------------------------------------------
ACCEPTED = Meaning("accepted", "", "The mail server accepted the message.", "")
UNKNOWN = Meaning("unknown", N,
    "The connection ended after the message was handed over and before the server said whether it took it.", ASK)
UNCLEAR = Meaning("unclear", N,
    "The mail server’s answer does not say whether it accepted the message.", ASK)
WORKER_STOPPED = Meaning("worker-stopped", N,
    "The worker stopped after the message was handed over and before the reply was recorded.", ASK)
# fmt: on

MEANINGS = {found.key: found for found in list(globals().values()) if isinstance(found, Meaning)}
WORDS: dict[str, Words] = {key: meaning.explanation for key, meaning in MEANINGS.items()} | {
    NO_SETUP.key: lambda problems=(): " ".join(problems) or NO_SETUP.explanation
}
