"""From which address a request came, as far as it can be believed."""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest

UNKNOWN = "unknown"  # such as over a Unix socket without BEHIND_PROXY
HOP = re.compile(r"\s*(?:\[(?P<bracketed>[0-9A-Fa-f:.]{2,45})\]|(?P<plain>[0-9.]{7,15}))(?::[0-9]{1,5})?\s*")
MOST_HOPS = 20  # that are looked at
WHOLE = 64  # bits of an IPv6 address: what one site gets, and may choose from freely

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_of(request: HttpRequest | None) -> str:
    """An IPv4 address, or the /64 network of an IPv6 one; UNKNOWN where there is none."""
    return UNKNOWN if request is None else address_in(request.META)


def address_in(meta: Mapping[str, Any]) -> str:
    """The same from what the web server says of a request (PEP 3333).

    X-Forwarded-For counts only with BEHIND_PROXY. Each proxy adds on the right who came to it. What lies left of the
    first hop that is none of TRUSTED_PROXIES was written by strangers.
    """
    found = _read(meta.get("REMOTE_ADDR", ""))
    if settings.BEHIND_PROXY:
        for hop in reversed(meta.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", MOST_HOPS)[-MOST_HOPS:]):
            address = _read(hop)
            if address is None:
                break
            found = address
            if not _is_trusted(address):
                break
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(found), WHOLE), strict=False))
    return UNKNOWN if found is None else str(found)


def _is_trusted(address: Address) -> bool:
    return any(address in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


@lru_cache(maxsize=1)
def _networks(written: tuple[str, ...]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(each) for each in written]


def _read(hop: str) -> Address | None:
    """An address with or without a port; None for anything else."""
    match = HOP.fullmatch(hop)
    text = (match["bracketed"] or match["plain"]) if match else hop.strip()[:50].partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
