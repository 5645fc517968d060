"""What is attached: PDF reports with letterhead, tables and totals, a CSV file and a picture."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO, StringIO
from random import Random

from PIL import Image, ImageDraw, ImageFont
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from . import company
from .company import Customer

BLUE = colors.HexColor("#14507a")
PALE = colors.HexColor("#eaf2f8")
TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=9.5, leading=13)
TITLE = ParagraphStyle("title", parent=TEXT, fontName="Helvetica-Bold", fontSize=15, leading=20, textColor=BLUE)
VAT_PERCENT = 20


@dataclass(frozen=True)
class Invoice:
    """Lines are (what, quantity, pence each before VAT)."""

    number: str
    day: date
    lines: tuple[tuple[str, int, int], ...]

    @property
    def net(self) -> int:
        return sum(quantity * each for _, quantity, each in self.lines)

    @property
    def vat(self) -> int:
        return round(self.net * VAT_PERCENT / 100)

    @property
    def total(self) -> int:
        return self.net + self.vat


def money(pence: int) -> str:
    return f"£{pence / 100:,.2f}"


def long_date(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def make_invoice(random: Random, number: str, day: date) -> Invoice:
    """An invoice for one to five pieces of work."""
    work = random.sample(company.WORK, random.randint(1, 5))
    return Invoice(number, day, tuple((what, random.choice((1, 1, 1, 2, 3)), each) for what, each in work))


def invoice_pdf(invoice: Invoice, customer: Customer) -> bytes:
    due = long_date(invoice.day + timedelta(days=14))
    closing = f"Please pay by {due}, quoting {invoice.number}. {company.BANK}."
    return _priced_pdf("Invoice", "To pay", invoice, customer, closing)


def quotation_pdf(quotation: Invoice, customer: Customer) -> bytes:
    valid = long_date(quotation.day + timedelta(days=30))
    closing = f"Valid until {valid}. To order, answer the mail or ring us, quoting {quotation.number}."
    return _priced_pdf("Quotation", "In all", quotation, customer, closing)


def _priced_pdf(kind: str, total_word: str, invoice: Invoice, customer: Customer, closing: str) -> bytes:
    rows = [["Description", "Qty", "Each", "Amount"]]
    rows += [[what, str(number), money(each), money(number * each)] for what, number, each in invoice.lines]
    totals = [
        ["", "", "Net", money(invoice.net)],
        ["", "", f"VAT {VAT_PERCENT}%", money(invoice.vat)],
        ["", "", total_word, money(invoice.total)],
    ]
    return _pdf(
        f"{kind} {invoice.number}",
        [
            *_addressed(customer, invoice.day),
            _table(rows + totals, (92, 16, 30, 32), totals=3),
            Spacer(1, 8 * mm),
            Paragraph(closing, TEXT),
        ],
    )


def statement_pdf(number: str, day: date, customer: Customer, invoices: Sequence[Invoice], paid: int) -> bytes:
    """A statement of account; the first `paid` invoices are paid."""
    rows = [["Date", "Reference", "Charged", "Paid", "Balance"]]
    balance = 0
    for index, invoice in enumerate(invoices):
        balance += invoice.total
        rows.append([f"{invoice.day:%d/%m/%Y}", f"Invoice {invoice.number}", money(invoice.total), "", money(balance)])
        if index < paid:
            balance -= invoice.total
            on = invoice.day + timedelta(days=9)
            rows.append([f"{on:%d/%m/%Y}", "Payment received, thank you", "", money(invoice.total), money(balance)])
    rows.append(["", "Balance due", "", "", money(balance)])
    return _pdf(
        f"Statement {number}",
        [*_addressed(customer, day), _table(rows, (26, 62, 28, 28, 26), totals=1)],
    )


def service_pdf(number: str, day: date, customer: Customer, engineer: str, random: Random) -> bytes:
    """What an engineer found at an annual service."""
    readings = [
        ("Working pressure", f"{random.uniform(18, 21):.1f} mbar", "Within limits"),
        ("Flue gas CO/CO2 ratio", f"{random.uniform(0.0002, 0.0021):.4f}", "Within limits"),
        ("Flow temperature", f"{random.randint(58, 71)} °C", "As set"),
        ("Return temperature", f"{random.randint(41, 52)} °C", "As set"),
        ("System pressure, cold", f"{random.uniform(1.0, 1.6):.1f} bar", _seldom(random, "Topped up")),
        ("Condensate trap", "cleaned", "OK"),
        ("Expansion vessel", f"{random.uniform(0.7, 1.0):.1f} bar", _seldom(random, "Recharged")),
    ]
    return _pdf(
        f"Service report {number}",
        [
            *_addressed(customer, day),
            Paragraph(f"Engineer: {engineer}. Appliance: wall-hung condensing boiler, 24 kW.", TEXT),
            Spacer(1, 4 * mm),
            _table([["Checked", "Reading", "Result"], *map(list, readings)], (76, 46, 48)),
            Spacer(1, 8 * mm),
            Paragraph(f"Next service due in {day.replace(day=1) + timedelta(days=366):%B %Y}.", TEXT),
        ],
    )


def _seldom(random: Random, what: str) -> str:
    return what if random.random() < 0.3 else "OK"


def jobs_csv(random: Random, day: date, customers: Sequence[Customer]) -> bytes:
    """The jobs of a week, as a spreadsheet program opens them."""
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["Date", "Time", "Engineer", "Customer", "Address", "Job", "Minutes"])
    for index, customer in enumerate(customers):
        writer.writerow(
            [
                (day + timedelta(days=index % 5)).isoformat(),
                f"{8 + index % 9:02d}:{random.choice(('00', '30'))}",
                random.choice(company.ENGINEERS),
                customer.name,
                customer.street,
                random.choice(company.VISITS),
                random.choice((45, 60, 90, 120)),
            ]
        )
    return text.getvalue().encode()


def picture_png(words: str) -> bytes:
    """A banner of 600 by 150 pixels."""
    image = Image.new("RGB", (600, 150))
    draw = ImageDraw.Draw(image)
    for y in range(150):
        draw.line((0, y, 600, y), fill=(20 + y // 4, 80 + y // 2, 122 + y // 2))
    for x in range(0, 600, 40):
        draw.arc((x - 20, 104, x + 20, 136), 0, 180, fill=(205, 226, 240), width=3)
    draw.ellipse((36, 62, 84, 110), fill="white")
    draw.polygon([(60, 26), (38, 78), (82, 78)], fill="white")
    draw.text((112, 46), words, fill="white", font=ImageFont.load_default(size=30))
    target = BytesIO()
    image.save(target, "PNG", optimize=True)
    return target.getvalue()


# --- The look of a report ---------------------------------------------------------------------------


def _pdf(title: str, story: list[Flowable]) -> bytes:
    target = BytesIO()
    document = SimpleDocTemplate(
        target, pagesize=A4, title=title, author=company.NAME, invariant=1,
        leftMargin=20 * mm, rightMargin=20 * mm, topMargin=42 * mm, bottomMargin=24 * mm,
    )  # fmt: skip
    document.build([Paragraph(title, TITLE), Spacer(1, 4 * mm), *story], _letterhead, _letterhead)
    return target.getvalue()


def _letterhead(canvas: Canvas, document: SimpleDocTemplate) -> None:
    width, height = A4
    canvas.saveState()
    canvas.setFillColor(BLUE)
    canvas.circle(27 * mm, height - 23 * mm, 5 * mm, stroke=0, fill=1)
    drop = canvas.beginPath()
    drop.moveTo(27 * mm, height - 12 * mm)
    drop.lineTo(22.4 * mm, height - 21 * mm)
    drop.lineTo(31.6 * mm, height - 21 * mm)
    canvas.drawPath(drop, stroke=0, fill=1)
    canvas.setFont("Helvetica-Bold", 15)
    canvas.drawString(37 * mm, height - 20 * mm, company.NAME)
    canvas.setFont("Helvetica", 8.5)
    canvas.setFillColor(colors.HexColor("#444444"))
    canvas.drawString(37 * mm, height - 25 * mm, f"{company.STREET}  |  {company.PHONE}  |  {company.OFFICE.address}")
    canvas.setStrokeColor(BLUE)
    canvas.line(20 * mm, height - 32 * mm, width - 20 * mm, height - 32 * mm)
    canvas.drawString(20 * mm, 14 * mm, f"{company.NAME}, registered in England. {company.BANK}.")
    canvas.drawRightString(width - 20 * mm, 14 * mm, f"Page {document.page}")
    canvas.restoreState()


def _addressed(customer: Customer, day: date) -> list[Flowable]:
    street, _, town = customer.street.partition(", ")
    to = Paragraph(f"{customer.name}<br/>{street}<br/>{town}", TEXT)
    facts = Paragraph(f"Date: {long_date(day)}<br/>Customer number: {customer.number}", TEXT)
    columns = Table([[to, facts]], colWidths=[110 * mm, 60 * mm], style=[("VALIGN", (0, 0), (-1, -1), "TOP")])
    return [columns, Spacer(1, 8 * mm)]


def _table(rows: list[list[str]], widths: Sequence[int], totals: int = 0) -> Table:
    """A table with a coloured head; with `totals` rows at its end, the last three columns hold amounts."""
    style = TableStyle(
        [
            ("FONT", (0, 0), (-1, -1), "Helvetica", 9.5),
            ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 9.5),
            ("BACKGROUND", (0, 0), (-1, 0), BLUE),
            ("TEXTCOLOR", (0, 0), (-1, 0), colors.white),
            ("ROWBACKGROUNDS", (0, 1), (-1, -1), [colors.white, PALE]),
            ("LINEBELOW", (0, -1), (-1, -1), 0.8, BLUE),
        ]
    )
    if totals:
        style.add("ALIGN", (-3, 0), (-1, -1), "RIGHT")
        style.add("BACKGROUND", (0, -totals), (-1, -1), colors.white)
        style.add("LINEABOVE", (0, -totals), (-1, -totals), 0.8, BLUE)
        style.add("FONT", (0, -1), (-1, -1), "Helvetica-Bold", 10)
    return Table(rows, colWidths=[width * mm for width in widths], style=style, repeatRows=1)
