"""Brightwater Heating & Plumbing: its people, customers and price list. All domains are reserved (RFC 2606)."""

from dataclasses import dataclass
from random import Random

from django.contrib.auth.models import User

from messaging import users

NAME = "Brightwater Heating & Plumbing"
DOMAIN = "brightwater.example"
STREET = "14 Canal Wharf, Leeds LS11 5PS"
PHONE = "0113 496 0142"
BANK = "Sort code 00-00-00, account 12345678"


@dataclass(frozen=True)
class Person:
    """Someone who writes mail; `username` "" is a program."""

    username: str
    name: str
    title: str

    @property
    def address(self) -> str:
        return f"{self.username or 'office'}@{DOMAIN}"


@dataclass(frozen=True)
class Customer:
    """Who gets mail; `number` is the customer number."""

    number: int
    name: str
    address: str
    street: str


OFFICE = Person("", NAME, "Office")
SCHEDULING = Person("s.okafor", "Sade Okafor", "Scheduling")
ACCOUNTS = Person("m.lindqvist", "Maja Lindqvist", "Accounts")
SERVICE = Person("t.hughes", "Tom Hughes", "Service manager")
CONTRACTS = Person("p.nair", "Priya Nair", "Contracts")
AUTHORS = (SCHEDULING, ACCOUNTS, SERVICE, CONTRACTS)

ENGINEERS = ("Danny Walsh", "Aisha Rahman", "Piotr Zielinski", "Kezia Adeyemi", "Gareth Pugh", "Hannah Brook")

# Work and its price in pence, before VAT.
WORK = (
    ("Annual boiler service", 8900),
    ("Replace expansion vessel, 8 litres", 16450),
    ("Power flush, up to 10 radiators", 39500),
    ("Thermostatic radiator valve, fitted", 5875),
    ("Call-out, first hour", 7200),
    ("Labour, per further half hour", 2950),
    ("Circulating pump, 15-60, fitted", 21300),
    ("Smart room thermostat, fitted and set up", 18900),
    ("Gas safety inspection, landlord", 7450),
    ("Unblock kitchen waste", 9500),
    ("Unvented cylinder service", 12800),
    ("Magnetic system filter, fitted", 14200),
    ("Inhibitor, one dose", 2480),
    ("Outside tap with isolating valve", 11600),
)

VISITS = (
    "annual boiler service",
    "radiator stays cold",
    "boiler loses pressure",
    "fitting of a smart thermostat",
    "landlord gas safety inspection",
    "leaking kitchen tap",
    "quotation for a new boiler",
    "unvented cylinder service",
)

FIRST_NAMES = (
    "Amelia", "Arthur", "Beth", "Callum", "Charlotte", "Dev", "Eilidh", "Ethan", "Fatima", "George", "Grace",
    "Harpreet", "Imogen", "Jack", "Joanna", "Kofi", "Leila", "Marcus", "Nadia", "Oliver", "Poppy", "Rhys", "Rosa",
    "Samuel", "Sofia", "Stephen", "Tariq", "Una", "Victoria", "William", "Yasmin", "Zoe",
)  # fmt: skip
LAST_NAMES = (
    "Ackroyd", "Bannister", "Clarke", "Dhillon", "Eastwood", "Fairfax", "Gallagher", "Hardcastle", "Ibrahim", "Jowett",
    "Kaur", "Lister", "MacLeod", "Naylor", "Osborne", "Pickles", "Quarmby", "Rowntree", "Sutcliffe", "Thackray",
    "Umarji", "Vickers", "Wainwright", "Yates",
)  # fmt: skip
STREETS = (
    "Moorland Road", "Station Terrace", "Beech Grove", "Albert Street", "Mill Lane", "Victoria Crescent",
    "Harewood Close", "Kirkgate", "Chapel Hill", "Larkfield Avenue", "Tannery Yard", "Wharfe View",
)  # fmt: skip
TOWNS = (
    "Leeds LS6 2AB",
    "Otley LS21 3HQ",
    "Ilkley LS29 8DZ",
    "Bingley BD16 1AG",
    "Skipton BD23 1DN",
    "Wetherby LS22 6NE",
)
MAIL_DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com", "post.example.org")
OTHER_SCRIPTS = (
    ("Γιώργος Παπαδόπουλος", "g.papadopoulos@example.org"),
    ("山本 花子", "hanako.yamamoto@example.com"),
    ("فاطمة الزهراء", "f.alzahra@example.net"),
    ("Łukasz Wiśniewski", "lukasz.wisniewski@example.org"),
    ("Özlem Yıldız 🌻", "ozlem.yildiz@example.com"),
)
# What the mail catcher does not simply accept, and how many customers of a thousand have such an address.
AWKWARD = (("reject", 14), ("greylist", 6), ("spam", 3), ("drop", 2))


def customers(random: Random, count: int) -> list[Customer]:
    """`count` customers, most with ordinary addresses; the same for the same state of `random`."""
    made = [_customer(random, 10_000 + index) for index in range(count)]
    for word, per_thousand in AWKWARD:
        for place in random.sample(range(count), count * per_thousand // 1000):
            made[place] = awkward(made[place], word)
    return made


def awkward(customer: Customer, word: str) -> Customer:
    """The customer with an address that the mail catcher treats by `word` (see messaging/local/catcher.py)."""
    return Customer(customer.number, customer.name, f"{word}.{customer.address}", customer.street)


def _customer(random: Random, number: int) -> Customer:
    street = f"{random.randint(1, 180)} {random.choice(STREETS)}, {random.choice(TOWNS)}"
    if random.random() < 0.02:
        return Customer(number, *random.choice(OTHER_SCRIPTS), street)
    first, last = random.choice(FIRST_NAMES), random.choice(LAST_NAMES)
    plain = first.lower()
    forms = (f"{plain}.{last}", f"{plain[0]}{last}", f"{last}{number % 100}")
    local_part = random.choice(forms).lower()
    return Customer(number, f"{first} {last}", f"{local_part}@{random.choice(MAIL_DOMAINS)}", street)


def authors() -> dict[str, User]:
    """The company's people as users who cannot sign in, by user name; made when they are not there."""
    names = [person.username for person in AUTHORS]
    found = {user.username: user for user in User.objects.filter(username__in=names)}
    for person in AUTHORS:
        if person.username not in found:
            first_name, _, last_name = person.name.partition(" ")
            found[person.username] = users.create(
                person.username,
                None,
                email=person.address,
                first_name=first_name,
                last_name=last_name,
                via="demo",
            )
    return found
