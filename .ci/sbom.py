"""The software bill of materials of an installation, as CycloneDX 1.6: make sbom.

    python sbom.py PYTHON FILE

What requirements.txt pins, as it is installed for PYTHON; the front-end files in static/vendor; the container images.
Ends with an error when a part is missing or the schema does not allow what was made.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)", re.MULTILINE)
VENDORED = re.compile(
    r"^\| `(?P<folder>\w+)/` \| `(?P<name>[\w.]+)` \| (?P<version>[\d.]+) \| (?P<licence>[\w -]+) \(", re.MULTILINE
)
IMAGE = re.compile(r"^(?:FROM |\s+image: )([\w./-]+):([\w.-]+)(?:@(sha256:[0-9a-f]{64}))?$", re.MULTILINE)
LICENCES = {"MIT": "MIT", "Zero-Clause BSD": "0BSD"}  # as SPDX calls them


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def python_packages(python: str) -> list[Component]:
    """What is pinned, with the licences that the installed packages name."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", python, "--output-reproducible"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)  # noqa: S603
    installed = {(canonical(each.name), each.version): each for each in Bom.from_json(found).components}
    pinned = [(canonical(name), version) for name, version in PIN.findall((ROOT / "requirements.txt").read_text())]
    if missing := [each for each in pinned if each not in installed]:
        raise SystemExit(
            f"Not installed for {python} as requirements.txt pins it: {missing}. Run make run or make test first."
        )
    return [installed[each] for each in pinned]


def vendored() -> list[Component]:
    """What static/vendor holds, as the table there says."""
    rows = [row.groupdict() for row in VENDORED.finditer((ROOT / "static/vendor/README.md").read_text())]
    folders = {each.name for each in (ROOT / "static/vendor").iterdir() if each.is_dir()}
    if folders != {row["folder"] for row in rows}:
        raise SystemExit("The table in static/vendor/README.md does not have all folders there, or has more.")
    return [
        Component(
            type=ComponentType.LIBRARY, name=row["name"], version=row["version"],
            licenses=[DisjunctiveLicense(id=LICENCES[row["licence"]])],
            purl=PackageURL("npm", name=row["name"], version=row["version"]), bom_ref=f"npm {row['name']}",
        )
        for row in rows
    ]  # fmt: skip


def images() -> list[Component]:
    text = (ROOT / "Dockerfile").read_text() + (ROOT / "docker-compose.yml").read_text()
    return [
        Component(
            type=ComponentType.CONTAINER, name=name, version=tag, bom_ref=f"image {name}",
            purl=PackageURL("docker", name=name, version=digest or tag),
        )
        for name, tag, digest in IMAGE.findall(text)
    ]  # fmt: skip


def main(python: str, path: str) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    bom = Bom(components=[*python_packages(python), *vendored(), *images()])
    version = re.search(r'^version = "(.+?)"', project, re.MULTILINE)
    assert version is not None
    bom.metadata.component = Component(
        type=ComponentType.APPLICATION, name="outtray", version=version[1], bom_ref="outtray"
    )
    bom.register_dependency(bom.metadata.component, bom.components)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"The schema does not allow it: {error}")
    Path(path).write_text(text + "\n")
    print(f"{path}: {len(bom.components)} components")


if __name__ == "__main__":
    main(*sys.argv[1:])
