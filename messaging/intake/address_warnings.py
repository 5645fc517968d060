"""What is wrong with an address for certain, without asking the network: said before anything is sent.

Nothing is refused for it: a smart host may know better.
"""

import ipaddress
import re
from functools import lru_cache

from messaging.content import mime
from messaging.models import Phrase, Words

LONGEST = 255  # octets of a domain
RESERVED = {"invalid", "test", "localhost"}  # RFC 6761; not .example, which demonstrations use
# Top-level domains that do not exist, and what was meant.
_ENDINGS = {
    "com": ("con", "cmo", "ocm", "comm", "coom", "copm", "cpm", "vom", "xom", "c0m", "comn"),
    "net": ("nett", "ner", "nte"),
    "org": ("ogr", "orgg", "prg"),
}
# What people type for the big providers. Only names that are no one's mail domain.
_PROVIDERS = {
    "gmail.com": (
        "gmial.com", "gmal.com", "gmaill.com", "gmali.com", "gamil.com", "gnail.com", "gmai.com", "gmaul.com",
        "gmil.com", "gmsil.com", "gmail.co", "gmail.cm", "gmail.om",
    ),
    "googlemail.com": ("googelmail.com", "goolemail.com", "googlmail.com"),
    "hotmail.com": (
        "hotmial.com", "hotmal.com", "hotmil.com", "hotmai.com", "hotmaill.com", "hotamil.com", "homail.com",
        "hotnail.com", "hotmali.com", "htomail.com", "hotmail.co", "hotmail.cm",
    ),
    "outlook.com": (
        "outlok.com", "outloo.com", "oulook.com", "outllook.com", "otulook.com", "outlokk.com", "outloook.com",
        "outlook.co", "outlook.cm",
    ),
    "yahoo.com": ("yaho.com", "yahooo.com", "yhaoo.com", "yahho.com", "yhoo.com", "yaoo.com", "yahoo.co", "yahoo.cm"),
    "icloud.com": ("iclod.com", "icould.com", "iclould.com", "icoud.com", "iclud.com", "icloud.co"),
    "btinternet.com": ("btinernet.com", "btinterent.com", "btintenet.com", "btinternet.co"),
    "hotmail.co.uk": ("hotmial.co.uk", "hotmal.co.uk", "hotmai.co.uk", "hotmail.couk"),
    "yahoo.co.uk": ("yaho.co.uk", "yahooo.co.uk", "yahoo.couk"),
    "gmx.de": ("gxm.de",),
    "gmx.net": ("gxm.net",),
    "t-online.de": ("t-onlin.de", "t-onine.de"),
}  # fmt: skip
_MEANT = {wrong: right for right, wrongs in _PROVIDERS.items() for wrong in wrongs}
_MEANT_ENDING = {wrong: right for right, wrongs in _ENDINGS.items() for wrong in wrongs}
_TWICE = re.compile(r"(.+?)\.?\1")
_ENDS_TWICE = re.compile(r"(.+\.(com|net|org|edu|gov|info|de|fr|co\.uk|org\.uk))\.(?:\2)")

WORDS: dict[str, Words] = {
    "no-at": "“{address}” has no @.",
    "mistyped": "“{address}” looks mistyped: did you mean {meant}?",
    "no-dot": "“{address}” has a domain without a dot, which only a mail server of your own organisation can know.",
    "reserved-domain": "“{address}” cannot be reached: “.{ending}” is reserved, and no mail can arrive there.",
    "ends-with-number": "“{address}” ends with a number, which no domain does.",
    "ends-with-letter": "“{address}” ends with “.{ending}”, which no domain does.",
    "private-address": "“{address}” names the address {number} of a private network, which no other mail server can "
    "reach.",
}


def warning(address: str) -> Phrase | None:
    """Why an address cannot be right; None where nothing speaks against it. Never raises."""
    _, at, domain = address.strip().rpartition("@")
    shown = mime.displayable(address.strip(), 80)
    if not at:
        return Phrase("no-at", address=shown)
    found = _of_domain(domain.lower().removesuffix(".")[:LONGEST])
    return Phrase(found.key, address=shown, **found.params) if found is not None else None


@lru_cache(maxsize=10_000)
def _of_domain(domain: str) -> Phrase | None:
    if domain.startswith("[") and domain.endswith("]"):
        return _of_literal(domain[1:-1].removeprefix("ipv6:"))
    ending = domain.rpartition(".")[2]
    meant = _meant(domain)
    if meant:
        return Phrase("mistyped", meant=meant)
    if "." not in domain:
        return Phrase("no-dot")
    if ending in RESERVED:
        return Phrase("reserved-domain", ending=ending)
    if ending.isdecimal():
        return Phrase("ends-with-number")
    if len(ending) == 1:
        return Phrase("ends-with-letter", ending=ending)
    return None


def _meant(domain: str) -> str:
    """The domain that was meant, where that is plain."""
    if domain in _MEANT:
        return _MEANT[domain]
    twice = _TWICE.fullmatch(domain) or _ENDS_TWICE.fullmatch(domain)
    if twice is not None and "." in twice[1]:
        return twice[1]
    name, _, ending = domain.rpartition(".")
    if name and ending in _MEANT_ENDING:
        likely = f"{name}.{_MEANT_ENDING[ending]}"
        return _MEANT.get(likely, likely)
    if domain.startswith("www.") and domain.count(".") > 1:
        return domain.removeprefix("www.")
    return ""


def _of_literal(literal: str) -> Phrase | None:
    try:
        number = ipaddress.ip_address(literal)
    except ValueError:
        return None
    if number.is_global:
        return None
    return Phrase("private-address", number=str(number))
