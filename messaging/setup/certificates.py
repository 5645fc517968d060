"""Certificates in words: the authorities that a layer trusts beside the system's, and what a server shows."""

import ssl
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import NameOID

from messaging.content import mime

from .host_names import CertifiedNames

MAX_OCTETS = 200_000


def tls_context(authorities: str = "") -> ssl.SSLContext:
    """A context as `make_tls_context` makes it, shared: reading the system's authorities takes tens of milliseconds.

    Made anew when the system's authorities change. It must not be changed.
    """
    paths = ssl.get_default_verify_paths()
    stamps = [(path, Path(path).stat().st_mtime_ns) for path in (paths.cafile, paths.capath) if path]
    return _kept(authorities, tuple(stamps))


@lru_cache(maxsize=16)
def _kept(authorities: str, system: tuple[tuple[str, int], ...]) -> ssl.SSLContext:
    return make_tls_context(authorities)


def make_tls_context(authorities: str = "") -> ssl.SSLContext:
    """TLS 1.2 or newer, certificates verified: by the system's authorities, and those given in PEM.

    Raises:
        ssl.SSLError, ValueError: the authorities cannot be read.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 sets both of its own accord. Certificates are judged alike on each Python; strictly by RFC 5280, the
    # authorities that many an organisation made for itself would no longer be good enough.
    context.verify_flags &= ~(ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)
    if authorities:
        context.load_verify_locations(cadata=authorities)
        # What an administrator entered is trusted as it is, be it the root, an authority below it or the server's own.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


class BadBundle(ValueError):
    """What was entered holds no certificate authorities: why, in plain words."""


def check_bundle(text: str) -> str:
    """The PEM certificates in `text`, without what stands around them.

    Raises:
        BadBundle: none, too many, a private key among them, or one that cannot be read.
    """
    if len(text) > MAX_OCTETS:
        raise BadBundle(
            f"This is larger than {MAX_OCTETS:,} octets. Enter only the certificates that are needed, not the system’s."
        )
    if "PRIVATE KEY" in text:
        raise BadBundle("It contains a private key, which belongs on the mail server alone. Enter certificates only.")
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise BadBundle(
            "It contains no certificate that can be read. It must be PEM: -----BEGIN CERTIFICATE-----."
        ) from error
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in found)


def as_pem(data: bytes) -> str:
    """A file of certificates as PEM text; Windows exports one as DER. What is neither stays what it is."""
    if b"-----BEGIN" in data:
        return data.decode("utf-8", "replace")
    try:
        certificate = x509.load_der_x509_certificate(data)
    except ValueError:
        return data.decode("utf-8", "replace")
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def facts(bundle: str) -> list[dict[str, str]]:
    """The authorities in a bundle: [{"name", "begins", "ends", "fingerprint"}, ...], days as 2026-11-24 and the
    fingerprint by SHA-256; [] when it cannot be read.
    """
    try:
        found = x509.load_pem_x509_certificates(bundle.encode())
    except ValueError:
        return []
    return [
        {
            "name": common_name(one),
            "begins": one.not_valid_before_utc.date().isoformat(),
            "ends": one.not_valid_after_utc.date().isoformat(),
            "fingerprint": _fingerprint(one),
        }
        for one in found
    ]


def in_words(authorities: list[dict[str, str]]) -> str:
    """The `facts` of a bundle in words: name and last day of each."""
    words = [f"{one['name']} until {date.fromisoformat(one['ends']):%-d %b %Y}" for one in authorities]
    return ", ".join(words) or "cannot be read"


def summary(bundle: str) -> str:
    """The authorities in a bundle in words."""
    return in_words(facts(bundle))


def common_name(certificate: x509.Certificate) -> str:
    """Whom a certificate is for: its common name, or all it says of its subject."""
    return _called(certificate.subject)


def _called(subject: x509.Name) -> str:
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return mime.undeceptive(str(names[0].value) if names else subject.rfc4514_string())


@dataclass(frozen=True)
class Shown:
    """What a server's certificate says: for which host names and addresses, by whom, from when until when.

    `key` and `signature` are their methods: "RSA, 2,048 bits", "sha256".
    """

    subject: str
    names: CertifiedNames
    issuer: str
    begins: datetime
    ends: datetime
    fingerprint: str
    is_self_signed: bool
    key: str
    signature: str

    def is_for(self, host: str) -> bool:
        """Whether OpenSSL takes it for a certificate of `host`."""
        return self.names.fit(host)


def read(der: bytes) -> Shown:
    """Read the certificate that a server shows. Raises ValueError: it cannot be read."""
    found = x509.load_der_x509_certificate(der)
    return Shown(
        common_name(found),
        _names(found),
        _called(found.issuer),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
        _fingerprint(found),
        found.issuer == found.subject,
        _key(found),
        _signature(found),
    )


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _names(certificate: x509.Certificate) -> CertifiedNames:
    common = tuple(
        str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME) if name.value
    )
    try:
        others = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return CertifiedNames(common=common)
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError("the names of the certificate cannot be read") from error
    addresses = others.get_values_for_type(x509.IPAddress)
    return CertifiedNames(
        tuple(others.get_values_for_type(x509.DNSName)),
        tuple(each for each in addresses if isinstance(each, IPv4Address | IPv6Address)),
        common,
    )


def _key(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "of an unknown kind"
    match key:
        case rsa.RSAPublicKey():
            return f"RSA, {key.key_size:,} bits"
        case ec.EllipticCurvePublicKey():
            return f"EC, {key.key_size:,} bits"
        case dsa.DSAPublicKey():
            return f"DSA, {key.key_size:,} bits"
    return type(key).__name__.removesuffix("PublicKey").strip("_")


def _signature(certificate: x509.Certificate) -> str:
    try:
        method = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return "unknown"
    return method.name.upper() if method is not None else "part of the key’s method"
