"""The kinds of mail the company writes, as RFC 5322 bytes. The same arguments give the same bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.utils import format_datetime
from random import Random
from textwrap import dedent
from typing import TypedDict, Unpack

from . import company, reports
from .company import Customer, Person

# Plain ASCII on the wire: believable, and the gate has nothing to encode again.
POLICY = SMTPUTF8.clone(cte_type="7bit", utf8=False)


@dataclass(frozen=True)
class Mail:
    """A message, its envelope and who wrote it. The reverse-path is the writer's address."""

    raw: bytes
    recipients: tuple[str, ...]
    writer: Person
    at: datetime


@dataclass(frozen=True)
class File:
    """An attachment, or with `cid` a picture shown within the HTML text."""

    name: str
    data: bytes
    content_type: str = "application/pdf"
    cid: str = ""


class Copies(TypedDict, total=False):
    """Who gets a copy, openly or blind."""

    cc: Sequence[Customer]
    bcc: Sequence[Customer]


def compose(
    writer: Person,
    to: Sequence[Customer],
    subject: str,
    text: str,
    *,
    at: datetime,
    token: str,
    html: str = "",
    files: Sequence[File] = (),
    cc: Sequence[Customer] = (),
    bcc: Sequence[Customer] = (),
) -> Mail:
    """Write a mail; `token` makes its Message-ID and boundaries."""
    recipients = [*to, *cc, *bcc]
    needs_utf8 = not all(customer.address.isascii() for customer in recipients)
    mail = EmailMessage(policy=POLICY.clone(utf8=True) if needs_utf8 else POLICY)
    mail["From"] = Address(writer.name, addr_spec=writer.address)
    for field, customers in (("To", to), ("Cc", cc), ("Bcc", bcc)):
        if customers:
            mail[field] = [_mailbox(customer) for customer in customers]
    mail["Subject"] = subject
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{token}@{company.DOMAIN}>"
    if writer.username:
        mail["Reply-To"] = Address(company.NAME, addr_spec=company.OFFICE.address)
    mail.set_content(f"{dedent(text).strip()}\n\n{_signature(writer)}")
    if html:
        mail.add_alternative(html, subtype="html")
    for file in files:
        _attach(mail, file)
    for number, part in enumerate(mail.walk()):
        if part.is_multipart():
            part.set_boundary(f"=_{number}_{token}")
    return Mail(mail.as_bytes(), tuple(customer.address for customer in recipients), writer, at)


def _mailbox(customer: Customer) -> Address:
    local_part, _, domain = customer.address.rpartition("@")
    return Address(customer.name, local_part, domain)


def _attach(mail: EmailMessage, file: File) -> None:
    main, _, sub = file.content_type.partition("/")
    if file.cid:
        page = mail.get_body(("html",))
        assert isinstance(page, EmailMessage)
        page.add_related(file.data, main, sub, cid=f"<{file.cid}>", filename=file.name, disposition="inline")
    else:
        mail.add_attachment(file.data, main, sub, filename=file.name)


def _signature(writer: Person) -> str:
    return f"-- \n{writer.name}, {writer.title}\n{company.NAME}\n{company.STREET}\n{company.PHONE}\n"


# --- The everyday mail ------------------------------------------------------------------------------


def appointment(customer: Customer, at: datetime, token: str, random: Random, **copies: Unpack[Copies]) -> Mail:
    job = random.choice(company.VISITS)
    day = random.choice(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"))
    hour = random.randint(8, 15)
    return compose(
        company.SCHEDULING,
        [customer],
        f"Your appointment on {day}: {job}",
        f"""
        Dear {customer.name},

        this is to confirm your appointment on {day} between {hour}:00 and {hour + 2}:00.

        What:      {job}
        Where:     {customer.street}
        Engineer:  {random.choice(company.ENGINEERS)}

        Please make sure that somebody is at home and that the boiler and
        the stop tap can be reached. To change the appointment, answer this
        mail or ring {company.PHONE} until 16:00 the day before.
        """,
        at=at,
        token=token,
        **copies,
    )


def reminder(customer: Customer, at: datetime, token: str, random: Random, **copies: Unpack[Copies]) -> Mail:
    return compose(
        company.SERVICE,
        [customer],
        f"Your boiler service is due ({customer.number})",
        f"""
        Dear {customer.name},

        your boiler at {customer.street}
        was last serviced eleven months ago. A yearly service keeps the
        guarantee valid and the heating bill down.

        We have appointments from {random.randint(2, 28)} of next month. Answer with a
        day that suits you, and we do the rest.
        """,
        at=at,
        token=token,
        **copies,
    )


def invoice(customer: Customer, at: datetime, token: str, random: Random, **copies: Unpack[Copies]) -> Mail:
    bill = reports.make_invoice(random, f"BW-{random.randint(20_000, 79_999)}", at.date())
    return compose(
        company.ACCOUNTS,
        [customer],
        f"Invoice {bill.number}",
        f"""
        Dear {customer.name},

        thank you for your custom. Attached is invoice {bill.number} for
        {reports.money(bill.total)}, payable within 14 days.

        {company.BANK}
        """,
        at=at,
        token=token,
        files=[File(f"Invoice {bill.number}.pdf", reports.invoice_pdf(bill, customer))],
        **copies,
    )


def statement(customer: Customer, at: datetime, token: str, random: Random, **copies: Unpack[Copies]) -> Mail:
    day = at.date()
    bills = [
        reports.make_invoice(random, f"BW-{random.randint(10_000, 19_999)}", day - timedelta(days=age))
        for age in (84, 61, 37, 16)[: random.randint(2, 4)]
    ]
    number = f"{customer.number}-{day:%Y%m}"
    pdf = reports.statement_pdf(number, day, customer, bills, paid=random.randint(0, len(bills) - 1))
    return compose(
        company.ACCOUNTS,
        [customer],
        f"Statement of account, {day:%B %Y}",
        f"""
        Dear {customer.name},

        attached is your statement of account for {day:%B %Y}. If a payment
        has crossed with this mail, please disregard the balance.
        """,
        at=at,
        token=token,
        files=[File(f"Statement {number}.pdf", pdf)],
        **copies,
    )


def service_report(customer: Customer, at: datetime, token: str, random: Random, **copies: Unpack[Copies]) -> Mail:
    number = f"SR-{random.randint(3_000, 9_999)}"
    engineer = random.choice(company.ENGINEERS)
    pdf = reports.service_pdf(number, at.date(), customer, engineer, random)
    return compose(
        company.SERVICE,
        [customer],
        f"Service report {number} for {customer.street.partition(',')[0]}",
        f"""
        Dear {customer.name},

        {engineer} has serviced your boiler. The readings and what was done
        are in the attached report. Please keep it with the guarantee papers.
        """,
        at=at,
        token=token,
        files=[File(f"Service report {number}.pdf", pdf)],
        **copies,
    )


EVERYDAY = (appointment, appointment, appointment, invoice, invoice, service_report, statement, reminder)
WITHOUT_REPORT = (appointment, reminder)
