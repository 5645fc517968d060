"""Pin the container images to the digests that their registry gives now: make digests.

A digest is the hash of what the registry sent, counted here; where one image cannot be resolved, no file is changed.
"""

import hashlib
import os
import re
import sys
from pathlib import Path

import requests

FILES = ("Dockerfile", "docker-compose.yml", ".github/workflows/ci.yml")
REGISTRY = os.environ.get("IMAGE_REGISTRY", "https://registry-1.docker.io")
IMAGE = re.compile(
    r"^(?P<before>FROM |\s+image: )(?P<name>[\w./-]+):(?P<tag>[\w.-]+)(?P<digest>@sha256:[0-9a-f]{64})?$", re.MULTILINE
)
# Of several platforms at once, so that the digest is the same on each of them.
INDEXES = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
TIMEOUT = 30  # seconds


class NotResolved(Exception):
    """What the registry did not say."""


def resolve(name: str, tag: str) -> str:
    """The digest of an image (OCI Distribution Specification, pulling manifests). Raises NotResolved."""
    path = name if "/" in name else f"library/{name}"
    url = f"{REGISTRY}/v2/{path}/manifests/{tag}"
    try:
        answer = requests.get(url, headers={"Accept": INDEXES}, timeout=TIMEOUT)
        if answer.status_code == 401:
            said = dict(CHALLENGE.findall(answer.headers.get("WWW-Authenticate", "")))
            query = {key: said[key] for key in ("service", "scope") if key in said}
            token = requests.get(said["realm"], query, timeout=TIMEOUT).json()["token"]
            headers = {"Accept": INDEXES, "Authorization": f"Bearer {token}"}
            answer = requests.get(url, headers=headers, timeout=TIMEOUT)
        answer.raise_for_status()
    except (requests.RequestException, KeyError, ValueError) as error:
        raise NotResolved(f"{name}:{tag} could not be resolved: {error}") from error
    digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    if answer.headers.get("Docker-Content-Digest", digest) != digest:
        raise NotResolved(f"{name}:{tag}: what the registry sent does not have the digest that it names")
    if answer.headers.get("Content-Type", "") not in INDEXES.split(", "):
        raise NotResolved(f"{name}:{tag}: the registry sent something else than an index of images")
    return digest


def main(folder: Path) -> None:
    texts = {name: (folder / name).read_text() for name in FILES}
    images = {(found["name"], found["tag"]) for text in texts.values() for found in IMAGE.finditer(text)}
    try:
        digests = {each: resolve(*each) for each in sorted(images)}
    except NotResolved as error:
        raise SystemExit(f"{error}\nNo file was changed.") from error

    def pinned(found: re.Match[str]) -> str:
        name, tag = found["name"], found["tag"]
        return f"{found['before']}{name}:{tag}@{digests[name, tag]}"

    for name, text in texts.items():
        (folder / name).write_text(IMAGE.sub(pinned, text))
    for (name, tag), digest in digests.items():
        print(f"{name}:{tag}@{digest}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
