"""Dockerfile and docker-compose.yml without Docker: they start what is tested elsewhere, with known variables."""

import re

import pytest
import yaml

from config import processes
from tests.installation import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {*processes.NAMES, "migrate"}
SETTINGS = (ROOT / "config" / "settings.py").read_text()
SERVICE_KEYS = {
    "build", "command", "depends_on", "environment", "healthcheck", "image", "ports", "restart", "stop_grace_period",
    "volumes",
}  # fmt: skip
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}


def environment_of(name):
    return SERVICES[name].get("environment", {})


def test_has_every_part():
    assert OURS | {"database", "broker"} == SERVICES.keys()
    for name, service in SERVICES.items():
        assert service.keys() <= SERVICE_KEYS, name
        assert isinstance(service.get("command", []), list), f"{name}: a list needs no shell and gets the signals"


@pytest.mark.parametrize("name", processes.NAMES)
def test_command_is_that_of_make_run(name, monkeypatch):
    command = SERVICES[name]["command"]
    assert command[:3] == ["python", "-m", "config.processes"]
    started = []
    monkeypatch.setattr("os.execv", lambda path, arguments: started.append(arguments))
    monkeypatch.setattr("sys.argv", command[2:])
    processes.main()
    [arguments] = started
    local = processes.command_line(name)
    assert [word.replace("0.0.0.0", "127.0.0.1") for word in arguments] == local
    listens = name in ("web", "catcher")
    assert ("0.0.0.0" in " ".join(arguments)) == listens, "only what others must reach listens to them"


def test_image_starts_as_web():
    dockerfile = (ROOT / "Dockerfile").read_text()
    command = re.search(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)[1]
    assert yaml.safe_load(command) == SERVICES["web"]["command"]
    assert dockerfile.index("USER outtray") < dockerfile.index("collectstatic")
    assert "--require-hashes" in dockerfile


def test_image_holds_what_it_copies_and_nothing_private():
    copied = set(re.findall(r"^COPY (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_one_of_settings(name):
    for variable in environment_of(name):
        assert re.search(rf'env(\.\w+)?\("{variable}"', SETTINGS), variable


@pytest.mark.parametrize("variable", ["SECRET_KEY", "FIELD_ENCRYPTION_KEYS"])
def test_secrets_are_required(variable):
    for name in OURS:
        assert environment_of(name)[variable].startswith(f"${{{variable}:?")


def test_no_password_is_written_down():
    password = environment_of("database")["POSTGRES_PASSWORD"]
    assert password.startswith("${POSTGRES_PASSWORD:?")
    assert password in environment_of("web")["DATABASE_URL"]


def test_everything_but_migrate_has_a_health_check():
    for name, service in SERVICES.items():
        check = service["healthcheck"]
        if name == "migrate":
            assert check == {"disable": True}
            continue
        assert check["test"][0] in ("CMD", "CMD-SHELL"), name
        assert {"interval", "timeout", "retries"} <= check.keys(), name


def test_python_of_the_health_checks_compiles():
    for name, service in SERVICES.items():
        test = service["healthcheck"].get("test", [])
        if "-c" in test:
            compile(test[-1], name, "exec")


def test_dependencies_exist_and_end():
    waits_for = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    for others in waits_for.values():
        assert others.keys() <= SERVICES.keys()
        assert {other["condition"] for other in others.values()} <= CONDITIONS
    started = set()
    while len(started) < len(SERVICES):
        ready = {name for name, others in waits_for.items() if others.keys() <= started} - started
        assert ready, "a circle"
        started |= ready


def test_volumes_are_declared_and_used_where_the_settings_look():
    used = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == COMPOSE["volumes"].keys()
    for name in ("web", "worker"):
        assert f"media:{environment_of(name)['MEDIA_ROOT']}" in SERVICES[name]["volumes"]
    assert f"caught:{environment_of('catcher')['CAUGHT_DIR']}" in SERVICES["catcher"]["volumes"]


def test_only_the_console_is_published_and_only_on_this_machine():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:${PORT:-8000}:8000"]
    assert environment_of("web")["PORT"] == "8000"
