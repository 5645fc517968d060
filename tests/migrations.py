"""Which migrations exist, and that none of them was changed since it was listed: `make migrations` keeps the list.

    python -m tests.migrations [--release VERSION]

A migration that has run somewhere does not run there again, so a correction goes into a new one. That holds for those
of a release, and for those after it, because people run main. The list is beside the migrations: a line for each file,
with the version that it was released with, or `unreleased`, and its SHA-256.
"""

import argparse
import hashlib
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "messaging" / "migrations"
LIST = "released.txt"
UNRELEASED = "unreleased"
HEAD = """\
# Kept by `make migrations`. A migration on this list is not changed any more: correct it in a new one.
# 0.1.0 had 0004 as 8f6f75a88a43561990dac5a303351b60c29bb20c8c78f85a12ebf90c1cb19875. It was changed after that, for
# upgrades from before 0.1.0 and for the way back; the tables that it makes are the same.
"""
LINE = re.compile(r"(?P<name>\S+) +(?P<version>\S+) +(?P<digest>[0-9a-f]{64})")


def read(folder):
    """The version and the digest of each file on the list. Raises ValueError: a line is not understood."""
    found = {}
    for line in (folder / LIST).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") and line.strip():
            match = LINE.fullmatch(line)
            if match is None or match["name"] in found:
                raise ValueError(f"{LIST} has a line that is not understood: {line}")
            found[match["name"]] = (match["version"], match["digest"])
    return found


def digests(folder):
    """Of each migration, and of what migrations read."""
    files = sorted(file for file in folder.iterdir() if file.suffix in (".py", ".json") and file.name != "__init__.py")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def changed(folder):
    """What was done to migrations on the list, a sentence for each."""
    there = digests(folder)
    return [
        _sentence(name, version, "changed" if name in there else "gone")
        for name, (version, digest) in read(folder).items()
        if there.get(name) != digest
    ]


def _sentence(name, version, fate):
    again = "Put it back as it was, and correct it in a new migration."
    if version != UNRELEASED:
        return f"{name} was released with {version} and is {fate}. {again}"
    never = f"Where it was never on main, delete its line in {LIST} and run make migrations."
    return f"{name} is {fate}, and does not run again where main is used. {again} {never}"


def unlisted(folder):
    """The migrations that are not on the list, a sentence for each."""
    return [f"{name} is not in {LIST}. Run make migrations." for name in digests(folder).keys() - read(folder).keys()]


def update(folder, release=""):
    """Add what is new; with `release`, all that is unreleased is released with that version."""
    listed = read(folder)
    lines = []
    for name, digest in digests(folder).items():
        version, _ = listed.get(name, (UNRELEASED, ""))
        lines.append(f"{name} {release if release and version == UNRELEASED else version} {digest}\n")
    (folder / LIST).write_text(HEAD + "".join(lines), encoding="utf-8")


def main(folder=FOLDER, arguments=None):
    """Update the list. Returns 1 where migrations on it were changed; then it stays as it is."""
    parser = argparse.ArgumentParser(prog="python -m tests.migrations", description="Keep the list of migrations.")
    parser.add_argument("--release", default="", metavar="VERSION", help="what is unreleased is released with it")
    options = parser.parse_args(arguments)
    if faults := changed(folder):
        sys.stderr.write("\n".join([*faults, ""]))
        return 1
    update(folder, options.release)
    return 0


if __name__ == "__main__":
    sys.exit(main())
