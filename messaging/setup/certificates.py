"""Certificate authorities that a layer trusts beside the system's: read, checked and told in words."""

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

MAX_OCTETS = 200_000


class BadBundle(ValueError):
    """What was entered holds no certificate authorities: why, in plain words."""


def check_bundle(text: str) -> str:
    """The PEM certificates in `text`, without what stands around them.

    Raises:
        BadBundle: none, too many, a private key among them, or one that cannot be read.
    """
    if len(text) > MAX_OCTETS:
        raise BadBundle(f"This is larger than {MAX_OCTETS:,} octets. Enter the certificates needed, not the system’s.")
    if "PRIVATE KEY" in text:
        raise BadBundle(
            "There is a private key in it, which belongs to the mail server alone. Enter certificates only."
        )
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise BadBundle(
            "There is no certificate in it that can be read. It must be PEM: -----BEGIN CERTIFICATE-----."
        ) from error
    parts = text.split("-----BEGIN CERTIFICATE-----")[1:]
    bodies = [part.partition("-----END CERTIFICATE-----")[0] for part in parts]
    assert len(bodies) == len(found)
    return "".join(f"-----BEGIN CERTIFICATE-----{body}-----END CERTIFICATE-----\n" for body in bodies)


def as_pem(data: bytes) -> str:
    """A file of certificates as PEM text; Windows exports one as DER. What is neither stays what it is."""
    if b"-----BEGIN" in data:
        return data.decode("utf-8", "replace")
    try:
        certificate = x509.load_der_x509_certificate(data)
    except ValueError:
        return data.decode("utf-8", "replace")
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def summary(bundle: str) -> str:
    """The authorities in a bundle: name and last day of each."""
    try:
        found = x509.load_pem_x509_certificates(bundle.encode())
    except ValueError:
        return "cannot be read"
    return ", ".join(f"{common_name(one)} until {one.not_valid_after_utc:%-d %b %Y}" for one in found)


def common_name(certificate: x509.Certificate) -> str:
    """Whom a certificate is for: its common name, or all it says of its subject."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()
