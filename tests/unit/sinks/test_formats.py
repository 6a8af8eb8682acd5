from __future__ import annotations

import gzip
import json
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.contracts.contract import Column, Contract
from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.sinks.objects.ndjson import GZIP_BLOCK, GzipBlocks, Plain, RowEncoder

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


def test_columns_keep_their_names_and_order_whatever_they_are_called() -> None:
    names = ["class", "Name", "name", "_x", "two words", "größe", "__init__"]
    contract = contract_of(**dict.fromkeys(names, "string"))

    [line] = RowEncoder(contract).encode([("a", NOON, *names)]).splitlines()

    assert list(json.loads(line)) == ["id", "at", *names]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
def test_a_column_name_that_needs_escapes_is_refused(name: str) -> None:
    with pytest.raises(ContractError, match="has a quote, a backslash"):
        contract_of(**{name: "string"})


@pytest.mark.parametrize("size", [0, 1, GZIP_BLOCK - 1, GZIP_BLOCK, 3 * GZIP_BLOCK + 5])
def test_gzip_gives_the_same_bytes_however_it_is_fed(size: int) -> None:
    text = (b"".join(b'{"n":%d,"square":%d}\n' % (n, n * n) for n in range(40_000)))[:size]

    packed = set()
    for piece in (7919, GZIP_BLOCK, max(size, 1)):
        packer = GzipBlocks()
        packed.add(b"".join(packer.pack(text[at : at + piece]) for at in range(0, size, piece)) + packer.end())

    [data] = packed
    assert gzip.decompress(data) == text
    assert data[4:8] == bytes(4)  # no time


def test_plain_packs_nothing() -> None:
    packer = Plain()

    assert packer.pack(b"abc") + packer.end() == b"abc"
