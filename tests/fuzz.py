"""`python -m tests.fuzz KIND [libFuzzer options]`: looks for input that breaks a parser, as long as it is let.

KIND is mime, html, addresses or opt. It begins with the files of tests/corpus, and what it finds belongs there. It
needs atheris, which is for Linux and in no list of requirements; the suite tries the same with hypothesis.
"""

import os
import secrets
import sys
import tempfile
from pathlib import Path

from tests.corpus import CORPUS

LEFT_OUT = """\
******************************************************************************
* FUZZING IS LEFT OUT: atheris is not installed. pip install atheris         *
******************************************************************************"""


def main(kind, options):
    try:
        import atheris
    except ImportError:
        raise SystemExit(LEFT_OUT) from None
    with atheris.instrument_imports(include=["messaging"]):
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        os.environ.setdefault("SECRET_KEY", secrets.token_hex(32))
        os.environ.setdefault("FIELD_ENCRYPTION_KEYS", secrets.token_urlsafe(32) + "=")
        django.setup()
        from tests import reading
    with tempfile.TemporaryDirectory() as folder:
        reads = {
            "mime": reading.message,
            "html": lambda octets: reading.html(octets.decode("utf-8", "replace")),
            "addresses": lambda octets: reading.addresses_in(octets.decode("utf-8", "replace")),
            "opt": lambda octets: reading.opt(Path(folder), octets),
        }
        found = Path(folder) / "found"
        found.mkdir()
        atheris.Setup(["fuzz", "-timeout=5", *options, str(found), str(CORPUS / kind)], reads[kind])
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
