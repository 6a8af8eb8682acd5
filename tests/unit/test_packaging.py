"""What is built and published, and that Airflow finds it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import airflow_provider_genesys
from airflow_provider_genesys.get_provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
VERSION = airflow_provider_genesys.__version__
DIST_INFO = f"airflow_provider_genesys-{VERSION}.dist-info"


def run_python(*arguments: str, **environment: str) -> str:
    """Run this Python on ``arguments`` and return what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a built sdist and of the wheel that is built from that sdist; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("dist")
    run_python("-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return dist / f"airflow_provider_genesys-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def sdist_files(dist: Path) -> set[str]:
    """Paths in the sdist, without its top folder."""
    with tarfile.open(dist / f"airflow_provider_genesys-{VERSION}.tar.gz") as archive:
        return {path.partition("/")[2] for path in archive.getnames()}


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"{DIST_INFO}/METADATA").decode())


def packages(metadata: Message) -> set[str]:
    """Names of the packages that the wheel needs, extras included."""
    return {re.split(r"[<>=;\[ ]", line)[0] for line in metadata.get_all("Requires-Dist", [])}


def package_files() -> set[str]:
    files = (ROOT / "airflow_provider_genesys").rglob("*")
    return {str(path.relative_to(ROOT)) for path in files if path.is_file() and path.suffix != ".pyc"}


def example_dags() -> set[str]:
    return {f"airflow_provider_genesys/example_dags/{path.name}" for path in (ROOT / "dags").glob("*.py")}


def test_wheel_holds_the_package_with_its_example_dags_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = {path for path in archive.namelist() if not path.startswith(f"{DIST_INFO}/")}
    assert files == package_files() | example_dags()
    assert "airflow_provider_genesys/example_dags/genesys_recordings_daily.py" in files
    assert "airflow_provider_genesys/py.typed" in files


def test_wheel_holds_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"{DIST_INFO}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_wheel_names_the_provider_to_airflow(wheel: Path) -> None:
    found = ConfigParser()
    with zipfile.ZipFile(wheel) as archive:
        found.read_string(archive.read(f"{DIST_INFO}/entry_points.txt").decode())
    (target,) = dict(found["apache_airflow_provider"]).values()
    assert target == f"{get_provider_info.__module__}:get_provider_info"


def test_wheel_imports_by_itself(wheel: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(wheel)!r})
from airflow_provider_genesys import get_provider_info
assert get_provider_info.__file__.startswith({str(wheel)!r})
print(get_provider_info.get_provider_info()["versions"])
"""
    assert run_python("-I", "-c", script).strip() == str([VERSION])


def test_sdist_holds_what_is_published_and_nothing_else(sdist_files: set[str]) -> None:
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO"} <= sdist_files
    assert package_files() <= sdist_files
    tops = {path.partition("/")[0] for path in sdist_files}
    assert tops - {".gitignore"} == {
        "airflow_provider_genesys",
        "dags",
        "docs",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
    }


def test_metadata_says_what_is_needed(metadata: Message) -> None:
    needed = packages(metadata)
    assert {"apache-airflow", "apache-airflow-providers-amazon", "httpx", "ijson", "tenacity"} <= needed
    assert {"postgres", "all"} <= set(metadata.get_all("Provides-Extra", []))
    assert (metadata["Name"], metadata["Version"]) == ("airflow-provider-genesys", VERSION)


def test_contributors_are_told_why_each_package_is_needed(metadata: Message) -> None:
    said = (ROOT / "CONTRIBUTING.md").read_text()
    needed = packages(metadata) - {metadata["Name"]}
    assert {package for package in needed if f"`{package}" not in said} == set()


def test_changelog_has_this_version() -> None:
    assert f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text()


AIRFLOW_KNOWS = """
import json
from airflow.providers_manager import ProvidersManager
manager = ProvidersManager()
hook = manager.hooks["genesys_cloud"]._asdict()
print(json.dumps([manager.providers["airflow-provider-genesys"].data, hook], default=str))
"""


def test_airflow_finds_the_installed_provider_and_its_connection_type(tmp_path: Path) -> None:
    provider, hook = json.loads(run_python("-c", AIRFLOW_KNOWS, AIRFLOW_HOME=str(tmp_path)).splitlines()[-1])
    info = get_provider_info()
    said = ("package-name", "versions", "hooks", "operators", "sensors", "triggers", "transfers", "extra-links")
    assert {key: provider[key] for key in said} == {**{key: info[key] for key in said}, "versions": [VERSION]}
    (declared,) = info["connection-types"]
    assert hook["hook_class_name"] == declared["hook-class-name"]
    assert hook["connection_id_attribute_name"] == "genesys_conn_id"
