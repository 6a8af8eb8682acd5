"""The DAG that reads dead letters again, run by Airflow after the daily one, as docs/dead-letters.md shows it."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

import airflow_provider_genesys
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
from tests.support.airflow_home import run_dag, states, xcoms
from tests.support.shipped_dag import shipped_dag

if TYPE_CHECKING:
    from airflow.sdk import DAG
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
PACKAGE = Path(airflow_provider_genesys.__file__).parent
PAGE = PACKAGE.parent / "docs" / "dead-letters.md"


def example(language: str) -> str:
    """Return the page's first example in ``language``."""
    return str(re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)[0])


def replaying(contract: Path) -> DAG:
    """Return the DAG, as if its file were beside that of the contract: a parameter names no other files."""
    dag = shipped_dag("genesys_replay_dead_letters")
    dag.fileloc = str(contract.with_name("genesys_replay_dead_letters.py"))
    return dag


def test_the_worked_example_of_the_docs(warehouse: Warehouse, tmp_path: Path) -> None:
    """Look at what was rejected, mend contract and table as the page says, replay, replay again."""
    warehouse.run(DAY)
    before = len(warehouse.rows())
    look, mend = example("sql").split(";")[:2]
    open_letters = sum(count for _, _, count in warehouse.query(look))
    contract = tmp_path / "recordings.yaml"
    old, new = re.findall(r"  durationMs: .*", example("diff"))
    shipped = (PACKAGE / "contracts" / "built_in" / "recordings.yaml").read_text()
    assert old in shipped
    contract.write_text(shipped.replace(old, new))
    with psycopg.connect(warehouse.dsn) as connection:
        connection.execute(mend)

    run = run_dag(replaying(contract), None, contract=contract.name)

    assert states(run) == {"replay": "success"}
    account = xcoms(run, "replay")["return_value"]
    assert account["letters"] == open_letters == 12
    assert account["mended"] == {"wrong-type": account["replayed"]}
    assert account["replayed"] > 0
    assert account["replayed"] + account["still_open"] == 12
    assert len(warehouse.rows()) == before + account["replayed"]

    again = xcoms(run_dag(replaying(contract), None, contract=contract.name), "replay")
    assert again["return_value"]["replayed"] == 0

    place = {"table": None, "s3_bucket": warehouse.bucket, "s3_prefix": "recordings"}
    in_s3 = xcoms(run_dag(replaying(contract), None, contract=contract.name, **place), "replay")
    assert in_s3["return_value"] == account


def test_the_bytes_come_back_as_the_page_says(warehouse: Warehouse) -> None:
    warehouse.run(DAY)
    shown: dict[str, object] = {}
    exec(example("python"), shown)  # noqa: S102 - our own page
    records = shown["broken_records"]
    archive = warehouse.genesys.archive(DAY, datetime(2026, 11, 23, tzinfo=timezone.utc))

    with psycopg.connect(warehouse.dsn) as connection:
        found = list(records(connection, GenesysCloudHook()))  # type: ignore[operator]

    assert len(found) == 12
    for offset, raw in found:
        assert raw == archive.read(offset, offset + len(raw))
