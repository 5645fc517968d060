"""Certificates for TLS tests, made on the spot."""

import datetime as dt
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """A certificate authority in a folder; `trust` makes OpenSSL's default context believe it."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        builder = _builder(self.name, self.name, self.key, days=30)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = builder.sign(self.key, hashes.SHA256())
        (folder / "ca.pem").write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def trust(self, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(self.folder / "ca.pem"))

    def server_context(self, name="127.0.0.1", days=30):
        """A context with a certificate for `name`; negative days make it expired."""
        return self.context_for(name, [general_name(name)], days=days)

    def context_for(self, common_name, names=(), *, key=None, days=30):
        """A context with a certificate for a common name ("": none) and alternative names (None: no extension)."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = _builder(x509.Name(subject), self.name, key, days)
        if names is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        return self._context(f"{certificate.serial_number}.pem", certificate, key)

    def self_signed_context(self, name="127.0.0.1"):
        """A context with a certificate that vouches for itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(own, own, key, days=30).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]), critical=False
        )
        return self._context("self-signed.pem", builder.sign(key, hashes.SHA256()), key)

    def _context(self, file_name, certificate, key):
        path = self.folder / file_name
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # a server may have what a client does not take
        context.load_cert_chain(path)
        return context


def general_name(name):
    """An address as an address, and everything else as a host name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject, issuer, key, days):
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=60))
        .not_valid_after(now + dt.timedelta(days=days))
    )
