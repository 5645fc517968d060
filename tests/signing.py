"""Mail signed and encrypted by the real tools (openssl, gpg), and checked by them where it arrived."""

import base64
import hashlib
import re
import shutil
import subprocess

import pytest
from hypothesis import strategies as st

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
needs_gpg = pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not installed")

HEAD = b"From: office@example.com\r\nTo: ann@example.com\r\nSubject: Contract\r\nMIME-Version: 1.0\r\n"
IN_8_BITS = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
IN_8_BITS += "Grüße  \r\n.\r\n.x\r\n".encode()
IN_7_BITS = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n"


def run(*command, octets=b"", folder=None):
    """What a tool says on standard output. Raises CalledProcessError."""
    return subprocess.run([*map(str, command)], input=octets, cwd=folder, check=True, capture_output=True).stdout


class SMime:
    """A certificate of its own, in a folder."""

    def __init__(self, folder):
        self.key, self.certificate = folder / "key.pem", folder / "certificate.pem"
        new = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=office"]
        files = ["-keyout", self.key, "-out", self.certificate]
        run("openssl", "req", *new, *files, "-addext", "extendedKeyUsage=emailProtection")

    def sign(self, entity, *options):
        """The message that openssl makes, with its mixture of line ends; -nodetach for one that is not detached."""
        return run("openssl", "cms", "-sign", "-signer", self.certificate, "-inkey", self.key, "-from",
                   "office@example.com", "-to", "ann@example.com", "-subject", "Contract", *options,
                   octets=entity)  # fmt: skip

    def verify(self, raw):
        """What was signed. Raises CalledProcessError: the signature does not fit."""
        return run("openssl", "cms", "-verify", "-CAfile", self.certificate, "-purpose", "any", octets=raw)


class Gpg:
    """A key of its own, in a folder."""

    def __init__(self, folder):
        self.options = ["gpg", "--homedir", folder, "--batch", "--quiet", "--pinentry-mode", "loopback"]
        self.folder = folder
        folder.chmod(0o700)
        run(*self.options, "--passphrase", "", "--quick-generate-key", "office@example.com", "ed25519", "sign", "never")

    def close(self):
        run("gpgconf", "--homedir", self.folder, "--kill", "all")

    def sign(self, entity):
        """PGP/MIME (RFC 3156 5); the line end before the boundary belongs to the boundary."""
        signature = run(*self.options, "--armor", "--detach-sign", octets=entity)
        return HEAD + signed(entity, signature.replace(b"\n", b"\r\n"), protocol=b"application/pgp-signature")

    def clear_sign(self, text):
        """A text with its signature in it, with CRLF line ends."""
        return run(*self.options, "--clear-sign", octets=text).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def verify_clear(self, text):
        """Raises CalledProcessError: the signature does not fit."""
        run(*self.options, "--verify", "-", octets=text)

    def verify(self, raw):
        """Raises CalledProcessError: the signature does not fit."""
        entity, signature = parts_of(raw)
        (self.folder / "signature").write_bytes(signature.partition(b"\r\n\r\n")[2])
        run(*self.options, "--verify", self.folder / "signature", "-", octets=entity)


def signed(entity, signature, protocol=b"application/pkcs7-signature", boundary=b"sig", preamble=b"", epilogue=b""):
    """A multipart/signed entity put together by hand."""
    return (
        b'Content-Type: multipart/signed; micalg=sha-256; protocol="' + protocol + b'"; boundary=' + boundary
        + b"\r\n\r\n" + preamble + b"--" + boundary + b"\r\n" + entity + b"\r\n--" + boundary + b"\r\nContent-Type: "
        + protocol + b"\r\n\r\n" + signature + b"\r\n--" + boundary + b"--\r\n" + epilogue
    )  # fmt: skip


def parts_of(raw, boundary=b"sig"):
    """What was signed, and the part with the signature, octet for octet."""
    _, entity, signature, _ = re.split(rb"\r\n--" + boundary + rb"(?:--)?\r\n", b"\r\n" + raw)
    return entity, signature


def digest(octets):
    """In the place of a signature: it fits these octets and no others."""
    return base64.b64encode(hashlib.sha256(octets).digest())


# What real tools sign, and what they might: white space at line ends, dots, 8 bits in the header of a part, long lines.
LINES = st.sampled_from([b"", b" ", b"text  ", b".", b"..", b"From here", b"--si", "Grüße".encode(), b"\xff\xfe", b"\t",
                         b"x" * 998, b"x" * 999, b"\0", b"a\rb", b"=20", b"--sigh"])  # fmt: skip
ENTITIES = st.builds(
    lambda fields, lines: b"\r\n".join([*fields, b"", *lines]),
    st.lists(st.sampled_from([b"Content-Type: text/plain; charset=utf-8", b"Content-Transfer-Encoding: 8bit",
                              b"Content-Transfer-Encoding: binary", b"Content-Disposition: attachment;\r\n filename=a",
                              'Content-Description: Mär  z'.encode(), b"X: y  "]), max_size=3, unique=True),
    st.lists(LINES, max_size=6),
)  # fmt: skip
