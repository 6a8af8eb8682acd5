"""A load is committed to an Iceberg table once, as a whole, in place of what its window had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from airflow_provider_genesys.sinks.s3 import S3Sink
from tests.lake.tables import Lake, duckdb_rows
from tests.sinks.batches import DAY, make_load
from tests.sinks.lake import LOAD, Bucket, batches_of, ids, run

NewSink = Callable[..., S3Sink]


def test_a_load_is_one_commit_that_says_whose_it_is(
    new_sink: NewSink, lake: Bucket, catalog: Lake, tmp_path: Path
) -> None:
    load = make_load()
    sink = new_sink(output_format="parquet", publisher=catalog.publisher())
    certificate = run(sink, load, batches_of(load, 250, dead={7}))

    wanted = ids(number for number in range(250) if number != 7)
    assert catalog.ids() == wanted
    assert duckdb_rows(catalog.table(), lake.read, tmp_path) == [(249, 249)]
    [facts] = catalog.snapshots()
    assert {name: facts[f"genesys.{name}"] for name in ("load-id", "fence", "export-id", "rows")} == {
        "load-id": "load-1",
        "fence": "1",
        "export-id": "export-1",
        "rows": "249",
    }
    table = catalog.table()
    assert (
        certificate.iceberg
        == lake.manifest()["iceberg"]
        == {"lake.recordings": str(table.metadata.current_snapshot_id)}
    )
    assert {task.file.file_path.rpartition("/")[2] for task in table.scan().plan_files()} == {
        part["key"].rpartition("/")[2] for part in lake.manifest()["parts"]
    }
    fields = {field.name: field for field in table.schema().fields}
    assert [field.field_id for field in fields.values()] == list(range(1, len(fields) + 1))
    assert [one.doc for one in fields.values() if one.name == "recordingId"] == [load.contract.columns[0].description]
    row = table.scan(row_filter="_window_start == '2026-11-01T00:00:00+00:00'", limit=1).to_arrow().to_pylist()[0]
    assert (row["_window_start"], row["_window_end"]) == (DAY, DAY + timedelta(days=1))


def test_a_reload_replaces_its_window_alone_and_the_old_version_can_be_read(
    new_sink: NewSink, lake: Bucket, catalog: Lake
) -> None:
    load = make_load()
    day_after = replace(load, load_id="load-2", window_start=load.window_end, window_end=load.window_end + timedelta(1))
    for one, records in ((load, 150), (day_after, 50)):
        run(new_sink(output_format="parquet", publisher=catalog.publisher()), one, batches_of(one, records))
    before = catalog.table().metadata.current_snapshot_id
    assert len(catalog.ids()) == 200

    again = replace(load, export_id="export-2", submitted_at=load.submitted_at + timedelta(hours=1))
    run(new_sink(output_format="parquet", publisher=catalog.publisher()), again, batches_of(again, 250))
    assert catalog.ids() == sorted([*ids(range(250)), *ids(range(50))])
    assert catalog.ids(before) == sorted([*ids(range(150)), *ids(range(50))])  # its files are still there
    assert len(catalog.snapshots()) == 3
    listed = {part["key"] for part in lake.manifest()["parts"]}
    assert len(listed) < len([key for key in lake.listed(LOAD) if key.endswith(".parquet")])


def test_a_load_done_twice_is_committed_once(new_sink: NewSink, catalog: Lake) -> None:
    load = make_load()
    first, second = (
        run(
            new_sink(output_format="parquet", publisher=catalog.publisher()), load, batches_of(load, 150), restart=again
        )
        for again in (False, True)
    )
    assert len(catalog.snapshots()) == 1
    assert first.iceberg == second.iceberg
    assert catalog.ids() == ids(range(150))
