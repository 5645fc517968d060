"""Look up known vulnerabilities of everything that is pinned: make audit.

Both services that know them are asked; what neither could look up is said loudly, since no answer is no clean bill.
Ends with 1 when something vulnerable is pinned; with 2 when REQUIRE_AUDIT is set and not everything was looked up.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PINNED = ("requirements.txt", "requirements-dev.txt", "benchmarks/requirements.txt", ".ci/requirements.txt")
SERVICES = ("pypi", "osv")
MACHINES_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")  # where pip looks as well, and requests does not
TIMEOUT = 90  # seconds for one file at one service


class Answer(NamedTuple):
    """What a service says: the vulnerabilities it knows per package, and what it could not look up and why."""

    vulnerable: dict[str, list[str]]
    unknown: dict[str, str]


def ask(service: str, path: str) -> Answer:
    """Ask one service about all that a file pins. Where it cannot be reached, all of that is unknown."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", path, "--require-hashes", "--disable-pip",
               "--format", "json", "--vulnerability-service", service, "--progress-spinner", "off",
               *sys.argv[1:]]  # fmt: skip
    environment = dict(os.environ)
    if MACHINES_CERTIFICATES.exists():
        environment.setdefault("REQUESTS_CA_BUNDLE", str(MACHINES_CERTIFICATES))
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        rows = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, OSError, subprocess.TimeoutExpired):
        return Answer({}, dict.fromkeys(_pinned(path), f"{service} could not be asked"))
    found = [(f"{row['name']}=={row['version']}", row["vulns"]) for row in rows if row.get("vulns")]
    vulnerable = {name: [each["id"] for each in vulns] for name, vulns in found}
    return Answer(vulnerable, {row["name"]: row["skip_reason"] for row in rows if "skip_reason" in row})


def _pinned(path: str) -> list[str]:
    lines = (ROOT / path).read_text().splitlines()
    return [line.split("==")[0] for line in lines if "==" in line and line[0].isalnum()]


def look_up(path: str) -> Answer:
    """What any service knows; unknown is what none could look up."""
    answers = [ask(service, path) for service in SERVICES]
    vulnerable: dict[str, list[str]] = {}
    for answer in answers:
        for name, found in answer.vulnerable.items():
            vulnerable[name] = sorted({*vulnerable.get(name, []), *found})
    return Answer(vulnerable, {name: why for name, why in answers[0].unknown.items() if name in answers[1].unknown})


def main() -> int:
    vulnerable: dict[str, list[str]] = {}
    unknown: dict[str, str] = {}
    number = 0
    for path in PINNED:
        answer = look_up(path)
        number += len(_pinned(path))
        vulnerable |= answer.vulnerable
        unknown |= {f"{name} ({path})": why for name, why in answer.unknown.items()}
    for name, found in vulnerable.items():
        print(f"{name} is vulnerable: {', '.join(found)}")
    if unknown:
        print("*" * 100)
        print(f"* {len(unknown)} of {number} pinned packages could NOT be looked up, and may be vulnerable. Such as:")
        for name, why in list(unknown.items())[:5]:
            print(f"*   {name}: {why}")
        print("*" * 100)
    print(f"{number - len(unknown)} of {number} pinned packages were looked up, {len(vulnerable)} are vulnerable.")
    if vulnerable:
        return 1
    return 2 if unknown and os.environ.get("REQUIRE_AUDIT") else 0


if __name__ == "__main__":
    sys.exit(main())
