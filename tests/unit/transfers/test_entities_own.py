"""Listings that a user declares, one of each way of paging, loaded by a mapped task of a DAG of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import AirflowFailException

from airflow_provider_genesys.commands.app import main
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.transfers.genesys_entities_to_postgres import GenesysEntitiesToPostgresOperator
from tests.support.task_context import run
from tests.unit.transfers.listings import Rows, genesys, on, rows

__all__ = ["genesys", "rows"]

_SOURCE = "name: {name}\nversion: 1\nsource:\n  path: /api/v2/own/{name}\n  paging: {paging}\n  page_size: 3\n{more}"
_COLUMNS = "key: id\ncolumns:\n  id: {type: string, required: true}\n  name: {type: string}\n"
_BELOW = (
    "  parent: {entity: wards_numbered.yaml, path: ward}\n"
    'key: key\ncolumns:\n  key: {path: "@key", type: string, required: true}\n'
    '  ward: {path: "@parent", type: string}\n  id: {type: string}\n'
)


def declare(folder: Path, genesys: FakeGenesys, name: str, paging: str, more: str = "", rest: str = _COLUMNS) -> str:
    """Write a declaration, and let Genesys have it; return its path."""
    path = folder / f"{name}.yaml"
    path.write_text(_SOURCE.format(name=name, paging=paging, more=more) + rest)
    genesys.listings.declare(path)
    return str(path)


def load(entity: str, **options: Any) -> dict[str, Any]:
    operator = GenesysEntitiesToPostgresOperator(task_id="load", entity=entity, dead_letter_raw="drop", **options)
    return dict(run(operator, on(0)))


@pytest.mark.parametrize("paging", ["pageNumber", "after", "cursor", "nextUri", "one"])
def test_any_way_of_paging_is_loaded_and_checked(
    genesys: FakeGenesys, rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str], paging: str
) -> None:
    name = f"wards_{paging.lower()}"
    path = declare(tmp_path, genesys, name, paging)
    assert main(["entities", "check", path]) == 0
    assert f"{name}: " in capsys.readouterr().out
    summary = load(path)
    expected = {entry.id: entry.name for entry in genesys.listings.organisation.table(name)}
    assert {row["id"]: row["name"] for row in rows(f"SELECT id, name FROM {name}")} == expected
    assert summary["snapshot"]["new"] == summary["counts"]["written"] == len(expected) == 7


def test_a_listing_below_a_listing_of_ones_own(genesys: FakeGenesys, rows: Rows, tmp_path: Path) -> None:
    declare(tmp_path, genesys, "wards_numbered", "pageNumber")
    path = tmp_path / "beds.yaml"
    path.write_text(_SOURCE.format(name="beds", paging="after", more="").replace("/beds", "/beds/{ward}/of") + _BELOW)
    genesys.listings.declare(path)
    load(str(path))
    organisation = genesys.listings.organisation
    expected = {
        (ward.id, bed.id)
        for ward in organisation.table("wards_numbered")
        for bed in organisation.table("beds", ward.id)
    }
    assert {(row["ward"], row["id"]) for row in rows("SELECT ward, id FROM beds")} == expected


def test_it_goes_from_keeping_what_is_gone_to_marking_it(genesys: FakeGenesys, rows: Rows) -> None:
    load("queues", deletes="keep")
    table = genesys.listings.organisation.table("queues")
    gone = next(iter(table)).id
    table.delete(gone)
    with pytest.raises(AirflowFailException, match="lacks the columns _deleted_at") as raised:
        load("queues", deletes="mark")
    rows(str(raised.value).partition("Run: ")[2].partition("\n")[0])
    load("queues", deletes="mark", history=True)
    assert rows("SELECT id FROM queues WHERE _deleted_at IS NOT NULL") == [{"id": gone}]
    table.create("Back")
    load("queues", deletes="keep", history=True)
    assert len(rows("SELECT id FROM queues")) == 13
    load("queues", deletes="remove", history=True)
    assert len(rows("SELECT id FROM queues")) == 12
