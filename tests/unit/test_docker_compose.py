"""Dockerfile and docker-compose.yml without Docker: they start what is tested elsewhere, with known variables."""

import re

import pytest
import yaml

from config import processes, server
from config.settings import env
from tests.installation import ROOT

OURS = {*processes.NAMES, "migrate"}
SERVICE_KEYS = {
    "build", "command", "depends_on", "environment", "healthcheck", "image", "logging", "ports", "profiles", "restart",
    "secrets", "stop_grace_period", "volumes",
}  # fmt: skip
OF_THE_CONTAINERS = {
    "DATABASE_URL", "CELERY_BROKER_URL", "VAR_DIR", "MEDIA_ROOT", "WITNESS_DIR", "ENV_FILE", "PORT",
    "CATCHER_PORT", "CAUGHT_DIR",
}  # fmt: skip
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
REQUIRED = {"SECRET_KEY": "k" * 50, "FIELD_ENCRYPTION_KEYS": "A" * 43 + "=", "POSTGRES_PASSWORD": "pw"}
SECRET_FILES = {
    f"{name}_FILE": f"./secrets/{name}"
    for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "POSTGRES_PASSWORD", "DATABASE_URL")
}


class Missing(Exception):
    """Compose refuses: a variable is required."""


class Reset:
    """!reset null: what another file says is taken away."""


class Loader(yaml.SafeLoader):
    pass


Loader.add_constructor("!reset", lambda loader, node: Reset())


def load(name="docker-compose.yml"):
    return yaml.load((ROOT / name).read_text(), Loader)


def interpolated(text, variables):
    """As Compose does it with ${NAME}, ${NAME:-default}, ${NAME:?error} and $$; the innermost first."""

    def value(match):
        name, operator, rest = match["name"], match["operator"], match["rest"]
        found = variables.get(name)
        if found or not operator:
            return found or ""
        if operator == ":?":
            raise Missing(f"{name}: {rest}")
        return rest

    if text.count("${") > 1 and "${" in text[text.index("${") + 2 : text.index("}")]:  # nested: the outer one first
        outer = re.fullmatch(r"(.*?)\$\{(\w+):-(\$\{.*?\})\}(.*)", text)
        inner = variables.get(outer[2]) or interpolated(outer[3], variables)
        return interpolated(outer[1], variables) + inner + interpolated(outer[4], variables)
    pattern = r"\$\{(?P<name>\w+)(?:(?P<operator>:[-?])(?P<rest>[^{}]*))?\}"
    return re.sub(pattern, value, text).replace("$$", "$")


def filled(node, variables):
    """A part of the file under these variables; what is passed on and not set is left out."""
    if isinstance(node, dict):
        passed = {name: variables.get(name) if part is None else filled(part, variables) for name, part in node.items()}
        return {name: part for name, part in passed.items() if part is not None}
    if isinstance(node, list):
        return [filled(part, variables) for part in node]
    return interpolated(node, variables) if isinstance(node, str) else node


def services(**variables):
    return filled(load()["services"], REQUIRED | variables)


COMPOSE = load()
SERVICES = COMPOSE["services"]


def environment_of(name, **variables):
    return services(**variables)[name].get("environment", {})


def documented():
    """The variables of the table in docs/operations.md."""
    table = (ROOT / "docs" / "operations.md").read_text().partition("## Variables")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_has_every_part():
    assert OURS | {"database", "broker", "proxy"} == SERVICES.keys()
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


# --- Variables: those that settings read, those that are documented, those that Compose passes on ---------


def test_settings_documents_and_compose_have_the_same_variables():
    settings = env.names | {"ENV_FILE"}
    assert len(settings) > 30
    names = documented()
    assert len(names) == len(set(names))
    assert set(names) == settings
    assert SERVICES["web"]["environment"].keys() | SERVICES["catcher"]["environment"].keys() == settings
    for name in OURS - {"catcher"}:
        assert SERVICES[name]["environment"] == SERVICES["web"]["environment"], name


@pytest.mark.parametrize("name", sorted(set(documented()) - OF_THE_CONTAINERS))
def test_what_is_set_is_passed_on_and_what_is_not_is_left_to_its_default(name):
    for service in OURS:
        given = environment_of(service, **{name: "given"})[name]
        assert given == ("127.0.0.1,given" if name == "ALLOWED_HOSTS" else "given")
    if name not in REQUIRED and name != "ALLOWED_HOSTS":
        assert name not in environment_of("web")


def test_nothing_but_the_settings_reads_variables():
    for path in [*(ROOT / "messaging").rglob("*.py"), ROOT / "config" / "celery.py", ROOT / "config" / "processes.py"]:
        assert not re.search(r"os\.(environ\[|environ\.get|getenv)", path.read_text()), path


def test_what_is_the_containers_own_is_said_for_all_alike():
    web = environment_of("web")
    assert web["DATABASE_URL"] == "postgres://outtray:pw@database:5432/outtray"
    assert (web["PORT"], web["ENV_FILE"], web["VAR_DIR"]) == ("8000", "/dev/null", "/var/lib/outtray")
    assert f"VAR_DIR={web['VAR_DIR']}" in (ROOT / "Dockerfile").read_text()


def test_opt_files_of_the_machine_are_those_of_the_containers():
    for name in ("web", "worker", "beat", "migrate"):
        service = services(EMAIL_OPT_DIR="/srv/option")[name]
        assert "/srv/option:/srv/option:ro" in service["volumes"]
        assert service["environment"]["EMAIL_OPT_DIR"] == "/srv/option"


@pytest.mark.parametrize("variable", ["FIELD_ENCRYPTION_KEYS", "POSTGRES_PASSWORD"])
def test_secrets_are_required(variable):
    with pytest.raises(Missing, match=variable):
        filled(SERVICES, REQUIRED | {variable: ""})


def test_secrets_may_stand_in_files():
    base = services(**dict.fromkeys(REQUIRED), **SECRET_FILES)
    more = load("docker-compose.secrets.yml")
    files = filled(more["secrets"], SECRET_FILES)
    assert {name: file["file"] for name, file in files.items()} == {
        name.removesuffix("_FILE").lower(): path for name, path in SECRET_FILES.items()
    }
    assert more["services"].keys() == OURS | {"database"}
    for name, service in more["services"].items():
        merged = base[name].get("environment", {}) | service["environment"]
        kept = {each: value for each, value in merged.items() if not isinstance(value, Reset)}
        mounted = {f"/run/secrets/{secret}" for secret in service["secrets"]}
        assert {value for each, value in kept.items() if each.endswith("_FILE") and each != "ENV_FILE"} == mounted
        for each in kept:
            assert f"{each}_FILE" not in kept, f"{name}: {each} is set twice"
        assert set(service["secrets"]) <= files.keys()
    with pytest.raises(Missing, match="SECRET_KEY_FILE"):
        filled(more["secrets"], {})


def test_no_password_is_written_down():
    for name in ("docker-compose.yml", "docker-compose.secrets.yml"):
        for word in re.findall(r"(?:PASSWORD|KEYS?): (.+)", (ROOT / name).read_text()):
            assert word.startswith(("${", "!reset")), word


# --- In operation -----------------------------------------------------------------------------------------


def test_logs_of_every_service_are_rotated():
    for name, service in SERVICES.items():
        assert service["logging"]["driver"] == "json-file", name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name


def test_only_what_was_asked_for_catches_mail():
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "catcher": ["catcher"]
    }
    assert not any("catcher" in service.get("depends_on", {}) for service in SERVICES.values())


def test_as_many_web_processes_as_one_likes():
    """docker compose up --scale web=2: no name and no port of this machine is given to more than one container."""
    assert not any(
        {"container_name", "ports"} & service.keys() for name, service in SERVICES.items() if name != "proxy"
    )
    nginx = (ROOT / "config" / "nginx.conf").read_text()
    assert "set $web http://web:8000;" in nginx
    assert "listen 8080;" in nginx
    assert "./config/nginx.conf:/etc/nginx/nginx.conf:ro" in SERVICES["proxy"]["volumes"]


def test_proxy_leaves_it_to_a_web_process_how_much_of_a_body_is_taken():
    """A web process refuses what is too large as soon as it is announced, and has limits for what waits on its disk;
    the proxy has none, and a stranger could fill the disk that the database is on.
    """
    nginx = (ROOT / "config" / "nginx.conf").read_text()
    assert re.search(r"^\s*proxy_request_buffering off;", nginx, re.MULTILINE)
    assert re.search(r"^\s*proxy_http_version 1.1;", nginx, re.MULTILINE), "a body in chunks would be kept all the same"


def test_proxy_has_room_for_more_connections_than_the_web_processes_take():
    """So these, who know whose each is, decide which to close; each request has two of the proxy's."""
    nginx = (ROOT / "config" / "nginx.conf").read_text()
    connections = int(re.search(r"^\s*worker_connections (\d+);", nginx, re.MULTILINE)[1])
    files = int(re.search(r"^worker_rlimit_nofile (\d+);", nginx, re.MULTILINE)[1])
    assert files > connections > 2 * 4 * 2 * server.CONNECTIONS, "four web containers of two processes, and one worker"


def test_proxy_takes_in_whole_answers():
    """So a slow client that reads a page keeps a connection of the proxy, and nothing of a web container."""
    nginx = (ROOT / "config" / "nginx.conf").read_text()
    assert not re.search(r"^\s*proxy_buffering\s+off", nginx, re.MULTILINE)
    for name in ("client_header_timeout", "client_body_timeout", "send_timeout"):
        assert int(re.search(rf"^\s*{name} (\d+)s;", nginx, re.MULTILINE)[1]) <= 30


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
    used = {volume.partition(":")[0] for service in services().values() for volume in service.get("volumes", [])}
    assert {name for name in used if not name.startswith((".", "/"))} == COMPOSE["volumes"].keys()
    for name in ("web", "worker"):
        assert f"media:{environment_of(name)['MEDIA_ROOT']}" in SERVICES[name]["volumes"]
        assert f"witness:{environment_of(name)['WITNESS_DIR']}" in SERVICES[name]["volumes"]
    assert f"caught:{environment_of('catcher')['CAUGHT_DIR']}" in SERVICES["catcher"]["volumes"]


def test_only_the_console_is_published_and_only_on_this_machine():
    published = [port for service in services(PORT="8001").values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:8001:8080"]
    assert environment_of("web", PORT="8001")["PORT"] == "8000"


def test_load_balancer_is_told_of_the_web_process_alone():
    """A console whose worker is away is needed most."""
    assert "/readyz" in SERVICES["web"]["healthcheck"]["test"][-1]
    assert SERVICES["beat"]["healthcheck"]["test"][:3] == ["CMD", "python", "manage.py"]
