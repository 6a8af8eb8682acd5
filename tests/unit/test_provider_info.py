from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from importlib import resources
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from airflow_provider_genesys import __version__
from airflow_provider_genesys.cloud.config import ArchiveApi, CloudConfig
from airflow_provider_genesys.cloud.regions import DOMAINS, base_urls
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.get_provider_info import get_provider_info


def schema(name: str) -> dict[str, Any]:
    return dict(json.loads(resources.files("airflow").joinpath(name).read_text()))


def config(**extra: Any) -> CloudConfig:
    return CloudConfig.from_connection(login="id", password="of nobody", extra={"region": "us-east-1", **extra})  # noqa: S106 -- no secret


def connection_type() -> dict[str, Any]:
    (only,) = get_provider_info()["connection-types"]
    return dict(only)


def test_it_is_what_airflow_expects() -> None:
    Draft7Validator(schema("provider_info.schema.json")).validate(get_provider_info())
    assert json.loads(json.dumps(get_provider_info())) == get_provider_info()


def test_it_is_found_under_the_name_of_the_distribution() -> None:
    (entry,) = (
        one
        for one in entry_points(group="apache_airflow_provider")
        if one.value.startswith("airflow_provider_genesys.")
    )
    assert entry.load() is get_provider_info
    assert entry.dist is not None
    assert entry.dist.name == get_provider_info()["package-name"]
    assert get_provider_info()["versions"] == [__version__]


def named_modules() -> list[str]:
    info = get_provider_info()
    rooms = [entry for room in ("hooks", "operators", "sensors", "triggers") for entry in info[room]]
    return [name for entry in rooms for name in entry["python-modules"]] + [
        entry["python-module"] for entry in info["transfers"]
    ]


def test_every_module_with_something_for_a_dag_is_named() -> None:
    package = Path(importlib.import_module("airflow_provider_genesys").__file__ or "").parent
    folders = ("operators", "sensors", "transfers", "triggers")
    modules = [path for folder in folders for path in (package / folder).glob("*.py")]
    assert len(modules) > 15
    with_classes = {
        f"airflow_provider_genesys.{path.parent.name}.{path.stem}"
        for path in modules
        if re.search(r"^class Genesys\w+(Operator|Sensor|Trigger)\b", path.read_text(), re.MULTILINE)
    }
    # They are bases of operators, and no operators that a DAG has.
    bases = {f"airflow_provider_genesys.transfers.{name}" for name in ("base", "entities", "media", "object_store")}
    named = {name for name in named_modules() if not name.startswith("airflow_provider_genesys.hooks.")}
    assert named == with_classes - bases


@pytest.mark.parametrize("module", named_modules())
def test_every_module_that_it_names_exists(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize("path", get_provider_info()["extra-links"] + [connection_type()["hook-class-name"]])
def test_every_class_that_it_names_exists(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), name), type)


def test_the_hook_agrees() -> None:
    module, _, name = connection_type()["hook-class-name"].rpartition(".")
    hook = getattr(importlib.import_module(module), name)
    assert (hook.conn_type, hook.hook_name) == (connection_type()["connection-type"], connection_type()["hook-name"])
    assert (hook.conn_name_attr, hook.default_conn_name) == ("genesys_conn_id", "genesys_default")


def test_integrations_are_named_as_airflow_names_them() -> None:
    from airflow.providers.amazon.get_provider_info import get_provider_info as amazon
    from airflow.providers.microsoft.azure.get_provider_info import get_provider_info as azure
    from airflow.providers.postgres.get_provider_info import get_provider_info as postgres

    infos = (get_provider_info(), amazon(), azure(), postgres())
    known = {entry["integration-name"] for info in infos for entry in info["integrations"]}
    known.add("Google Cloud Storage (GCS)")  # its provider does not resolve beside our pins
    for transfer in get_provider_info()["transfers"]:
        assert {transfer["source-integration-name"], transfer["target-integration-name"]} <= known


def test_airflow_shows_the_whole_form(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
    from airflow.providers_manager import ProvidersManager

    # As in a new API server: Airflow 3.1 reads the forms once, and differently there than elsewhere.
    monkeypatch.setattr(ProvidersManager, "_instances", {}, raising=False)
    (form,) = (one for one in HookMetaService.hook_meta_data() if one.connection_type == "genesys_cloud")
    assert form.hook_name == "Genesys Cloud"
    assert form.standard_fields is not None
    assert form.standard_fields.login is not None
    assert form.standard_fields.login.title == "OAuth client ID"
    assert form.standard_fields.port is not None
    assert not form.standard_fields.port.hidden, "0 is put there for the Test button, see docs/connection.md"
    extras: dict[str, Any] = dict(form.extra_fields or {})
    assert list(extras) == list(connection_type()["conn-fields"])
    assert extras["region"]["schema"]["enum"] == [*DOMAINS, None]
    assert extras["requests_per_minute"]["value"] == 300


def test_every_field_of_the_form_is_read_and_the_one_secret_is_hidden() -> None:
    fields = connection_type()["conn-fields"]
    typed = {
        "region": "eu-west-1",
        "login_url": "https://login.example.com",
        "timeout": 61,
        "verify_tls": "false",
        "requests_per_minute": 301,
        "request_share": "0.5",
        "allowed_download_hosts": "a.example.com",
        "allow_insecure": True,
        "former_client_secret": "s3cret",
    }
    assert set(typed) == set(fields)
    for name, value in typed.items():
        assert config(**{name: value}) != config(), name
    hidden = [name for name, field in fields.items() if field["schema"].get("format") == "password"]
    assert hidden == ["former_client_secret"]
    assert "secret" in hidden[0], "by this word in its name Airflow masks an extra"
    assert "s3cret" not in repr(config(**typed))
    with pytest.raises(ConfigurationError) as caught:
        config(former_client_secret=["s3cret"])
    assert "s3cret" not in str(caught.value)


def test_the_defaults_that_the_form_shows_are_those_of_an_empty_extra() -> None:
    shown = {name: field["schema"]["default"] for name, field in connection_type()["conn-fields"].items()}
    assert config(**{**shown, "region": "us-east-1"}) == config()


def test_the_docs_name_every_field_member_and_region() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "connection.md").read_text()
    one_of_each = [*connection_type()["conn-fields"], "archive", *vars(ArchiveApi()), "login", "password", "host"]
    assert [name for name in one_of_each if f"`{name}`" not in docs] == []
    assert [value for value in vars(ArchiveApi()).values() if f"`{value}`" not in docs] == []
    for region in DOMAINS:
        api, login = (url.removeprefix("https://") for url in base_urls(region))
        assert re.search(rf"`{region}`.* \| {re.escape(api)} \| {re.escape(login)} \|", docs), region


def test_reading_it_imports_nothing_else() -> None:
    script = (
        "import sys; before = set(sys.modules); import airflow_provider_genesys.get_provider_info as g;"
        "g.get_provider_info(); print([m for m in sys.modules if m not in before and '.' not in m])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"airflow", "httpx", "cryptography", "tenacity", "msgspec", "boto3"} & set(eval(done.stdout))  # noqa: S307
    assert "airflow_provider_genesys" in done.stdout
