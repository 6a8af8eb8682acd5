"""Every code block of the docs runs as a reader would run it, or has a line here that says why not.

Python is executed: a DAG and its operators are made, a function is defined. Of a command the arguments are checked by
the program's own parser. JSON and YAML are parsed. Which page a block is on does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from airflow.cli.cli_parser import get_parser
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, task
from packaging.requirements import Requirement

from airflow_provider_genesys.commands.app import app
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
from airflow_provider_genesys.testing.fake_genesys.__main__ import _parser as fake_parser
from airflow_provider_genesys.testing.fault_proxy.__main__ import _parser as proxy_parser
from tests.docs.code_blocks import ROOT, Block, blocks, commands
from tests.docs.test_parameters import operators

BUILT_IN = ROOT / "airflow_provider_genesys" / "contracts" / "built_in" / "recordings.yaml"
PYTHON_NOT_RUN = {
    "load_catalog(": "asks a catalog; tests/lake asks its own in the same way",
    "report.download(token_provider": "the report is the reader's own code",
    "polars.scan_parquet(files": "tests/unit/sinks/test_parquet.py reads with polars",
    "duckdb.sql(": "needs the parts of a load; tests/sinks/test_s3.py reads them",
    "...  # run the DAG": "tests/unit/testing/test_fault_proxy.py runs it",
    "from my_dags.recordings import dag": "tests/docs/test_fake_genesys_docs.py runs it in a separate folder",
    ", ..., ": "arguments are left out",
}
"""By what is in the block."""
COMMANDS_NOT_RUN = {
    "git": "needs the network",
    "docker": "tests/unit/test_compose.py reads the files that it is given",
    ".": "part of the shell",
    "cd": "part of the shell",
    "export": "part of the shell",
    "umask": "part of the shell",
    "cat": "part of the shell",
    "cp": "tests/unit/test_packaging.py looks for the example DAGs in the wheel",
    "pytest": "tests/docs/test_fake_genesys_docs.py and tests/conformance/test_custom_sink.py run it",
}
"""By the first word."""
LEFT_OUT = ("…", "...")
"""What stands for the rest of a JSON text that is shown in part."""


def stand_ins() -> dict[str, Any]:
    """Return what blocks of a page take for given: the operators, and the tasks before and beside theirs."""
    own = {operator.__name__: operator for operator in operators()}
    create = own["GenesysCreateExportOperator"](task_id="given_create")
    wait = own["GenesysExportSensor"](task_id="given_wait", export_id=create.output)
    load = {"handle": wait.output, "s3_bucket": "b", "s3_prefix": "p"}
    to_s3 = own["GenesysExportToS3Operator"](task_id="given_s3", **load)
    to_postgres = own["GenesysExportToPostgresOperator"](task_id="given_postgres", handle=wait.output, table="t")
    given = {"create": create, "wait": wait, "to_s3": to_s3, "to_postgres": to_postgres, "load": to_postgres}
    given["report"] = EmptyOperator(task_id="given_report")
    listed = {"statements": ["COPY INTO <table> FROM @<stage>"], "source_uris": [["gs://b/p"]], "source_format": "CSV"}
    airflow = {"DAG": DAG, "Asset": Asset, "task": task, "RECORDINGS": Asset("recordings")}
    times = {"datetime": datetime, "timedelta": timedelta, "timezone": timezone}
    return {**own, **given, **airflow, **times, "listed": listed, "GenesysCloudHook": GenesysCloudHook}


def reason(block: Block) -> str | None:
    return next((why for what, why in PYTHON_NOT_RUN.items() if what in block.code), None)


@pytest.mark.parametrize("block", [one for one in blocks("python") if not reason(one)], ids=str)
def test_python_runs(
    block: Block, names: dict[str, dict[str, Any]], dags_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_REDIS_DEFAULT", "redis://127.0.0.1:9/0")
    page = names.setdefault(block.place.partition(":")[0], {})
    with DAG("given", schedule="@daily", start_date=datetime(2026, 11, 1, tzinfo=timezone.utc)) as dag:
        dag.fileloc = str(dags_folder / "given.py")
        page |= stand_ins()
        exec(compile(block.code, block.place, "exec"), page)  # noqa: S102 - the docs' own code


@pytest.fixture(scope="module")
def names() -> dict[str, dict[str, Any]]:
    """What the blocks of each page have named so far: a later one may go on with it."""
    return {}


@pytest.fixture(scope="module")
def dags_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of DAGs with the contract files that blocks name."""
    folder = tmp_path_factory.mktemp("dags")
    for name in ("include/calls.yaml", "include/recordings.yaml", "contracts/recordings_v3.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(BUILT_IN.read_text())
    return folder


@pytest.mark.parametrize("what", PYTHON_NOT_RUN)
def test_each_reason_is_of_a_block(what: str) -> None:
    assert any(what in block.code for block in blocks("python"))


def _genesys(arguments: list[str]) -> None:
    """Parse, and call nothing."""
    command = typer.main.get_command(app)
    pending: list[Any] = [command]
    while pending:
        one = pending.pop()
        pending += getattr(one, "commands", {}).values()
        one.callback = None
    command.main(arguments, standalone_mode=False)


def _airflow(arguments: list[str]) -> None:
    get_parser().parse_args(arguments)


def _pip(arguments: list[str]) -> None:
    extras = set(metadata.metadata("airflow-provider-genesys").get_all("Provides-Extra") or ())
    wanted = [Requirement(one) for one in arguments[1:] if not one.startswith(("-", "https:"))]
    own = [one for one in wanted if one.name == "airflow-provider-genesys"]
    assert all(one.extras <= extras for one in own)
    assert wanted


def _run(arguments: list[str]) -> None:
    usage = (ROOT / "run").read_text().partition("TEXT'\n")[2].partition("\nTEXT\n")[0]
    verb, *rest = arguments
    assert f"\n  {verb} " in usage
    assert all((ROOT / one).exists() for one in rest if one.startswith("tests/"))


def _python(arguments: list[str]) -> None:
    option, what, *rest = arguments
    if option == "-c":
        compile(what, "a command", "exec")
        return
    parsers = {"fake_genesys": fake_parser, "fault_proxy": proxy_parser}
    room = what.removeprefix("airflow_provider_genesys.testing.")
    if room in parsers:
        parsers[room]().parse_args(rest)
    else:
        assert what in {"pytest", "venv", "airflow_provider_genesys"}


CHECKED: dict[str, Callable[[list[str]], None]] = {
    "airflow-genesys": _genesys,
    "airflow": _airflow,
    "pip": _pip,
    "./run": _run,
    "python": _python,
    "python3": _python,
}


@pytest.mark.parametrize("block", blocks("bash", "console", "sh", "shell"), ids=str)
def test_commands_take_their_arguments(block: Block) -> None:
    for word, *arguments in commands(block):
        if word in COMMANDS_NOT_RUN:
            continue
        assert word in CHECKED, f"{word}: check it, or say in COMMANDS_NOT_RUN why not"
        try:
            CHECKED[word](arguments)
        except SystemExit as end:
            pytest.fail(f"{word} {arguments}: exit code {end.code}")


@pytest.mark.parametrize("block", blocks("json", "yaml", "yml"), ids=str)
def test_data_is_what_it_is_called(block: Block) -> None:
    if block.language != "json":
        yaml.safe_load(block.code)
    elif not any(left_out in block.code for left_out in LEFT_OUT):
        json.loads(block.code)
