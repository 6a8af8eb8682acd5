from __future__ import annotations

import gzip
import json
import threading
import zlib
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.contracts.contract import Column, Contract
from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.sinks.objects.ndjson import GzipLines, RowEncoder, packed_members
from airflow_provider_genesys.source.records import Slice
from tests.sinks.batches import make_batches, make_load

NOON = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)


def contract_of(**types: Any) -> Contract:
    given_columns = [Column(name, name, kind) for name, kind in types.items()]
    own = (Column("id", "id", "string", required=True), Column("at", "at", "timestamp"))
    return Contract("calls", 1, key="id", timestamp="at", columns=(*own, *given_columns))


def line_of(value: Any, kind: str) -> bytes:
    """How a value of a column is written."""
    [line] = RowEncoder(contract_of(value=kind)).encode([("a", NOON, value)]).splitlines()
    return line.removeprefix(b'{"id":"a","at":"2026-11-01T12:00:00Z","value":').removesuffix(b"}")


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("string", 'a "quoted"\n\ttext \u2028 é \x00', b'"a \\"quoted\\"\\n\\ttext \xe2\x80\xa8 \xc3\xa9 \\u0000"'),
        ("string", None, b"null"),
        ("integer", 2**53 + 1, b"9007199254740993"),
        ("integer", -(2**70), b"-1180591620717411303424"),
        ("number", 0.1, b"0.1"),
        ("number", -0.0, b"-0.0"),
        ("number", 1e300, b"1e300"),
        ("decimal", Decimal("0.10000000000000000000000000001"), b"0.10000000000000000000000000001"),
        ("decimal", Decimal("1E+400"), b"1E+400"),
        ("boolean", True, b"true"),
        ("timestamp", datetime(2026, 11, 1, 1, 2, 3, tzinfo=timezone.utc), b'"2026-11-01T01:02:03Z"'),
        ("timestamp", datetime(2026, 11, 1, 1, 2, 3, 4000, tzinfo=timezone.utc), b'"2026-11-01T01:02:03.004000Z"'),
        ("timestamp", datetime(1, 1, 1, tzinfo=timezone.utc), b'"0001-01-01T00:00:00Z"'),
        ("uuid", "6f9619ff-8b86-d011-b42d-00cf4fc964ff", b'"6f9619ff-8b86-d011-b42d-00cf4fc964ff"'),
        ("json", b'{"b": [1, 2.50], "a": "\\ud83d\\ude00"}', b'{"b": [1, 2.50], "a": "\\ud83d\\ude00"}'),
        ("json", b"null", b"null"),
        ("json", None, b"null"),
    ],
)
def test_each_type_is_written_exactly(kind: str, value: Any, written: bytes) -> None:
    assert line_of(value, kind) == written


@pytest.mark.parametrize("line_break", [b"\n", b"\r", b"\r\n"])
def test_a_line_break_between_the_tokens_of_a_json_value_does_not_break_the_line(line_break: bytes) -> None:
    value = b'{"a":' + line_break + b"[1E400," + line_break + b' "x\\n y"]}'
    encoder = RowEncoder(contract_of(value="json"))

    lines = encoder.encode([("a", NOON, b"1"), ("b", NOON, value), ("c", NOON, None)])

    assert b"\r" not in lines
    assert [line.rpartition(b'"value":')[2] for line in lines.splitlines()] == [
        b"1}",
        b'{"a":[1E400,"x\\n y"]}}',
        b"null}",
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.lists(st.tuples(st.text(), st.none() | json_values, st.sampled_from([None, 1, "\t"])), max_size=8))
def test_every_row_is_one_line_that_reads_back(rows: list[tuple[str, Any, Any]]) -> None:
    contract = contract_of(value="json", text="string")
    given_rows = [(key, NOON, json.dumps(value, indent=indent).encode(), key) for key, value, indent in rows]

    lines = RowEncoder(contract).encode(given_rows)

    read = [json.loads(line) for line in lines.split(b"\n")[:-1]]
    assert [(row["id"], row["value"], row["text"]) for row in read] == [(key, value, key) for key, value, _ in rows]
    assert lines.count(b"\n") == len(rows)


@pytest.mark.parametrize("text", [b'{"a":\n1}', '{"a":\n1}'], ids=["a record's", "a child's"])
def test_json_on_several_lines_becomes_one_line(text: Any) -> None:
    assert line_of(text, "json") == b'{"a":1}'


def test_columns_keep_their_names_and_order_whatever_they_are_called() -> None:
    names = ["class", "Name", "name", "_x", "two words", "größe", "__init__"]
    contract = contract_of(**dict.fromkeys(names, "string"))

    [line] = RowEncoder(contract).encode([("a", NOON, *names)]).splitlines()

    assert list(json.loads(line)) == ["id", "at", *names]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
def test_a_column_name_that_needs_escapes_is_refused(name: str) -> None:
    with pytest.raises(ContractError, match="has a quote, a backslash"):
        contract_of(**{name: "string"})


WIDE = contract_of(text="string")
TEXT = "".join(str(n * n) for n in range(15_000))  # more than the longest row needs


def rows_at(*places: tuple[int, int]) -> Batch:
    """Return a batch with a row of the given size in bytes at each given offset."""
    load = make_load(contract=WIDE)
    [batch] = make_batches(load, 1)
    rows = [("a", NOON, TEXT[offset % 1000 :][:size]) for offset, size in places]
    return replace(batch, rows=rows, offsets=[offset for offset, _ in places], start=places[0][0])


def members(data: bytes) -> list[bytes]:
    found = []
    while data:
        unpacker = zlib.decompressobj(31)
        found.append(unpacker.decompress(data))
        data = unpacker.unused_data
    return found


def packed(batches: list[Batch]) -> bytes:
    rows = GzipLines(WIDE)
    return b"".join(map(rows.pack, batches)) + rows.end()


SIZES = [(n * 90_000, 100_000 if n < 12 else 3_000) for n in range(60)]


@pytest.mark.parametrize("step", [1, 3, 7, 60])
def test_gzip_gives_the_same_bytes_however_rows_are_cut_into_batches(step: int) -> None:
    whole = rows_at(*SIZES)
    lines = RowEncoder(WIDE).encode(whole.rows)
    batches = [rows_at(*SIZES[at : at + step]) for at in range(0, len(SIZES), step)]

    data = packed(batches)

    assert data == packed([whole])
    assert gzip.decompress(data) == lines
    assert data[4:8] == bytes(4)  # no time
    # Blocks of six rows are members while rows are large; small ones are put together.
    assert [part.count(b"\n") for part in members(data)] == [6, 6, 48]


@pytest.mark.parametrize(
    ("cuts", "made_elsewhere"),
    [
        ([0, 6, 8, 12, 18, 30, 60], [True, False, True, False, False, False]),
        ([1, 6, 8, 12, 18, 30, 60], [True, False, True, False, False, False]),
        ([5, 6, 8, 12, 18, 30, 60], [False, False, True, False, False, False]),
        ([0, 12, 60], [True, False]),  # of two blocks
        ([0, 3, 12, 60], [False, True, False]),  # what is held goes into the first member
        ([0, 18, 60], [False, False]),  # the last block has too little for a member
        ([0, 8, 12, 60], [False, True, False]),
    ],
)
def test_gzip_takes_members_that_another_process_has_packed(cuts: list[int], made_elsewhere: list[bool]) -> None:
    pack, shared = packed_members(WIDE), list[Batch]()
    for first, last in pairwise(cuts):
        batch = rows_at(*SIZES[first:last])
        part = Slice(batch.start, SIZES[last - 1][0] + 90_000, b"", batch.offsets, [], "lines")
        pieces = [list(batch.rows)[at : at + 5] for at in range(0, last - first, 5)]
        shared.append(replace(batch, packed=pack(pieces, part)))
    assert [bool(batch.packed and batch.packed.startswith(b"\x1f\x8b")) for batch in shared] == made_elsewhere
    assert packed(shared) == packed([rows_at(*SIZES[cuts[0] :])])


NAMES = [one + other for one in "abcdefg" for other in "uvwxyz"]


def test_gzip_gives_the_same_bytes_wherever_the_stack_lies() -> None:
    # Of so few bytes ISA-L alone finds other matches with one stack of some hundred, another one for each name.
    at = Column("at", "at", "timestamp")
    keys = [Column(name, name, "string", required=True) for name in NAMES]
    tables = [Contract("calls", 1, key=key.name, timestamp="at", columns=(key, at)) for key in keys]
    batch = replace(rows_at((0, 1)), rows=[("a", NOON)] * 3, offsets=[0, 1, 2])
    results, written, ended = list[bytes](), threading.Semaphore(0), threading.Event()

    def pack() -> None:
        for rows in map(GzipLines, tables):
            results.append(rows.pack(batch) + rows.end())
        written.release()
        ended.wait()  # or the next thread would get the same stack

    threads = [threading.Thread(target=pack) for _ in range(100)]
    for thread in threads:
        thread.start()
    for _ in threads:
        written.acquire()
    ended.set()
    for thread in threads:
        thread.join()
    assert len(set(results)) == len(tables)


def test_no_rows_are_no_member() -> None:
    assert packed([]) == b""
