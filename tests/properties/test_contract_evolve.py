"""A contract that evolves: what lands depends on the records alone, not on how they are cut or who resumes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.contracts.contract import Contract, Modes
from airflow_provider_genesys.contracts.drift import Drift, Surprise
from airflow_provider_genesys.contracts.evolve import LONGEST_NAME, MOST_COLUMNS, changes, inferred
from airflow_provider_genesys.exceptions import CheckpointError, SinkUnavailableError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, from_json
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.local import LocalSink
from tests.unit.pipeline.sources import InMemory, a_load

COLUMNS = (
    Column("id", "id", "string", required=True),
    Column("at", "at", "timestamp", required=True),
    Column("n", "n", "integer", required=True),
    Column("name", "o.name", "string"),
)
EVOLVING = Contract("c", 1, "id", "at", COLUMNS, modes=Modes("evolve", "evolve", "evolve"))

AWKWARD = ['a"b', "a\\b", "a\nb", "\0", "\x1f", "\x7f", "xmin", "Ctid", "größe", "\U0001f600", "x" * 300]
"""Names that a column cannot have as they are, or that need care."""

values = st.sampled_from([None, True, 7, 2**70, 1.5, "x", "2026-11-22T10:00:00Z", [1], {"a": 1}])
extras = st.dictionaries(
    st.sampled_from(["n", "x", "X", "x_", "y.z", "", "o_name", "oName", "_loaded_at", *AWKWARD]), values
)
inner = st.dictionaries(st.sampled_from(["name", "colour", "deep"]), values, max_size=2)
records = st.tuples(st.integers(0, 3), extras, st.one_of(inner, values)).map(
    lambda drawn: {} if drawn[0] < 2 else {**drawn[1], "o": drawn[2]} if drawn[0] == 2 else drawn[1]
)


def archive(records: list[dict[str, Any]], shape: str) -> bytes:
    whole = [
        json.dumps({"id": f"r{number}", "at": "2026-11-22T10:00:00Z", "n": number, **record}).encode()
        for number, record in enumerate(records)
    ]
    return b"\n".join(whole) if shape == "lines" else b"[" + b",\n ".join(whole) + b"]"


class Breaking(LocalSink):
    """Breaks down at a batch."""

    def __init__(self, folder: str, at: int | None) -> None:
        super().__init__(folder, "ndjson", part_size=400, dead_letter_raw="keep")
        self.left = at

    def write(self, batch: Any) -> Any:
        if self.left == 0:
            raise SinkUnavailableError("broken down")
        self.left = self.left - 1 if self.left else None
        return super().write(batch)


def loaded(
    data: bytes, folder: str, *, batch_size: int = 500, chunk: int = 10**6, at: int | None = None
) -> Certificate:
    options = Options(batch_size=batch_size, max_dead_letter_ratio=None, flush_interval=60.0)
    return run(a_load(contract=EVOLVING), InMemory(data, chunk), Breaking(folder, at), options)


def landed(folder: str) -> dict[str, bytes]:
    """The parts by the offsets in their names, and the dead letters without what is an attempt's own."""
    paths = [path for path in Path(folder).rglob("*.ndjson") if "_ledger" not in str(path)]
    return {f"{path.parts[-4:-2]}{path.name[:31]}": path.read_bytes() for path in paths}


def account(certificate: Certificate) -> Any:
    return (certificate.counts, certificate.digest, certificate.drift, certificate.evolved, certificate.rules)


@given(
    found=st.lists(records, min_size=1, max_size=25),
    shape=st.sampled_from(["lines", "array"]),
    batch_size=st.integers(1, 7),
    chunk=st.integers(1, 300),
    at=st.integers(0, 12),
)
@example(found=[{}, {}, {"n": None, "o": {}}], shape="array", batch_size=1, chunk=1, at=0)
def test_what_lands_does_not_depend_on_how_a_load_is_cut_or_resumed(
    found: list[dict[str, Any]], shape: str, batch_size: int, chunk: int, at: int
) -> None:
    data = archive(found, shape)
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as cut:
        expected = account(loaded(data, whole))
        try:
            certificate = loaded(data, cut, batch_size=batch_size, chunk=chunk, at=at)
        except SinkUnavailableError:
            certificate = loaded(data, cut, batch_size=batch_size + 1)
        assert account(certificate) == expected
        assert landed(cut) == landed(whole)


def test_rows_have_the_new_keys_from_the_record_on(tmp_path: Path) -> None:
    loaded(archive([{}, {"colour": "red"}, {"n": "much"}, {}], "lines"), str(tmp_path))
    parts = sorted(path for path in tmp_path.rglob("*.ndjson") if "_dead" not in str(path))
    assert len(parts) == 3  # each holds rows of one shape
    rows = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    assert [list(row)[4:] for row in rows] == [[], ["colour"], *[["colour", "n__v_string"]] * 2]
    assert [row.get("colour") for row in rows] == [None, "red", None, None]
    assert [(row["n"], row.get("n__v_string")) for row in rows] == [(0, None), (1, None), (None, "much"), (3, None)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b'"x"', "string"),
        (b'"2026-11-22T10:00:00Z"', "string"),
        (b"true", "boolean"),
        (b"-5", "integer"),
        (b"9223372036854775808", "decimal"),
        (b"1" * 50, "json"),
        (b"1.5", "number"),
        (b"1e3", "number"),
        (b"1e999", "json"),
        (b"[1]", "json"),
        (b"{}", "json"),
        (b'"\\ud800"', None),
    ],
)
def test_a_type_is_inferred_from_the_first_value(text: bytes, kind: str | None) -> None:
    assert inferred(text) == kind


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("colour",), "colour"),
        (("o", "colour"), "oColour"),
        (("o", "Name"), "oName"),
        (("Name_",), "Name_2"),
        (("_loaded_at",), "loaded_at"),
        (("größe",), "gr__e"),
        (("ü",), "field"),
        (("aB" * 40,), ("aB" * 40)[: LONGEST_NAME * 2 // 3]),
        (("@processed_at",), None),
        (("a.b",), None),
        (("a[0]",), None),
        (("",), None),
    ],
)
def test_a_new_column_has_a_name_that_is_free_and_fits_everywhere(path: tuple[str, ...], name: str | None) -> None:
    columns = changes(EVOLVING, Surprise(path, "unknown", b"1", "evolve"))
    assert [column.name for column in columns] == ([] if name is None else [name])


def test_a_contract_does_not_grow_without_end() -> None:
    columns = [Column(f"c{number}", f"c{number}", "string") for number in range(MOST_COLUMNS - len(COLUMNS))]
    assert changes(EVOLVING.evolved(columns), Surprise(("new",), "unknown", b"1", "evolve")) == []


def test_a_variant_is_protected_as_its_column_is() -> None:
    masked = EVOLVING.evolved([Column("phone", "phone", "string", pii="mask")])
    surprise = Surprise(("phone",), "type", b"1.5", "evolve", masked.columns[-1])
    (variant,) = changes(masked, surprise)
    assert (variant.name, variant.type, variant.pii) == ("phone__v_json", "json", "mask")


def test_a_checkpoint_carries_the_evolved_columns() -> None:
    columns = [Column("x", "x", "json", pii_inside=(("[].a", "mask"),)), Column("n", "n", "integer", default=7)]
    checkpoint = Checkpoint("l", "e", "t", evolved=columns, drift=[Drift("x", "unknown", 3, 17, "null")])
    assert from_json(checkpoint.to_json(), where="the test") == checkpoint


def test_a_checkpoint_of_version_1_is_read() -> None:
    old = msgspec.json.decode(Checkpoint("l", "e", "t").to_json())
    del old["evolved"]
    old |= {"version": 1, "drift": {"new": 20, "queue.colour": 1}}
    checkpoint = from_json(old, where="the test")
    assert checkpoint.drift == [Drift("new", "unknown", 20), Drift("queue.colour", "unknown", 1)]
    assert checkpoint.evolved == []
    with pytest.raises(CheckpointError, match="has version 3"):
        from_json({**old, "version": 3}, where="the test")
    with pytest.raises(CheckpointError, match="cannot be read"):
        from_json({**old, "drift": 7}, where="the test")
