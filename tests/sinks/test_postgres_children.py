"""Child tables follow the rows that they belong to, whatever the order in which exports come."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import ConfigurationError, SinkRefusedError
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.testing.sink_conformance.source import DAY, make_batches, make_load
from tests.sinks.warehouse import Warehouse

PEOPLE = Child(
    "people",
    "participants",
    (ChildColumn("participantId", "id", "string"), ChildColumn("since", "since", "timestamp")),
)
CONTRACT = replace(RECORDINGS, children=(PEOPLE,))
FIRST = make_load("export-1", contract=CONTRACT)
LATER = make_load("export-2", contract=CONTRACT, submitted_at=DAY + timedelta(days=3))


def batches(load: Load, *ids: str, records: int = 3) -> list[Batch]:
    """Batches whose every record has participants with ``ids``."""
    people = json.dumps([{"id": one, "since": "2026-11-01T00:00:00Z"} for one in ids]).encode()
    place = CONTRACT.index("participants")
    return [
        replace(batch, rows=[(*row[:place], people, *row[place + 1 :]) for row in batch.rows])
        for batch in make_batches(load, records, dead=())
    ]


def people(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    rows = warehouse.execute("SELECT recording_id, ordinal, participant_id FROM recordings_people ORDER BY 1, 2")
    return [tuple(row.values()) for row in rows]


def expected(*ids: str, records: int = 3) -> list[tuple[Any, ...]]:
    return [(f"recording-{number:07}", ordinal, one) for number in range(records) for ordinal, one in enumerate(ids, 1)]


def test_each_record_has_its_children(warehouse: Warehouse) -> None:
    warehouse.load(FIRST, batches(FIRST, "a", "b"))
    assert people(warehouse) == expected("a", "b")


def test_a_record_that_comes_again_replaces_them(warehouse: Warehouse) -> None:
    warehouse.load(FIRST, batches(FIRST, "a", "b", "c"))
    warehouse.load(LATER, batches(LATER, "c"))
    assert people(warehouse) == expected("c")


def test_an_older_export_that_comes_late_changes_nothing(warehouse: Warehouse) -> None:
    warehouse.load(LATER, batches(LATER, "new"))
    warehouse.load(FIRST, batches(FIRST, "old", "older"))
    assert people(warehouse) == expected("new")


def test_the_same_export_loaded_again_gives_the_same_children(warehouse: Warehouse) -> None:
    warehouse.load(FIRST, batches(FIRST, "a", "b"))
    warehouse.load(FIRST, batches(FIRST, "a", "b"), restart=True)
    assert people(warehouse) == expected("a", "b")


@pytest.mark.parametrize("options", [{"publish": "atomic"}, {"write_mode": "replace_window"}])
def test_what_cannot_be_kept_with_children_is_refused(warehouse: Warehouse, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="child_tables=False"):
        warehouse.sink(**options).open(FIRST, restart=False)
    warehouse.load(FIRST, batches(FIRST, "a"), child_tables=False, **options)


def test_a_table_that_may_not_be_created_is_told_with_its_sql(warehouse: Warehouse) -> None:
    warehouse.load(FIRST, batches(FIRST), child_tables=False)
    with pytest.raises(SinkRefusedError, match=r'CREATE TABLE "public"."recordings_people"'):
        warehouse.sink(create_table=False).open(FIRST, restart=True)


def test_values_are_coerced_or_null_and_what_is_no_list_has_no_rows() -> None:
    text = b'[{"id": "a", "since": "soon"}, 7, {"id": 5, "since": "2026-11-01T00:00:00"}]'
    rows = list(PEOPLE.rows(text))
    assert [(row[0], row[1], row[2] is None) for row in rows] == [(1, "a", True), (2, "5", False)]
    assert not list(PEOPLE.rows(b'{"id": "a"}'))
    assert not list(PEOPLE.rows(None))


def test_lists_within_lists_know_the_objects_around_them() -> None:
    child = Child(
        "parts",
        "participants.sessions",
        (ChildColumn("who", "../id", "string"), ChildColumn("session", "id", "string")),
    )
    text = b'[{"id": "a", "sessions": [{"id": "x"}, {"id": "y"}]}, {"id": "b"}, {"id": "c", "sessions": [{"id": "z"}]}]'
    assert list(child.rows(text)) == [(1, "a", "x"), (2, "a", "y"), (3, "c", "z")]
