"""Child files follow the parts that they lie beside: same cut, same ledger entry, same bytes whoever writes them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.dead_letters import opened
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.objects.replay import ObjectReplay
from airflow_provider_genesys.sinks.objects.verify import verify
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.testing.sink_conformance.source import (
    LENGTH,
    make_batches,
    make_certificate,
    make_load,
    written,
)
from airflow_provider_genesys.times import now
from tests.sinks.lake import run as load_into
from tests.sinks.replaying import LENIENT, as_it_is, letters_of, record

PEOPLE = Child(
    "people",
    "participants",
    (ChildColumn("participantId", "id", "string"), ChildColumn("since", "since", "timestamp")),
)
CONTRACT = replace(RECORDINGS, children=(PEOPLE,))
FIRST = make_load("export-1", contract=CONTRACT)
RECORDS = 250
PEOPLE_EACH = [{"id": "a", "since": "2026-11-01T00:00:00Z"}, {"id": "b"}]


def batches(load: Load, *, size: int = 50) -> Iterator[Batch]:
    """Batches whose every record has two participants."""
    people, place = json.dumps(PEOPLE_EACH).encode(), CONTRACT.index("participants")
    for batch in make_batches(load, RECORDS, size=size, dead=()):
        yield replace(batch, rows=[(*row[:place], people, *row[place + 1 :]) for row in batch.rows])


def run(folder: Path, load: Load = FIRST, *, stop_at: int | None = None, size: int = 50, **settings: Any) -> Any:
    """Load into ``folder``, in parts of 100 records; break off before the batch that begins at record ``stop_at``."""
    sink = LocalSink(folder, part_size=100 * LENGTH, dead_letter_raw="drop", **settings)
    checkpoint = sink.open(load, restart=False)
    begin = last = checkpoint.position.record_offset if checkpoint else 0
    for batch in batches(load, size=size):
        if stop_at is not None and batch.start >= stop_at * LENGTH:
            sink.abort()
            return None
        if batch.start >= begin:
            written(sink, batch)
            last = batch
    return sink.finish(make_certificate(load, last.checkpoint))


def manifest(folder: Path) -> dict[str, Any]:
    (found,) = folder.glob("dt=*/*/_manifest.json")
    return dict(json.loads(found.read_text()))


def lines(folder: Path) -> list[dict[str, Any]]:
    """Return the children that the manifest lists."""
    keys = [part["key"] for part in manifest(folder)["children"]["people"]]
    return [json.loads(line) for key in keys for line in gzip.decompress((folder / key).read_bytes()).splitlines()]


def objects(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.ndjson.gz")}


def test_each_part_has_a_file_of_children_beside_it(tmp_path: Path) -> None:
    certificate = run(tmp_path)
    held = manifest(tmp_path)
    assert [part["rows"] for part in held["parts"]] == [100, 100, 50]
    assert [part["rows"] for part in held["children"]["people"]] == [200, 200, 100]
    assert certificate.counts.written == RECORDS
    row, other = lines(tmp_path)[:2]
    assert row == {
        "recordingId": "recording-0000000",
        "processedAt": row["processedAt"],
        "ordinal": 1,
        "participantId": "a",
        "since": "2026-11-01T00:00:00Z",
    }
    assert (other["ordinal"], other["since"]) == (2, None)
    assert {path.split("/")[0] for path in objects(tmp_path)} == {"dt=2026-11-01", "people"}


def test_files_of_children_are_read_back_too(tmp_path: Path) -> None:
    run(tmp_path)
    [key] = [one.relative_to(tmp_path) for one in tmp_path.glob("dt=*/*/_manifest.json")]
    found = verify(FolderStore(tmp_path), str(key))
    assert (found.problems, found.objects, found.rows) == ((), 6, RECORDS)
    child = tmp_path / manifest(tmp_path)["children"]["people"][1]["key"]
    child.write_bytes(child.read_bytes()[:-1])
    [problem] = verify(FolderStore(tmp_path), str(key)).problems
    assert str(child.relative_to(tmp_path)) in problem


@pytest.mark.parametrize("stop_at", [50, 100, 150, 200])
def test_a_load_that_was_broken_off_ends_with_the_files_of_a_perfect_one(tmp_path: Path, stop_at: int) -> None:
    perfect, broken = tmp_path / "perfect", tmp_path / "broken"
    for folder in (perfect, broken):
        folder.mkdir()
    run(perfect)
    run(broken, stop_at=stop_at)
    run(broken, size=25)
    assert objects(broken) == objects(perfect)
    assert lines(broken) == lines(perfect)


def test_a_later_export_replaces_the_children_with_the_parts(tmp_path: Path) -> None:
    run(tmp_path)
    before = objects(tmp_path)
    run(tmp_path, make_load("export-2", contract=CONTRACT, submitted_at=now()))
    assert len(objects(tmp_path)) == len(before)
    assert not objects(tmp_path).keys() & before.keys()


def test_without_child_files_those_of_an_earlier_load_go(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, child_files=False)
    assert manifest(tmp_path)["children"] == {}
    assert {path.split("/")[0] for path in objects(tmp_path)} == {"dt=2026-11-01"}


def test_a_child_file_that_somebody_removed_ends_the_load_unfinished(tmp_path: Path) -> None:
    run(tmp_path, stop_at=200)
    next(iter((tmp_path / "people").rglob("*.ndjson.gz"))).unlink()
    with pytest.raises(AccountError, match="people"):
        run(tmp_path)


@pytest.mark.parametrize("numbers", [range(10), range(1)], ids=["with others", "alone"])
def test_a_record_that_is_replayed_brings_its_children(tmp_path: Path, numbers: range) -> None:
    letter = record(0, participants=PEOPLE_EACH)
    given = [letters_of(FIRST, {0: letter}, numbers=numbers)]
    load_into(LocalSink(tmp_path, dead_letter_raw="keep"), FIRST, given)
    replay = ObjectReplay(FolderStore(tmp_path), "", opened=lambda kept: opened(kept, as_it_is))
    assert replay.run(lambda _: replace(LENIENT, children=(PEOPLE,)), "dag/replay/task").replayed == 1
    added = [line for line in lines(tmp_path) if line["recordingId"] == "recording-0000000"]
    assert [line["participantId"] for line in added] == ["a", "b"]
    assert len(manifest(tmp_path)["parts"]) == min(2, len(numbers))


def test_children_come_as_parquet_too(tmp_path: Path) -> None:
    run(tmp_path, output_format="parquet")
    keys = [part["key"] for part in manifest(tmp_path)["children"]["people"]]
    tables = [pq.read_table(io.BytesIO((tmp_path / key).read_bytes())) for key in keys]
    assert [table.num_rows for table in tables] == [200, 200, 100]
    assert tables[0].schema.field("ordinal").type == "int64"
    assert str(tables[0].schema.field("since").type) == "timestamp[us, tz=UTC]"
