"""How the package is cut: which room may import what, how large a module may be, what it may be called."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import airflow_provider_genesys

PACKAGE = Path(airflow_provider_genesys.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
PLAIN_ROOMS = (
    *(
        "cloud",
        "stores",
        "source",
        "contracts",
        "pipeline",
        "checkpoints",
        "sinks",
        "media",
        "backfill",
        "entities",
        "lake",
    ),
    "completeness",
    "testing",
)
AIRFLOW_ROOMS = ("commands", "hooks", "plugin", "triggers", "links", "tasks", "transfers", "sensors", "operators")
PLAIN_MODULES = (
    *(
        "__init__.py",
        "exceptions.py",
        "times.py",
        "retries.py",
        "failpoints.py",
        "aws_errors.py",
        "resolved.py",
        "outside.py",
        "limits.py",
        "window.py",
        "partition.py",
    ),
    "get_provider_info.py",
)
"""What lies beside the rooms needs no Airflow either."""

HEAVY = {"azure", "boto3", "botocore", "google", "httpx", "pandas", "psycopg", "pyarrow", "pyiceberg"}
"""What no DAG file may load when it is parsed, which happens every few seconds."""

PUBLIC = (
    *("airflow.sdk", "airflow.providers"),
    *("airflow.configuration", "airflow.triggers.base", "airflow.exceptions"),  # Airflow's page "Public interface"
    "airflow.plugins_manager",
    *("airflow.timetables.interval", "airflow.stats", "airflow.lineage.hook"),  # before 3.3, which has them in the SDK
)
"""What of Airflow may be imported: everything else may move in any release."""

SERVER = {"plugin/app.py", "plugin/rows.py"}
"""What only Airflow's API server loads, inside of it; docs/ui.md says what it needs of Airflow."""

MAX_LINES = 350
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base_utils"}


def room(path: Path) -> str:
    """The first folder below the package, or the file's own name."""
    return path.relative_to(PACKAGE).parts[0]


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


PLAIN = [path for path in MODULES if room(path) in (*PLAIN_ROOMS, *PLAIN_MODULES)]
AIRFLOW = [path for path in MODULES if room(path) in (*AIRFLOW_ROOMS, "__main__.py")]


def imported(path: Path) -> Iterator[str]:
    """Every module that the file's text imports, at whatever depth and under whatever condition."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_every_module_belongs_to_a_known_room() -> None:
    assert [name(path) for path in MODULES if path not in (*PLAIN, *AIRFLOW)] == []


def of_airflow(path: Path) -> list[str]:
    """What the file's text imports of Airflow."""
    return [module for module in imported(path) if module.split(".")[0] == "airflow"]


def test_plain_modules_name_no_airflow() -> None:
    assert {path: found for path in PLAIN if (found := of_airflow(path))} == {}


def test_airflow_is_imported_by_its_public_modules_alone() -> None:
    dags = sorted((PACKAGE.parent / "dags").glob("*.py"))
    assert dags
    public = tuple(f"{module}." for module in PUBLIC)
    asked = {path: of_airflow(path) for path in [*AIRFLOW, *dags] if path in dags or name(path) not in SERVER}
    inner = {path: [one for one in found if not f"{one}.".startswith(public)] for path, found in asked.items()}
    assert {path: found for path, found in inner.items() if found} == {}


def test_plain_rooms_import_without_airflow() -> None:
    # Not by this package's own statements alone: nothing that they import may need it.
    refuse = """
import importlib, json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name == "airflow" or name.startswith("airflow."):
            raise ImportError(f"{name} was imported")

sys.meta_path.insert(0, Refuse())
failed = {}
for name in json.load(sys.stdin):
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(json.dumps(failed))
"""
    modules = [dotted(path) for path in PLAIN if path.stem != "__main__"]
    assert "airflow_provider_genesys.pipeline.run" in modules
    assert run_python(refuse, modules) == {}


def test_airflow_rooms_load_nothing_heavy(tmp_path: Path) -> None:
    compare = """
import importlib, json, sys
from airflow.sdk import AssetAlias, BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator, Context
from airflow.sdk.log import mask_secret
import airflow.configuration, airflow.exceptions, airflow.triggers.base

asked = json.load(sys.stdin)
blame = {}
for name in asked["modules"]:
    # Some of these are loaded by this Airflow itself: forgotten, they show again when somebody imports them.
    for heavy in asked["heavy"]:
        sys.modules.pop(heavy, None)
    importlib.import_module(name)
    blame[name] = [heavy for heavy in asked["heavy"] if heavy in sys.modules]
print(json.dumps(blame))
"""
    modules = [dotted(path) for path in AIRFLOW if name(path) not in SERVER]
    blame = run_python(compare, {"modules": modules, "heavy": sorted(HEAVY)}, AIRFLOW_HOME=str(tmp_path))
    assert {module: heavy for module, heavy in blame.items() if heavy} == {}


def test_modules_are_described_small_and_well_named() -> None:
    texts = {path: path.read_text() for path in MODULES}
    assert [path for path, text in texts.items() if not ast.get_docstring(ast.parse(text))] == []
    assert [path for path, text in texts.items() if len(text.splitlines()) > MAX_LINES] == []
    assert [path for path in MODULES if path.stem in VAGUE_NAMES] == []


def run_python(script: str, asked: Any, **environment: str) -> dict[str, object]:
    """Run ``script`` in a fresh Python that reads ``asked`` as JSON; return the JSON that it prints last."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(asked),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))
