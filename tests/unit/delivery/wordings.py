"""Made-up wordings beside the published ones of replies.py: of the same kinds, in other words and languages.

Above all, what is about one mailbox or one message and sounds like our account, and the other way round.
"""

from messaging.delivery import meanings as m
from messaging.delivery.reply import Stage as S

from .replies import DEAD, LATER, PACE, SETUP

# fmt: off
WORDINGS = [
    # --- One mailbox or one message, though it sounds like our account
    (S.RCPT, 550, "recipient account locked due to too many login attempts", LATER, m.MAILBOX_BUSY),
    (S.RCPT, 550, "this mailbox requires authentication of senders", DEAD, m.INSIDERS_ONLY),
    (S.RCPT, 550, "this mailbox accepts mail from authenticated senders only", DEAD, m.INSIDERS_ONLY),
    (S.RCPT, 550, "Authentication required to send to this distribution list", DEAD, m.INSIDERS_ONLY),
    (S.RCPT, 550, "Submission to this group is restricted", DEAD, m.INSIDERS_ONLY),
    (S.RCPT, 550, "5.7.1 Mail from outside your organization is not accepted for this group", DEAD, m.UNWANTED),
    (S.RCPT, 550, "Nur interne Absender duerfen an diesen Verteiler senden", DEAD, m.INSIDERS_ONLY),
    (S.RCPT, 550, "your account is not allowed to receive mail for x@example.com", DEAD, m.UNWANTED),
    (S.RCPT, 550, "This account is not permitted to receive messages", DEAD, m.UNWANTED),
    (S.RCPT, 550, "This user does not accept mail from your domain", DEAD, m.UNWANTED),
    (S.RCPT, 550, "recipient only accepts mail from known senders", DEAD, m.UNWANTED),
    (S.RCPT, 554, "Recipient blocked sender", DEAD, m.UNWANTED),
    (S.RCPT, 550, "Your email to this user has been blocked", DEAD, m.UNWANTED),
    (S.RCPT, 550, "Your address is not on the recipient's whitelist", DEAD, m.UNWANTED),
    (S.RCPT, 550, "Your mail was rejected: account suspended", DEAD, m.MOVED),
    (S.RCPT, 550, "Error sending mail: user account disabled", DEAD, m.MOVED),
    (S.RCPT, 550, "Sending to this mailbox is disabled", DEAD, m.MOVED),
    (S.RCPT, 550, "5.2.0 account has exceeded the number of messages it may receive per hour", LATER, m.MAILBOX_RATE),
    (S.RCPT, 450, "4.2.2 recipient daily quota exceeded", LATER, m.MAILBOX_RATE),
    (S.RCPT, 550, "incoming mail limit per hour exceeded for domain x.example", LATER, m.MAILBOX_RATE),
    (S.RCPT, 550, "Postfach des Empfaengers ist ueberfuellt", LATER, m.MAILBOX_FULL),
    (S.END, 550, "message header From does not match MAIL FROM", DEAD, m.BAD_SENDER),
    (S.END, 554, "The envelope sender differs from the header From:", DEAD, m.BAD_SENDER),
    (S.END, 554, "5.7.1 header From: domain does not exist", DEAD, m.BAD_SENDER),
    (S.RCPT, 554, "5.2.122 zu viel auf einmal", LATER, m.MAILBOX_RATE),
    # --- A mailbox that does not exist
    (S.RCPT, 550, "Adressat unbekannt", DEAD, m.NO_MAILBOX),
    (S.RCPT, 550, "Teilnehmer unbekannt", DEAD, m.NO_MAILBOX),
    (S.RCPT, 550, "Användaren finns inte", DEAD, m.NO_MAILBOX),
    (S.RCPT, 550, "Brugeren findes ikke", DEAD, m.NO_MAILBOX),
    (S.RCPT, 550, "Ukjent mottaker", DEAD, m.NO_MAILBOX),
    (S.RCPT, 550, "Uživatel neexistuje", DEAD, m.NO_MAILBOX),
    (S.RCPT, 550, "5.1.1 <x@example.com>: User unknown in relay recipient table", DEAD, m.NO_MAILBOX),
    # --- Our set-up, though it sounds like a mailbox
    (S.AUTH, 535, "Plain text authentication is no longer supported", SETUP, m.PASSWORDS_OFF),
    (S.AUTH, 535, "Plaintext authentication not allowed on non-secure (SSL/TLS) connections", SETUP, m.WANTS_TLS),
    (S.RCPT, 550, "Sending from this account has been disabled", SETUP, m.ACCOUNT_BARRED),
    (S.RCPT, 550, "Your account is locked", SETUP, m.ACCOUNT_BARRED),
    (S.RCPT, 550, "The sender's account is locked", SETUP, m.ACCOUNT_BARRED),
    (S.END, 525, "5.7.13 Account disabled: please contact support", SETUP, m.ACCOUNT_BARRED),
    (S.END, 554, "Access denied: user is not authorized to perform ses:SendRawEmail", SETUP, m.ACCOUNT_BARRED),
    (S.RCPT, 550, "Authentication failed; log in again", SETUP, m.WANTS_SIGN_IN),
    (S.RCPT, 550, "authenticate yourself before sending", SETUP, m.WANTS_SIGN_IN),
    (S.RCPT, 550, "Bitte SMTP-Auth verwenden", SETUP, m.WANTS_SIGN_IN),
    (S.RCPT, 550, "Bitte erst Mails abrufen (SMTP after POP)", SETUP, m.WANTS_SIGN_IN),
    (S.RCPT, 550, "Veuillez vous identifier", SETUP, m.WANTS_SIGN_IN),
    (S.RCPT, 550, "Por favor active la autenticación SMTP en su cliente de correo", SETUP, m.WANTS_SIGN_IN),
    (S.RCPT, 550, "È necessario autenticarsi", SETUP, m.WANTS_SIGN_IN),
    (S.RCPT, 550, "Du måste logga in för att skicka e-post", SETUP, m.WANTS_SIGN_IN),
    (S.RCPT, 550, "Autentisering krävs", SETUP, m.WANTS_SIGN_IN),
    (S.RCPT, 550, "Ověření je vyžadováno", SETUP, m.WANTS_SIGN_IN),
    (S.RCPT, 550, "Relaying ikke tilladt", SETUP, m.NO_RELAY),
    (S.RCPT, 550, "Relay není povolen", SETUP, m.NO_RELAY),
    (S.RCPT, 550, "Não é permitido relay", SETUP, m.NO_RELAY),
    (S.RCPT, 550, "This server only accepts mail for local domains", SETUP, m.NO_RELAY),
    (S.RCPT, 553, "sorry, that domain isn't allowed to be relayed thru this MTA (#5.7.1)", SETUP, m.NO_RELAY),
    (S.RCPT, 550, "5.7.1 remote recipients are not allowed for unauthenticated users", SETUP, m.NO_RELAY),
    (S.RCPT, 550, "host 192.0.2.1 is not permitted to send through this server", SETUP, m.NO_RELAY),
    (S.RCPT, 550, "5.7.1 Sie dürfen diese Absenderadresse nicht verwenden", SETUP, m.FROM_NOT_ALLOWED),
    (S.MAIL, 501, "5.7.1 You may only send mail from your own address", SETUP, m.FROM_NOT_ALLOWED),
    (S.END, 471, "Authorization failed: Envelope From address x@y.example not authorized", SETUP, m.FROM_NOT_ALLOWED),
    (S.RCPT, 550, "Bitte TLS aktivieren", SETUP, m.WANTS_TLS),
    (S.RCPT, 550, "HELO name does not resolve", SETUP, m.OUR_NAME),
    # --- Our pace
    (S.RCPT, 550, "You have sent too many emails", PACE, m.QUOTA),
    (S.RCPT, 550, "Ha superado el número máximo de mensajes por hora", PACE, m.QUOTA),
    (S.RCPT, 550, "Superato il numero massimo di messaggi giornalieri", PACE, m.QUOTA),
    (S.END, 550, "5.7.0 Requested action not taken: message limit for this plan reached", PACE, m.QUOTA),
    (S.END, 525, "5.7.13 Email credits used up", PACE, m.QUOTA),
]
# fmt: on
