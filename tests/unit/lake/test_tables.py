"""What a load does to Iceberg tables: to all of them, with all of its files, and with windows that hold nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    UUIDType,
)

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.exceptions import FencedError, SinkRefusedError
from airflow_provider_genesys.lake.catalog import open_catalog
from airflow_provider_genesys.lake.change import Change
from airflow_provider_genesys.lake.commits import Committed, is_own, newest
from airflow_provider_genesys.lake.files import WindowFiles, held_by
from airflow_provider_genesys.lake.publish import TablePublisher
from airflow_provider_genesys.lake.tables import IcebergTarget
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.sinks.objects.publish import Publication
from airflow_provider_genesys.stores.folder import FolderStore
from tests.sinks.batches import make_load

LOAD = make_load()
DAY = timedelta(days=1)
COLUMNS = [Column("id", "id", "string"), Column("n", "n", "integer")]
TABLES = {"": COLUMNS, "calls": COLUMNS, "notes": COLUMNS}
TARGET = IcebergTarget("lake", "rows", create=True)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    place = f"sqlite:///{tmp_path}/catalog.db"
    return open_catalog("default", {"type": "sql", "uri": place, "warehouse": f"file://{tmp_path}/warehouse"})


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    (tmp_path / "parts").mkdir()
    return FolderStore(tmp_path / "parts")


@pytest.fixture
def publisher(catalog: Catalog, store: FolderStore) -> TablePublisher:
    return TablePublisher(lambda: catalog, lambda: store.url, TARGET)


def part_of(store: FolderStore, key: str, first: int, rows: int) -> Part:
    made = io.BytesIO()
    numbers = range(first, first + rows)
    pq.write_table(pa.table({"id": [f"{key}-{number}" for number in numbers], "n": list(numbers)}), made)
    etag = store.put(key, made.getvalue())
    return Part(key, first, first + rows, rows, len(made.getvalue()), "sha-of-" + key, etag)


def parts_of(store: FolderStore, name: str) -> list[Part]:
    return [part_of(store, f"{name or 'rows'}-{number}.parquet", number * 10, 10) for number in range(3)]


def publication(**parts: Any) -> Publication:
    return Publication(LOAD, 1, TABLES, {name.removeprefix("_"): found for name, found in parts.items()})


def numbers_in(catalog: Catalog, name: str) -> list[int]:
    return sorted(catalog.load_table(name).scan().to_arrow()["n"].to_pylist())


def test_every_table_is_looked_at_before_anything_is_read(publisher: TablePublisher, catalog: Catalog) -> None:
    publisher.check(TABLES)
    assert {name for _, name in catalog.list_tables("lake")} == {"rows", "rows_calls", "rows_notes"}
    for name, wrong in TABLES.items():
        other = {**TABLES, name: [replace(one, type="boolean") for one in wrong]}
        with pytest.raises(SinkRefusedError, match=f"lake.rows{'_' * bool(name)}{name} is of type"):
            publisher.check(other)


OTHERS: list[IcebergType] = [
    DecimalType(38, 2),
    TimestampType(),
    TimestamptzType(),
    DateType(),
    DoubleType(),
    FloatType(),
    IntegerType(),
    UUIDType(),
    BinaryType(),
    FixedType(16),
    ListType(9, StringType(), element_required=False),
    StructType(NestedField(9, "n", LongType(), required=False)),
    MapType(8, StringType(), 9, LongType(), value_required=False),
]
"""Types that a table of somebody else may have."""


@pytest.mark.outcome("Iceberg", "the table is somebody else's, and a column has a near type", "SinkRefusedError")
def test_a_table_of_somebody_else_has_our_types_or_is_refused(publisher: TablePublisher, catalog: Catalog) -> None:
    columns = [Column("id", "id", "string"), Column("n", "n", "decimal")]
    publisher.check({"": columns})
    made = catalog.load_table("lake.rows")
    for other in OTHERS:
        catalog.drop_table("lake.rows")
        fields = [replaced(field, other) if field.name == "n" else field for field in made.schema().fields]
        catalog.create_table("lake.rows", Schema(*fields), partition_spec=made.spec())
        with pytest.raises(SinkRefusedError, match=r"'n' of the Iceberg table lake.rows is of type .* load has string"):
            publisher.check({"": columns})


def replaced(field: NestedField, kind: IcebergType) -> NestedField:
    return NestedField(field.field_id, field.name, kind, required=False)


def test_every_file_of_every_table_is_committed(
    publisher: TablePublisher, catalog: Catalog, store: FolderStore
) -> None:
    whole = {name: parts_of(store, name) for name in TABLES}
    made = Publication(LOAD, 1, TABLES, whole)
    done = publisher.publish(store, made, lambda: None)
    assert list(done) == ["lake.rows_notes", "lake.rows_calls", "lake.rows"], "children first"
    for name in done:
        assert numbers_in(catalog, name) == list(range(30))
        table = catalog.load_table(name)
        assert held_by(table, name, LOAD).rows == 30
        assert [one.summary["genesys.rows"] for one in table.metadata.snapshots if one.summary] == ["30"]
    assert publisher.publish(store, made, lambda: None) == done, "a second call commits nothing"

    later = replace(LOAD, export_id="export-2", submitted_at=LOAD.window_end + DAY)
    fewer = replace(made, load=later, parts={n: p[1:] for n, p in whole.items()})
    publisher.publish(store, fewer, lambda: None)
    assert {name: numbers_in(catalog, name) for name in done} == {name: list(range(10, 30)) for name in done}


def test_a_newer_attempt_is_asked_for_directly_before_each_commit(
    publisher: TablePublisher, catalog: Catalog, store: FolderStore
) -> None:
    asked: list[int] = []

    def confirm() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise FencedError("taken over")

    with pytest.raises(FencedError):
        publisher.publish(store, Publication(LOAD, 1, TABLES, {"": parts_of(store, "")}), confirm)
    assert catalog.load_table("lake.rows_notes").current_snapshot()
    assert catalog.load_table("lake.rows_calls").current_snapshot() is None


def test_an_empty_window_is_committed_once_so_that_an_older_attempt_cannot_fill_it(
    publisher: TablePublisher, catalog: Catalog, store: FolderStore
) -> None:
    nothing = replace(publication(), columns={"": COLUMNS})
    done = publisher.publish(store, nothing, lambda: None)
    found = newest(catalog.load_table("lake.rows"), LOAD)
    assert found
    assert done == {"lake.rows": str(found.snapshot_id)}
    assert publisher.publish(store, nothing, lambda: None) == done
    assert len(catalog.load_table("lake.rows").metadata.snapshots) == 1
    older = replace(nothing, fence=0, parts={"": parts_of(store, "")})
    with pytest.raises(FencedError):
        publisher.publish(store, older, lambda: None)


def test_a_load_is_found_after_other_commits_and_without_the_history(
    publisher: TablePublisher, catalog: Catalog, store: FolderStore
) -> None:
    first = Publication(replace(LOAD, submitted_at=None), 1, {"": COLUMNS}, {"": parts_of(store, "")})
    day_after = replace(LOAD, load_id="load-2", window_start=LOAD.window_end, window_end=LOAD.window_end + DAY)
    second = replace(first, load=day_after, parts={"": parts_of(store, "next")})
    done = publisher.publish(store, first, lambda: None)
    newer = publisher.publish(store, second, lambda: None)
    assert publisher.publish(store, first, lambda: None) == done
    table = catalog.load_table("lake.rows")
    table.maintenance.expire_snapshots().older_than(datetime.now() + DAY).commit()  # noqa: DTZ005 - PyIceberg's
    assert publisher.publish(store, first, lambda: None) == newer, "its files are in the only snapshot that is left"
    assert len(catalog.load_table("lake.rows").metadata.snapshots) == 1


def test_columns_that_are_not_the_load_s_have_to_be_optional(publisher: TablePublisher, catalog: Catalog) -> None:
    publisher.check({"": COLUMNS})
    table = catalog.load_table("lake.rows")
    with table.update_schema() as update:
        update.add_column("theirs", StringType())
    publisher.check({"": COLUMNS})
    with catalog.load_table("lake.rows").update_schema(allow_incompatible_changes=True) as update:
        update.add_column("needed", StringType(), required=True)
    with pytest.raises(SinkRefusedError, match="`needed` DROP NOT NULL"):
        publisher.check({"": COLUMNS})


def test_tables_are_not_made_unless_that_is_asked_for(catalog: Catalog) -> None:
    with pytest.raises(SinkRefusedError, match="Set create=True"):
        TablePublisher(lambda: catalog, str, IcebergTarget("lake", "rows")).check({"": COLUMNS})


@pytest.mark.parametrize(("location", "below"), [("URL/tables/", "/tables/rows"), (None, "/warehouse/lake/rows")])
def test_new_tables_are_made_where_location_says(
    catalog: Catalog, tmp_path: Path, location: str | None, below: str
) -> None:
    root = f"file://{tmp_path}"
    target = replace(TARGET, location=location and location.replace("URL", root))
    TablePublisher(lambda: catalog, lambda: root, target).check({"": COLUMNS, "calls": COLUMNS})
    for child in ("", "_calls"):
        assert catalog.load_table(f"lake.rows{child}").location() == f"{root}{below}{child}"


class _File:
    record_count = 10


def _held(*paths: str, deleted: bool = False) -> WindowFiles:
    return WindowFiles(dict.fromkeys(paths, _File()), deleted)  # type: ignore[arg-type]  # of a file only this is read


FOUND = Committed(
    snapshot_id=7,
    at=LOAD.window_end,
    window=(LOAD.window_start.isoformat(), LOAD.window_end.isoformat()),
    load_id=LOAD.load_id,
    export_id=LOAD.export_id,
    fence=1,
    digest="digest",
    contract=str(LOAD.contract),
    submitted_at=LOAD.submitted_at,
)


@pytest.mark.parametrize(
    ("found", "held", "own"),
    [
        (FOUND, _held("a", "b"), True),
        (FOUND, _held("c", "d"), True),  # rewritten by maintenance
        (FOUND, _held("a", "b", deleted=True), False),
        (FOUND, _held("a"), False),
        (replace(FOUND, digest="other"), _held("a", "b"), False),
        (replace(FOUND, load_id="other"), _held("a", "b"), False),
        (None, _held("a", "b"), False),
    ],
)
def test_a_commit_is_the_load_s_while_the_table_has_its_rows(
    found: Committed | None, held: WindowFiles, own: bool
) -> None:
    assert is_own(found, held, LOAD, 20, "digest") is own


@pytest.mark.parametrize(
    ("paths", "held", "there"),
    [
        ("ab", _held("file:///a", "file:///b"), True),
        ("ab", _held("file:///a", "file:///b", deleted=True), False),
        ("ab", _held("file:///a"), False),
        ("ab", _held("file:///a", "file:///b", "file:///c"), False),
        ("", _held(), False),
    ],
)
def test_where_the_history_is_gone_the_list_of_files_decides(
    store: FolderStore, paths: str, held: WindowFiles, there: bool
) -> None:
    parts = [Part(path, 0, 1, 10, 1, "sha", "etag") for path in paths]
    assert Change(store, publication(_=parts), "", "file://").is_in(held, None) is there


@pytest.mark.parametrize("change", [{"key": "x"}, {"rows": 1}, {"sha256": "x"}])
def test_another_manifest_has_another_digest(store: FolderStore, change: dict[str, Any]) -> None:
    parts = [Part(path, 0, 1, 10, 1, "sha", "etag") for path in "ab"]
    digest: Callable[[list[Part]], str] = lambda listed: Change(store, publication(_=listed), "", "file://").digest  # noqa: E731
    assert digest([parts[0], replace(parts[1], **change)]) != digest(parts)
    assert digest([replace(one, etag="other") for one in parts]) == digest(parts)
