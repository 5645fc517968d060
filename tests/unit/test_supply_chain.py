"""What comes from elsewhere: pinned exactly, looked up or said not to be, and named with its licence."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.installation import ROOT

INDEX = "application/vnd.oci.image.index.v1+json"
WITH_IMAGES = ("Dockerfile", "docker-compose.yml", ".github/workflows/ci.yml")
IMAGES = {"python": 3, "nginx": 3, "redis": 3, "postgres": 2}  # and how many numbers an exact version has
FAKE_PIP_AUDIT = """
import json, os, re, sys
path = sys.argv[sys.argv.index("--requirement") + 1]
service = sys.argv[sys.argv.index("--vulnerability-service") + 1]
said = json.loads(os.environ["SAID"])[service]
if said is None:
    sys.exit("no way to the internet")
names = re.findall(r"^([A-Za-z0-9][\\w.-]*)==(\\S+)", open(path).read(), re.MULTILINE)
rows = [{"name": name, "version": version, "vulns": []} for name, version in names]
for row in rows:
    if row["name"] in said["vulnerable"]:
        row["vulns"] = [{"id": "CVE-2026-1"}]
    elif said["skips"]:
        del row["version"], row["vulns"]
        row["skip_reason"] = "not found"
print(json.dumps({"dependencies": rows}))
"""
CLEAN, SKIPS = {"vulnerable": [], "skips": False}, {"vulnerable": [], "skips": True}
VULNERABLE = {"vulnerable": ["django"], "skips": True}


# --- Container images ----------------------------------------------------------------------------------


def images(text):
    return re.findall(r"^(?:FROM |\s+image: )([\w./-]+):([\w.-]+)", text, re.MULTILINE)


def test_every_image_has_the_tag_of_one_version():
    found = images("".join((ROOT / name).read_text() for name in WITH_IMAGES))

    assert {name for name, _ in found} == set(IMAGES)
    for name, tag in found:
        version = tag.partition("-")[0]
        assert re.fullmatch(r"\d+(\.\d+)*", version) and version.count(".") == IMAGES[name] - 1, f"{name}:{tag}"


class Registry(BaseHTTPRequestHandler):
    """One that gives a token first, as the public one does."""

    lies, lacks, type = False, "", INDEX

    def do_GET(self):
        if self.path.startswith("/token"):
            return self.answer(200, {}, json.dumps({"token": "t"}).encode())
        if self.headers["Authorization"] != "Bearer t":
            where = f"http://127.0.0.1:{self.server.server_port}/token"
            return self.answer(401, {"WWW-Authenticate": f'Bearer realm="{where}",service="r",scope="pull"'}, b"")
        if self.lacks and self.lacks in self.path:
            return self.answer(404, {}, b"{}")
        body = self.path.encode()
        digest = "0" * 64 if self.lies else hashlib.sha256(body).hexdigest()
        return self.answer(200, {"Docker-Content-Digest": f"sha256:{digest}", "Content-Type": self.type}, body)

    def answer(self, status, headers, body):
        self.send_response(status)
        for each in headers.items():
            self.send_header(*each)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def registry(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("IMAGE_REGISTRY", f"http://127.0.0.1:{server.server_port}")
    yield Registry
    server.shutdown()
    server.server_close()


@pytest.fixture
def files(tmp_path):
    for name in WITH_IMAGES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make_digests(files):
    before = [(files / name).read_text() for name in WITH_IMAGES]
    done = subprocess.run([sys.executable, ".ci/digests.py", files], cwd=ROOT, capture_output=True, text=True)
    return done, before == [(files / name).read_text() for name in WITH_IMAGES]


def test_digests_are_written_beside_the_tags_and_again(registry, files):
    done, _ = make_digests(files)

    assert done.returncode == 0, done.stderr
    for name in WITH_IMAGES:
        given, pinned = (ROOT / name).read_text(), (files / name).read_text()
        assert images(pinned) == images(given)
        for image, tag in images(given):
            digest = hashlib.sha256(f"/v2/library/{image}/manifests/{tag}".encode()).hexdigest()
            assert f"{image}:{tag}@sha256:{digest}\n" in pinned
    done, is_unchanged = make_digests(files)
    assert done.returncode == 0 and is_unchanged


@pytest.mark.parametrize("wrong", [{"lies": True}, {"lacks": "redis"}, {"type": "text/html"}])
def test_no_digest_is_written_that_was_not_resolved(registry, files, monkeypatch, wrong):
    for name, value in wrong.items():
        monkeypatch.setattr(registry, name, value)

    done, is_unchanged = make_digests(files)

    assert done.returncode == 1 and "No file was changed." in done.stderr and is_unchanged


# --- Known vulnerabilities -----------------------------------------------------------------------------


def audit(tmp_path, pypi, osv, **environment):
    (tmp_path / "pip_audit.py").write_text(FAKE_PIP_AUDIT)
    said = {"SAID": json.dumps({"pypi": pypi, "osv": osv}), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, ".ci/audit.py"], cwd=ROOT, env={**os.environ, **said, **environment},
        capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_what_is_vulnerable_ends_it_and_is_named(tmp_path):
    code, said = audit(tmp_path, CLEAN, VULNERABLE)

    assert code == 1
    assert re.search(r"^django==\S+ is vulnerable: CVE-2026-1$", said, re.MULTILINE)
    assert "NOT be looked up" not in said


@pytest.mark.parametrize("nothing", [SKIPS, None])
def test_what_could_not_be_looked_up_is_said_loudly(tmp_path, nothing):
    code, said = audit(tmp_path, nothing, nothing)

    assert code == 0
    number = re.search(r"^\* (\d+) of (\d+) pinned packages could NOT be looked up", said, re.MULTILINE)
    assert number[1] == number[2] != "0"
    assert f"0 of {number[2]} pinned packages were looked up" in said
    assert audit(tmp_path, nothing, nothing, REQUIRE_AUDIT="1")[0] == 2


def test_one_service_that_can_be_asked_is_enough(tmp_path):
    code, said = audit(tmp_path, None, CLEAN, REQUIRE_AUDIT="1")

    assert code == 0
    assert "NOT" not in said


# --- Licences, and the rules that look for holes ---------------------------------------------------------


def test_every_vendored_file_is_listed_with_its_licence():
    table = (ROOT / "static/vendor/README.md").read_text()
    for folder in (each for each in (ROOT / "static/vendor").iterdir() if each.is_dir()):
        row = re.search(rf"^\| `{folder.name}/` .*$", table, re.MULTILINE)
        assert row, f"{folder.name} is not in static/vendor/README.md"
        assert f"`{folder.name}/LICENSE`" in row[0] and (folder / "LICENSE").read_text().strip()
        for file in folder.iterdir():
            assert file.name in row[0], f"{folder.name}/{file.name} is not in static/vendor/README.md"


def test_the_rules_of_bandit_are_kept_for_all_that_runs():
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]

    assert "S" in lint["select"]
    assert [rule for rule in lint["ignore"] if rule.startswith("S")] == ["S101"]
    assert [path for path, rules in lint["per-file-ignores"].items() if "S" in rules] == ["tests/**"]
