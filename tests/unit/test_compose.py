"""docker-compose.yaml and what it names, without a container engine: its form, its references, its commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from cryptography.fernet import Fernet

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.get_provider_info import CONNECTION_FIELDS, get_provider_info
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.services import S3Server

ROOT = Path(__file__).parents[2]
COMPOSE, DEMO = ROOT / "docker-compose.yaml", ROOT / "docker-compose.demo.yaml"
SCHEMA = ROOT / "tests" / "compose_schema" / "compose.json"
EXAMPLE_DAG = ROOT / "dags" / "genesys_recordings_daily.py"
GUIDE = (ROOT / "docs" / "production.md").read_text()
VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?::(?P<form>[?-])(?P<word>[^}]*))?\}|(?P<stray>))")
AIRFLOW_IMAGE = "airflow-provider-genesys:local"

Tree = dict[str, Any]


def stated() -> Tree:
    """Both files as Compose merges them, variables not yet replaced."""
    return merged(*(yaml.safe_load(file.read_text()) for file in (COMPOSE, DEMO)))


def merged(tree: Tree, other: Tree) -> Tree:
    """``tree`` with what ``other`` adds to its mappings, or has in place of its values."""
    both = {key: merged(tree[key], other[key]) for key in tree.keys() & other.keys() if isinstance(tree[key], dict)}
    return {**tree, **other, **both}


def variables() -> dict[str, str | None]:
    """Every variable that the file reads, with its default; None where it has to be set."""
    found = [match for match in VARIABLE.finditer(COMPOSE.read_text() + DEMO.read_text()) if match["name"]]
    return {match["name"]: match["word"] if match["form"] == "-" else None for match in found}


def interpolated(value: Any, environment: dict[str, str]) -> Any:
    """The tree as Compose sees it: ``${NAME:-default}`` and ``${NAME:?message}`` replaced, ``$$`` a dollar sign."""
    if isinstance(value, dict):
        return {key: interpolated(one, environment) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, environment) for one in value]
    return VARIABLE.sub(lambda match: _replacement(match, environment), value) if isinstance(value, str) else value


def _replacement(match: re.Match[str], environment: dict[str, str]) -> str:
    if match["escaped"]:
        return "$"
    assert match["name"], f"a dollar sign that Compose would trip over: {match.string!r}"
    return environment.get(match["name"]) or match["word"]


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the guide's own commands write into .env."""
    folder = tmp_path_factory.mktemp("env")
    block = next(text for text in re.findall(r"```bash\n(.*?)```", GUIDE, re.DOTALL) if "> .env" in text)
    subprocess.run(["/bin/bash", "-euo", "pipefail", "-c", block], cwd=folder, check=True)
    assert (folder / ".env").stat().st_mode & 0o077 == 0, "others may read .env"
    return dict(line.split("=", 1) for line in (folder / ".env").read_text().split())


@pytest.fixture(scope="module")
def compose(env_file: dict[str, str]) -> Tree:
    """Both files, anchors and variables resolved."""
    tree: Tree = interpolated(stated(), env_file)
    return tree


@pytest.fixture(scope="module")
def services(compose: Tree) -> Tree:
    return dict(compose["services"])


@pytest.fixture(scope="module")
def airflow_facts(services: Tree) -> Tree:
    """What the installed Airflow says of the file's command lines, settings and health pages."""
    from airflow.api_fastapi.core_api.routes.public import public_router
    from airflow.cli.cli_parser import get_parser
    from airflow.configuration import conf

    def accepted(words: list[str]) -> bool:
        try:
            get_parser().parse_args(words)
        except SystemExit:
            return False
        return True

    def known(section: str, key: str) -> bool:
        return key in conf.configuration_description.get(section, {}).get("options", {})

    return {
        "commands": {" ".join(words): accepted(words) for words in _airflow_commands(services)},
        "settings": {f"[{section}] {key}": known(section, key) for section, key in _airflow_settings(services)},
        "paths": {getattr(route, "path", "") for route in public_router.routes},
        "scheduler_port": conf.getint("scheduler", "scheduler_health_check_server_port"),
    }


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run this Python on ``arguments``, with ``environment`` besides the usual one."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def _airflow_commands(services: Tree) -> list[list[str]]:
    """Every airflow command line but those of providers that only the image has (celery, users)."""
    own = [service["command"] for service in services.values() if isinstance(service.get("command"), str)]
    checks = [shlex.join(service["healthcheck"]["test"][1:]) for service in services.values() if _check(service)]
    steps = services["airflow-init"]["command"][2].split("&&")
    lines = [shlex.split(line) for line in (*(f"airflow {line}" for line in own), *checks, *steps)]
    return [words[1:] for words in lines if words[0] == "airflow" and words[1] not in {"celery", "users"}]


def _check(service: Tree) -> bool:
    return service.get("healthcheck", {}).get("test", [""])[0] == "CMD"


def _airflow_settings(services: Tree) -> list[list[str]]:
    """Every setting of the file and of the guide, but those of the celery provider, which only the image has."""
    names = {name for service in services.values() for name in service.get("environment", {})}
    split = [name.lower().split("__")[1:] for name in sorted(names) if name.startswith("AIRFLOW__")]
    told = [list(parts) for parts in re.findall(r"\[(\w+)\] (\w+)", GUIDE)]
    return [parts for parts in (*split, *told) if not parts[0].startswith("celery")]


def connection(services: Tree, name: str) -> Tree:
    return dict(json.loads(services["airflow-worker"]["environment"][f"AIRFLOW_CONN_{name}_DEFAULT"]))


def test_file_has_the_form_of_a_compose_file(compose: Tree) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    errors = [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(compose)]
    assert errors == []


def test_without_the_demo_no_fake_and_no_connection_is_left(env_file: dict[str, str]) -> None:
    text = COMPOSE.read_text().split("\nname: ")[1]
    assert not re.search(r"AIRFLOW_CONN_|fake|moto|target|allow_insecure|s3", text, re.IGNORECASE)
    real = {name: value for name, value in env_file.items() if not name.startswith("TARGET_")}
    base = interpolated(yaml.safe_load(COMPOSE.read_text()), real)
    assert list(jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(base)) == []
    assert {name for name in base["services"] if not name.startswith("airflow-")} == {"metadata-db", "redis"}
    assert {other for one in base["services"].values() for other in one.get("depends_on", {})} <= set(base["services"])
    mounts = {mount.split(":")[0] for one in base["services"].values() for mount in one.get("volumes", [])}
    assert {mount for mount in mounts if not mount.startswith("./")} == set(base["volumes"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("services", "redis", "retries"), 3),
        (("services", "redis", "healthcheck", "interval"), 10),
        (("services", "redis", "image"), "redis"),
        (("services", "redis", "environment"), {"A": 1}),
        (("services", "airflow-worker", "depends_on", "redis"), "service_healthy"),
        (("version",), "3"),
    ],
)
def test_schema_refuses_what_compose_would(compose: Tree, path: tuple[str, ...], value: Any) -> None:
    wrong = json.loads(json.dumps(compose))
    place = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert not jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).is_valid(wrong)


def test_guide_writes_every_variable_that_has_to_be_set(env_file: dict[str, str]) -> None:
    assert set(env_file) == {name for name, default in variables().items() if default is None}


def test_guide_documents_every_variable_and_its_default() -> None:
    table = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", GUIDE, re.MULTILINE))
    assert {name: f"`{default}`" if default else "required" for name, default in variables().items()} == table


def test_secrets_that_the_guide_makes_are_good(env_file: dict[str, str]) -> None:
    assert len(env_file["AIRFLOW_JWT_SECRET"].encode()) >= 64
    Fernet(env_file["AIRFLOW_FERNET_KEY"])
    assert len(set(env_file.values())) == len(env_file)
    in_urls = {name: value for name, value in env_file.items() if name.endswith("PASSWORD")}
    assert all(re.fullmatch(r"\w{24,}", value) for value in in_urls.values()), "would have to be quoted"


def test_file_holds_no_secret(services: Tree) -> None:
    for name, service in stated()["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|FERNET|CONN$|BACKEND", variable) and name != "s3-bucket":
                assert "${" in value, f"{name}: {variable}"
    assert connection(services, "AWS")["password"] == "any"  # noqa: S105 - moto takes any
    assert connection(services, "GENESYS")["password"] == FakeGenesys.client_secret


def test_services_depend_on_services_that_can_be_waited_for(services: Tree) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            runs_once = services[other]["restart"] == "no"
            expected = "service_completed_successfully" if runs_once else "service_healthy"
            assert how["condition"] == expected, f"{name} waits for {other}"
            assert runs_once or "healthcheck" in services[other], f"{name} waits for {other}"
    graph = {name: service.get("depends_on", {}) for name, service in services.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(services)


def test_volumes_are_declared_and_mounted_folders_exist(compose: Tree, services: Tree) -> None:
    sources = {mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])}
    folders = {source for source in sources if source.startswith("./")}
    assert sources - folders == set(compose["volumes"])
    assert [folder for folder in sorted(folders) if not (ROOT / folder).is_dir()] == []


def test_published_ports_are_unique_and_local(services: Tree) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)


def test_worker_scales_within_two_gigabytes(services: Tree) -> None:
    worker = services["airflow-worker"]
    assert worker["mem_limit"] == "2g"
    assert not {"ports", "container_name"} & set(worker)


def test_image_is_built_from_files_that_the_build_context_holds(services: Tree) -> None:
    ours = [service for service in services.values() if service["image"] == AIRFLOW_IMAGE]
    assert {(ROOT / service["build"] / "Dockerfile").is_file() for service in ours} == {True}
    copies = re.findall(r"^COPY (?:--\S+ )*(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copies for source in line.split()}
    assert {source for source in sources if not (ROOT / source).exists()} == set()
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sources == set(allowed)


def test_images_have_the_versions_of_the_lock(services: Tree) -> None:
    lock, dockerfile = ((ROOT / name).read_text() for name in ("requirements.lock", "Dockerfile"))
    locked = dict(re.findall(r"^([a-z0-9-]+)(?:\[\S+\])?==([0-9.]+)", lock, re.MULTILINE))
    assert re.findall(r"^FROM (\S+)$", dockerfile, re.MULTILINE) == [
        f"apache/airflow:{locked['apache-airflow']}-python3.12"
    ]
    assert services["s3"]["image"] == f"motoserver/moto:{locked['moto']}"


def test_genesys_connection_leads_to_the_fake(services: Tree) -> None:
    found = connection(services, "GENESYS")
    (declared,) = get_provider_info()["connection-types"]
    assert found.pop("conn_type") == declared["connection-type"]
    assert set(found["extra"]) <= set(CONNECTION_FIELDS)
    config = CloudConfig.from_connection(**found)
    address = urlsplit(config.api_url)
    assert urlsplit(config.login_url).netloc == address.netloc
    assert config.allowed_download_hosts == (address.hostname,)
    assert (config.client_id, config.client_secret) == (FakeGenesys.client_id, FakeGenesys.client_secret)
    fake = services[address.hostname or ""]
    assert fake["command"][fake["command"].index("--port") + 1] == str(address.port)


def test_target_connections_lead_to_their_services(services: Tree) -> None:
    aws, postgres = connection(services, "AWS"), connection(services, "POSTGRES")
    assert (aws["conn_type"], postgres["conn_type"]) == ("aws", "postgres")
    assert urlsplit(aws["extra"]["endpoint_url"]).hostname == "s3"
    target = services[postgres["host"]]["environment"]
    assert target == {
        "POSTGRES_USER": postgres["login"],
        "POSTGRES_PASSWORD": postgres["password"],
        "POSTGRES_DB": postgres["schema"],
    }


def test_database_urls_hold_the_database_services_own_credentials(services: Tree) -> None:
    database = services["metadata-db"]["environment"]
    for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CELERY__RESULT_BACKEND"):
        url = urlsplit(services["airflow-worker"]["environment"][name])
        assert (url.hostname, url.path) == ("metadata-db", f"/{database['POSTGRES_DB']}")
        assert (url.username, url.password) == (database["POSTGRES_USER"], database["POSTGRES_PASSWORD"])


def test_every_airflow_service_has_the_same_environment(services: Tree) -> None:
    ours = {name: service for name, service in services.items() if name.startswith("airflow-")}
    assert len(ours) == 6
    shared = dict(services["airflow-scheduler"]["environment"])
    for name, service in ours.items():
        assert shared.items() <= service["environment"].items(), name


def test_airflow_has_the_commands_that_are_started_and_asked(airflow_facts: Tree) -> None:
    commands = airflow_facts["commands"]
    assert {"api-server", "scheduler", "dag-processor", "triggerer", "db migrate"} <= set(commands)
    assert sum(command.startswith("jobs check") for command in commands) == 2
    assert [command for command, accepted in commands.items() if not accepted] == []


def test_airflow_has_the_settings(airflow_facts: Tree) -> None:
    assert {"[core] execution_api_server_url", "[core] test_connection"} <= set(airflow_facts["settings"])
    assert [setting for setting, known in airflow_facts["settings"].items() if not known] == []


def test_airflow_has_the_health_pages(services: Tree, airflow_facts: Tree) -> None:
    url = urlsplit(services["airflow-apiserver"]["healthcheck"]["test"][-1])
    assert url.path in airflow_facts["paths"]
    assert f":{url.port}" in services["airflow-worker"]["environment"]["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    assert urlsplit(services["airflow-scheduler"]["healthcheck"]["test"][-1]).port == airflow_facts["scheduler_port"]


def test_fake_takes_the_options_that_it_is_started_with(services: Tree) -> None:
    command = [*services["fake-genesys"]["entrypoint"], *services["fake-genesys"]["command"]]
    done = python(*command[1:], "--help")
    assert done.returncode == 0, done.stderr
    assert {word for word in command if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", done.stdout))


def test_fake_passes_its_health_check(services: Tree) -> None:
    with FakeGenesys(records=1) as fake:
        assert is_healthy(services["fake-genesys"], "8090", fake.port)
    assert not is_healthy(services["fake-genesys"], "8090", fake.port)


def test_s3_passes_its_health_check_and_gets_the_bucket_of_the_example(services: Tree, s3: S3Server) -> None:
    assert is_healthy(services["s3"], "5000", s3.port)
    environment = {**services["s3-bucket"]["environment"], "AWS_ENDPOINT_URL": s3.endpoint_url}
    for _ in range(2):
        done = python("-c", *services["s3-bucket"]["command"], **environment)
        assert done.returncode == 0, done.stderr
    (bucket,) = re.findall(r'"s3_bucket": Param\("([a-z-]+)"', EXAMPLE_DAG.read_text())
    assert bucket in [one["Name"] for one in s3.client().list_buckets()["Buckets"]]


def is_healthy(service: Tree, port: str, real_port: int) -> bool:
    """Run a service's own check, a line of Python, against a server on this machine."""
    script = service["healthcheck"]["test"][-1]
    assert port in script
    return python("-c", script.replace(port, str(real_port))).returncode == 0


def test_guide_shows_an_override_that_fits(services: Tree) -> None:
    block = next(text for text in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL) if "x-connections" in text)
    override = interpolated(yaml.safe_load(block), {"GENESYS_CLIENT_ID": "id", "GENESYS_CLIENT_SECRET": "secret"})
    assert set(override["services"]) == {name for name in services if name.startswith("airflow-")} - {"airflow-init"}
    found = connection(override["services"], "GENESYS")
    found.pop("conn_type")
    assert CloudConfig.from_connection(**found).api_url == "https://api.mypurecloud.de"
