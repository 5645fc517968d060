"""What tests start from, made through the same doors as in real life: people, settings, messages."""

import email.message
import email.policy
from datetime import timedelta

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from messaging.access import roles
from messaging.company import options
from messaging.intake.gate import Submission, accept
from messaging.lifecycle import transitions
from messaging.models import EmailSettings, Message, Phrase
from messaging.queue import batches
from messaging.setup import opt_files
from messaging.setup.secrets import encrypt

OFFICE = "office@brightwater.example"
PASSWORD = "s3cret pässword"


def make_user(username, email="", password=None, role=roles.OPERATOR, **values):
    """A user who may sign in; `role` "" for none."""
    user = User.objects.create_user(username, email, password, **values)
    roles.give(user, role)
    return user


def browser_of(user):
    """A browser in which that user is signed in."""
    browser = Client()
    browser.force_login(user)
    return browser


def said(words):
    """A reason in someone's own words, as rows keep it."""
    return Phrase("said", words=words)


# --- Settings --------------------------------------------------------------------------------------


def set_up(server, **values):
    """The company's Email Setup points at a server on loopback."""
    row, _ = EmailSettings.objects.update_or_create(
        account=None,
        defaults={"send_type": 2, "host": "127.0.0.1", "port": server.port, "ehlo_name": "t.example"} | values,
    )
    return row


def signing_in(username="anna", password=PASSWORD):
    """What Email Setup needs for a sign-in."""
    return {"send_type": 3, "username": username, "password_encrypted": encrypt(password)}


def write_opt_files(folder, **fields):
    """`port="587"` writes email.smtp_port.opt; text as UTF-8."""
    names = {field: name for name, field in opt_files.FILES.items()}
    for field, content in fields.items():
        (folder / names[field]).write_bytes(content if isinstance(content, bytes) else str(content).encode())


def hold_mail(record=True, hold=True):
    """Switch the two options of S3 as an administrator does."""
    options.save({"record_mail": record, "hold_mail": hold}, by=None)


# --- Messages --------------------------------------------------------------------------------------


def make_mail(*recipients, subject="Your appointment", body="Dear customer,\n", html=None, files=(), inline=()):
    """A mail; `files` are (name, type, octets), `inline` (Content-ID, type, octets) for the HTML."""
    mail = email.message.EmailMessage(policy=email.policy.SMTP)
    mail["From"] = f"Office <{OFFICE}>"
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = subject
    mail.set_content(body)
    if html is not None:
        mail.add_alternative(html, subtype="html")
    for content_id, kind, octets in inline:
        mail.get_payload()[1].add_related(octets, *kind.split("/"), cid=f"<{content_id}>")
    for name, kind, octets in files:
        maintype, subtype = kind.split("/")
        mail.add_attachment(octets, maintype=maintype, subtype=subtype, filename=name)
    return mail


PARTS_OF_A_MAIL = ("subject", "body", "html", "files", "inline")


def submission(*recipients, **options):
    """What a way in hands to the gate; the options are those of make_mail and of Submission."""
    parts = {name: options.pop(name) for name in PARTS_OF_A_MAIL if name in options}
    options.setdefault("raw", make_mail(*recipients, **parts).as_bytes())
    return Submission(**{"reverse_path": OFFICE, "recipients": list(recipients), "via": "test"} | options)


def make_message(*recipients, due=True, **options):
    """A message accepted by the gate; `due` makes it claimable at once."""
    message = accept(submission(*recipients, **options))
    if due:
        Message.objects.filter(pk=message.pk).update(not_before=timezone.now())
        message.refresh_from_db()
    return message


def make_messages(count, **options):
    """Messages to c0@, c1@ and so on, about Invoice 0, Invoice 1 and so on."""
    return [make_message(f"c{number}@example.com", subject=f"Invoice {number}", **options) for number in range(count)]


FITTING = {
    "queued": {},
    "held": {"hold_kind": "hold"},
    "sending": {"lease_owner": "another", "lease_expires_at": timezone.now() + timedelta(days=1)},
    "sent": {"sent_at": timezone.now(), "not_before": None},
    "failed": {"not_before": None},
    "unknown": {"not_before": None},
    "cancelled": {"not_before": None},
}


def fitting(**values):
    """The columns that a state needs, and none of those of the others, beside what is said."""
    if "status" not in values:
        return values
    others = transitions.UNCLAIMED | transitions.NOT_HELD | {"sent_at": None}
    in_no_batch = {"batch": None} if values["status"] in ("held", "cancelled") else {}
    as_draft = {"hold_kind": "mail-program", "status_before": "queued"} if values.get("handed_to") else {}
    return others | in_no_batch | FITTING[values["status"]] | as_draft | values


def put(message, **values):
    """Write to the row behind everyone's back."""
    Message.objects.filter(pk=message.pk).update(**fitting(**values))
    message.refresh_from_db()
    return message


# --- Batches ---------------------------------------------------------------------------------------


def draft_batch(*messages, by, **options):
    """A batch that someone has chosen, of their own account."""
    chosen = Message.objects.filter(pk__in=[message.pk for message in messages])
    return batches.choose(chosen, **{"by": by, "account": by} | options)


def confirmed_batch(operator, *addresses):
    """A batch of the company with a message to each address."""
    for address in addresses:
        make_message(address, due=False)
    batch = batches.choose(Message.objects.filter(not_before=None), by=operator, account=None)
    batches.confirm(batch, by=operator)
    return batch
