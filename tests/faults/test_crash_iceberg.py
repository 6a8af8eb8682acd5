"""A load into an Iceberg table, killed and taken up again, is committed once; readers see whole windows only."""

from __future__ import annotations

import json
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.faults.crash_child import DAY
from tests.faults.crash_scene import PROCESSED_AT, Loader, Places, Scene, make_source
from tests.faults.kills import OF_ICEBERG, taken_up
from tests.lake.tables import Lake, duckdb_rows, in_azure, in_s3
from tests.sinks.lake import Bucket

RECORDS = {"records": 150, "broken": 5, "duplicates": 10}
SETTINGS = {"output_format": "parquet", "part_size": 60_000}


@pytest.fixture
def catalog(request: pytest.FixtureRequest, places: Places, tmp_path: Path) -> dict[str, Any]:
    in_store = request.node.callspec.params.get("sink", "s3")
    if in_store == "azure":
        return in_azure(tmp_path / "catalog.db", places.blobs)
    return in_s3(tmp_path / "catalog.db", places.bucket, places.s3.endpoint_url)


@pytest.fixture
def scene(running: tuple[FakeGenesys, Loader], places: Places, catalog: dict[str, Any]) -> Scene:
    genesys, children = running
    return Scene(
        children, places, make_source(genesys, **RECORDS), 80, {"output_format": "parquet", "catalog": catalog}
    )


@pytest.mark.outcome("Iceberg", "SIGKILL directly before or after the commit", "recovers")
@pytest.mark.parametrize(
    ("sink", "step", "nth"),
    [
        # The commit asks the catalog, whatever store has the parts.
        pytest.param(*of, marks=[pytest.mark.long] if of[:2] == ("azure", failpoints.PUBLISHING) else [])
        for of in OF_ICEBERG
    ],
)
def test_killed_around_the_commit(scene: Scene, catalog: dict[str, Any], sink: str, step: str, nth: int) -> None:
    place, read = scene.places.new(sink, **scene.settings)
    killed, resumed = (
        scene._attempt(sink, place, at, **kill)
        for at, kill in zip(PROCESSED_AT, ({"step": step, "nth": nth}, {}), strict=False)
    )
    assert killed["signal"] == signal.SIGKILL
    assert failpoints.SPLIT not in resumed["steps"]
    assert taken_up(sink, step, nth) == "closes"
    table = Lake(**catalog)
    assert len(table.snapshots()) == 1
    assert table.snapshots()[0]["genesys.rows"] == str(read()["rows"]) == str(len(table.ids()))


@pytest.mark.outcome("Iceberg", "SIGKILL between the commits of a contract with children", "recovers")
def test_killed_between_two_tables(running: tuple[FakeGenesys, Loader], places: Places, tmp_path: Path) -> None:
    catalog = in_s3(tmp_path / "catalog.db", places.bucket, places.s3.endpoint_url)
    source = make_source(running[0], "conversation_details", conversations=30, available_until=DAY[1])
    scene = Scene(running[1], places, source, 20, {"output_format": "parquet", "catalog": catalog})
    place, _ = places.new("s3", **scene.settings)
    killed = scene._attempt("s3", place, PROCESSED_AT[0], step=failpoints.TABLE_COMMITTED, nth=2)
    assert killed["signal"] == signal.SIGKILL
    done = scene._attempt("s3", place, PROCESSED_AT[1])
    bucket = Bucket(places.client, places.bucket)
    [manifest] = [key for key in bucket.listed(place["prefix"]) if key.endswith("_manifest.json")]
    listed = json.loads(bucket.read(manifest))
    tables = {"lake.recordings": listed["parts"]}
    tables |= {f"lake.recordings_{child}": parts for child, parts in listed["children"].items()}
    assert done["iceberg"].keys() == tables.keys()
    assert len(tables) > 3
    for name, parts in tables.items():
        table = Lake(**catalog).table(name)
        assert len(table.metadata.snapshots) == 1
        assert table.scan().to_arrow().num_rows == sum(part["rows"] for part in parts) > 0


@pytest.mark.outcome("Iceberg", "SIGKILL at a step, or anywhere, of a reload that readers watch", "recovers")
@pytest.mark.parametrize(
    "kill",
    [
        *(
            pytest.param(
                {"step": step, "nth": 1},
                marks=[] if step in (failpoints.PUBLISHING, failpoints.TABLE_COMMITTED) else [pytest.mark.long],
            )
            for step in (failpoints.CHECKED, failpoints.PUBLISHING, failpoints.TABLE_COMMITTED, failpoints.CLEANED)
        ),
        *(pytest.param({"share": seed}, marks=[pytest.mark.long], id=f"random-{seed}") for seed in range(50)),
    ],
    ids=lambda kill: str(kill.get("step")),
)
def test_readers_see_whole_windows(
    running: tuple[FakeGenesys, Loader], scene: Scene, catalog: dict[str, Any], kill: dict[str, Any], tmp_path: Path
) -> None:
    place, _ = scene.places.new("s3", **scene.settings)
    old = scene._attempt("s3", place, PROCESSED_AT[0])
    again = replace(scene, source=make_source(running[0], **RECORDS))
    if "share" in kill:
        kill = {"seconds": random.Random(kill["share"]).random() * old["took"]}  # noqa: S311 - the same each time
    rows, lake, bucket = old["counts"]["written"], Lake(**catalog), Bucket(scene.places.client, scene.places.bucket)
    with watched(lake) as seen:
        again._attempt("s3", place, PROCESSED_AT[1], submitted_at=PROCESSED_AT[0], **kill)
        new = again._attempt("s3", place, PROCESSED_AT[2], submitted_at=PROCESSED_AT[0])
    assert new["counts"]["written"] == rows
    assert seen[0] == {PROCESSED_AT[0]: rows}
    assert {(len(one), one.total()) for one in seen} == {(1, rows)}, "rows of two loads, or of none"
    assert duckdb_rows(lake.table(), bucket.read, tmp_path) == [(rows, rows - RECORDS["duplicates"])]
    assert [facts["genesys.export-id"] for facts in lake.snapshots()] == [old["export_id"], new["export_id"]]


@contextmanager
def watched(lake: Lake) -> Iterator[list[Counter[str]]]:
    """Read the table all the time, and give what was seen each time: how many rows were processed when."""
    seen: list[Counter[str]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            table = lake.table()
            found = table.scan(selected_fields=("processedAt",)).to_arrow()["processedAt"].to_pylist()
            seen.append(Counter(at.isoformat() for at in found))
            done.wait(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()
