"""Mail that is written once: what a queue should also be able to hold."""

from datetime import datetime
from random import Random

from . import company, reports
from .company import Customer
from .mails import File, Mail, compose


def weekly_jobs(at: datetime, token: str, random: Random, customers: list[Customer]) -> Mail:
    """A CSV file for several people, with a copy."""
    return compose(
        company.SCHEDULING,
        [
            Customer(0, "Zielinski Gas Services", "piotr@zielinski-gas.example.net", ""),
            Customer(0, "Adeyemi Plumbing", "kezia@adeyemi.example.org", ""),
        ],
        f"Jobs of the week from {at:%d %B}",
        """
        Hello all,

        attached are next week's jobs as a CSV file. Please tell me by
        tonight which of them you cannot do.
        """,
        at=at,
        token=token,
        files=[File("jobs.csv", reports.jobs_csv(random, at.date(), customers[:24]), "text/csv")],
        cc=[Customer(0, "Tom Hughes", company.SERVICE.address, "")],
    )


def newsletter(at: datetime, token: str, customers: list[Customer]) -> Mail:
    """HTML with a picture of its own and one that a sender would count the readers with; blind copies to many."""
    rows = "".join(
        f"<tr><td>{what}</td><td align='right'>{reports.money(pence * 9 // 10)}</td></tr>"
        for what, pence in company.WORK[:5]
    )
    cid = f"banner@{company.DOMAIN}"
    html = f"""\
<html><body style="font-family: Arial, sans-serif; color: #222222">
<img src="cid:{cid}" width="600" height="150" alt="Warm and dry: ten per cent off in March">
<h1 style="font-size: 20px">Ten per cent off in March</h1>
<p>Spring is the quiet season for boilers, and the cheap one for you:</p>
<table border="0" cellpadding="6" style="border-collapse: collapse">{rows}</table>
<p><a href="https://www.{company.DOMAIN}/march">Book online</a> or ring {company.PHONE}.</p>
<img src="https://news.{company.DOMAIN}/open.gif?id=8842" width="1" height="1" alt="">
</body></html>
"""
    return compose(
        company.CONTRACTS,
        [Customer(0, company.NAME, company.OFFICE.address, "")],
        "Warm and dry: ten per cent off in March",
        "Ten per cent off boiler services and system flushes in March. Ring us to book.",
        at=at,
        token=token,
        html=html,
        files=[File("banner.png", reports.picture_png("Ten per cent off in March"), "image/png", cid)],
        bcc=customers[:9],
    )


def many_scripts(at: datetime, token: str) -> Mail:
    """A very long subject, names in several scripts, and an address that needs SMTPUTF8 (RFC 6531)."""
    people = [Customer(0, name, address, "") for name, address in company.OTHER_SCRIPTS]
    return compose(
        company.CONTRACTS,
        [*people[:3], Customer(0, "Jürgen Groß", "jürgen.groß@example.org", "")],
        "Residents’ meeting about the communal heating at Tannery Yard: the new meters, the heat charge from April, "
        "who lets the engineers in on which day, what to do with the old radiators, and a translation for everybody – "
        "Συνέλευση κατοίκων · 住民集会 · اجتماع السكان · zebranie mieszkańców 🔧🔥",
        """
        Dear neighbours,

        the meeting is on Thursday at 18:30 in the community room.

        Η συνέλευση είναι την Πέμπτη στις 18:30.
        集会は木曜日の18時30分に行います。
        الاجتماع يوم الخميس الساعة 18:30.
        Zebranie odbędzie się w czwartek o 18:30. ☕
        """,
        at=at,
        token=token,
        cc=people[3:],
    )


def quote_with_two_reports(customer: Customer, landlord: Customer, at: datetime, token: str, random: Random) -> Mail:
    """Two reports in one mail, to the tenant with a copy to the landlord."""
    bill = reports.make_invoice(random, "Q-1187", at.date())
    report = reports.service_pdf("SR-2994", at.date(), customer, company.ENGINEERS[0], random)
    return compose(
        company.CONTRACTS,
        [customer],
        f"Quotation for {customer.street}, with the inspection report",
        f"""
        Dear {customer.name},

        as discussed: the inspection report, and our quotation of {reports.money(bill.total)}
        for the work it recommends. The quotation is valid for 30 days.
        """,
        at=at,
        token=token,
        files=[
            File("Quotation Q-1187.pdf", reports.quotation_pdf(bill, customer)),
            File("Inspection report SR-2994.pdf", report),
        ],
        cc=[landlord],
    )


def parts_order(at: datetime, token: str) -> Mail:
    """Written by a program: no author."""
    return compose(
        company.OFFICE,
        [Customer(0, "Northern Parts Counter", "orders@northern-parts.example.com", "")],
        "Purchase order 40718",
        """
        Please deliver to Canal Wharf by Friday:

          4  circulating pump 15-60
         10  thermostatic radiator valve 15 mm angled
          2  expansion vessel 8 l
        """,
        at=at,
        token=token,
    )


def price_change(customer: Customer, at: datetime, token: str) -> Mail:
    """What a filter may take for advertising."""
    return compose(
        company.CONTRACTS,
        [customer],
        "IMPORTANT: your service plan, new price, act now and SAVE",
        f"""
        Dear {customer.name},

        act now and keep the old price of your service plan for one more
        year! This offer ends on Sunday!!!
        """,
        at=at,
        token=token,
    )
