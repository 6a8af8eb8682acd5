"""What each mode makes of each surprise, and drift held against a naive reference."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.contracts.contract import Column, Contract, Modes
from airflow_provider_genesys.contracts.drift import MOST_NAMES, OTHERS, described, summed
from airflow_provider_genesys.contracts.transform import Rows, Transform
from airflow_provider_genesys.exceptions import ContractFrozenError
from airflow_provider_genesys.source.records import Slice

NOW = datetime(2026, 11, 22, 3, tzinfo=timezone.utc)
TIME = "2026-11-22T10:00:00Z"
GOOD = {"id": "1", "at": TIME, "n": 1}
RECORDS = {
    "unknown": {**GOOD, "new": "x"},
    "type": {**GOOD, "n": "much"},
    "missing": {"id": "1", "at": TIME},
}
FIELDS = {"unknown": "new", "type": "n", "missing": "n"}


def contract(**modes: Any) -> Contract:
    columns = (
        Column("id", "id", "string", required=True),
        Column("at", "at", "timestamp", required=True),
        Column("n", "n", "integer", required=True),
        Column("flag", "o.flag", "boolean"),
        Column("name", "o.name", "string"),
    )
    return Contract("c", 1, "id", "at", columns, modes=Modes(**modes))


def slice_of(records: list[dict[str, Any]]) -> Slice:
    lines = [json.dumps(record).encode() + b"\n" for record in records]
    ends = [sum(map(len, lines[: place + 1])) for place in range(len(lines))]
    data = b"".join(lines)
    return Slice(0, len(data), data, [0, *ends[:-1]], ends, "lines")


def read(records: list[dict[str, Any]], by: Contract) -> list[Rows]:
    return [rows for _, rows in Transform(by, NOW).read(slice_of(records))]


EVOLVED = {
    "unknown": ([("new", "string", False)], {"new": "x"}),
    "type": ([("n", "integer", False), ("n__v_string", "string", False)], {"n": None, "n__v_string": "much"}),
    "missing": ([("n", "integer", False)], {"n": None}),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_evolve_changes_the_contract_from_the_record_on(kind: str) -> None:
    by = contract(**{kind: "evolve"})
    before, after = read([GOOD, RECORDS[kind], GOOD], by)
    columns, values = EVOLVED[kind]
    assert before.contract is by
    assert [len(before.rows), len(after.rows)] == [1, 2]
    new = [column for column in after.contract.columns if column not in by.columns]
    assert [(column.name, column.type, column.required) for column in new] == columns
    row = dict(zip([column.name for column in after.contract.columns], after.rows[0], strict=True))
    assert {name: row[name] for name in values} == values
    assert [(d.field, d.kind, d.count) for d in (*before.drift, *after.drift)] == [(FIELDS[kind], kind, 1)]


@pytest.mark.parametrize("kind", RECORDS)
def test_freeze_fails_and_names_the_field_and_the_place(kind: str) -> None:
    with pytest.raises(ContractFrozenError) as caught:
        read([GOOD, RECORDS[kind]], contract(**{kind: "freeze"}))
    message, place = str(caught.value), len(json.dumps(GOOD)) + 1
    assert f"the record at byte {place} " in message
    assert repr(FIELDS[kind]) in message
    assert f"contract_modes={{'{kind}': 'quarantine'}}" in message
    assert "much" not in message


@pytest.mark.parametrize(("kind", "value"), [("unknown", 1), ("missing", None)])
def test_discard_value_loads_the_rest(kind: str, value: Any) -> None:
    (rows,) = read([GOOD, RECORDS[kind]], contract(**{kind: "discard_value"}))
    assert [row[2] for row in rows.rows] == [1, value]
    assert [(d.field, d.kind, d.count) for d in rows.drift] == [(FIELDS[kind], kind, 1)]


def test_discarding_a_required_value_leaves_it_missing() -> None:
    (rows,) = read([GOOD, RECORDS["type"]], contract(type="discard_value"))
    assert [letter.rule for letter in rows.dead_letters] == ["missing-required"]
    (rows,) = read([GOOD, RECORDS["type"]], contract(type="discard_value", missing="discard_value"))
    assert [row[2] for row in rows.rows] == [1, None]
    assert [(d.field, d.kind) for d in rows.drift] == [("n", "missing"), ("n", "type")]


@pytest.mark.parametrize(
    ("kind", "rule"), [("unknown", "unknown-field"), ("type", "wrong-type"), ("missing", "missing-required")]
)
def test_quarantine_rejects_the_record(kind: str, rule: str) -> None:
    (rows,) = read([GOOD, RECORDS[kind]], contract(**{kind: "quarantine"}))
    assert [letter.rule for letter in rows.dead_letters] == [rule]
    assert len(rows.rows) == 1
    assert [(d.field, d.kind, d.count) for d in rows.drift] == [(FIELDS[kind], kind, 1)]


@pytest.mark.parametrize("mode", ["evolve", "discard_value", "quarantine"])
def test_a_record_without_its_key_never_lands(mode: str) -> None:
    records = [{**GOOD, "id": ""}, {**GOOD, "id": None}, {"at": TIME, "n": 1}]
    (rows,) = read(records, contract(missing=mode))
    assert [letter.rule for letter in rows.dead_letters] == ["missing-required"] * 3


@pytest.mark.parametrize("value", ["1500", 1500.0])
def test_what_is_mended_without_loss_lands_whatever_the_mode(value: Any) -> None:
    (rows,) = read([{**GOOD, "n": value}], contract(type="freeze"))
    assert rows.rows[0][2] == 1500
    assert [d.kind for d in rows.drift] == (["type"] if isinstance(value, str) else [])


def test_a_default_stands_for_what_is_missing() -> None:
    by = Contract("c", 1, "id", "at", (*contract().columns, Column("lang", "o.lang", "string", default="en")))
    (rows,) = read([GOOD, {**GOOD, "o": {"lang": None}}, {**GOOD, "o": {"lang": "de"}}], by)
    assert [row[-1] for row in rows.rows] == ["en", "en", "de"]
    assert rows.drift == []


def test_values_inside_lists_are_picked_and_their_surprises_counted() -> None:
    lists = (Column("first", "p[0].u", "string"), Column("every", "p[].u", "json"), Column("p", "p", "json"))
    by = Contract("c", 1, "id", "at", (*contract().columns, *lists))
    records = [{"p": [{"u": "a"}, {"u": "b"}, {}]}, {"p": []}, {}, {"p": {"u": "x"}}, {"p": [{"u": 7}]}]
    (rows,) = read([{**GOOD, **record} for record in records], by)
    assert [row[5:7] for row in rows.rows] == [("a", b'["a","b",null]'), (None, b"[]"), (None, None), ("7", b"[7]")]
    assert [letter.rule for letter in rows.dead_letters] == ["wrong-type"]
    assert {(d.field, d.kind, d.count) for d in rows.drift} == {("p[0].u", "type", 2), ("p[].u", "type", 1)}


values = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.just(1.5), st.text("ab1", max_size=3), st.just([1]), st.just({})
)
objects = st.dictionaries(st.sampled_from(["flag", "name", "other"]), values, max_size=3)
records = st.fixed_dictionaries(
    {"id": st.just("1"), "at": st.just(TIME)},
    optional={"n": values, "x": values, "y": values, "o": st.one_of(objects, objects, values)},
)


def reference(record: dict[str, Any]) -> set[tuple[str, str]]:
    """How a record differs from :func:`contract`, by the standard library."""
    found = {(name, "unknown") for name in record.keys() - {"id", "at", "n", "o"}}
    if record.get("n") is None:
        found.add(("n", "missing"))
    elif type(record["n"]) is not int:
        found.add(("n", "type"))
    inner = record.get("o")
    if inner is not None and not isinstance(inner, dict):
        return found | {("o", "type")}
    for name, value in (inner or {}).items():
        kind = {"flag": bool, "name": str}.get(name)
        if kind is None:
            found.add((f"o.{name}", "unknown"))
        elif value is not None and type(value) is not kind:
            found.add((f"o.{name}", "type"))
    return found


@given(batches=st.lists(st.lists(records, min_size=1, max_size=6), min_size=1, max_size=4))
def test_drift_is_exact(batches: list[list[dict[str, Any]]]) -> None:
    transform, found, wanted = Transform(contract(), NOW), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for batch in batches:
        for _, rows in transform.read(slice_of(batch)):
            found.update({(drift.field, drift.kind): drift.count for drift in rows.drift})
        wanted.update(surprise for record in batch for surprise in reference(record))
    assert found == wanted


def test_drift_tells_the_first_place_and_no_value() -> None:
    (rows,) = read([GOOD, {**GOOD, "phone": "+49 170 1234567"}, {**GOOD, "phone": 5}], contract())
    (drift,) = rows.drift
    assert (drift.field, drift.kind, drift.count, drift.first) == ("phone", "unknown", 2, len(json.dumps(GOOD)) + 1)
    assert drift.example == "string of 15 characters"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "absent"),
        (b"null", "null"),
        (b"true", "boolean"),
        (b"-1234", "integer of 4 digits"),
        (b"12.5", "number of 4 characters"),
        (b'"\\u00fc"', "string of 1 characters"),
        (b"[1,2]", "list of 2 values"),
        (b'{"secret":1}', "object of 1 fields"),
        (b'"\\ud800"', "8 bytes that cannot be read"),
    ],
)
def test_a_value_is_described_by_its_type_and_shape(text: bytes | None, said: str) -> None:
    assert described(text) == said


def test_drift_is_bounded_where_ids_are_field_names() -> None:
    sums: list[Any] = []
    for number in range(MOST_NAMES + 50):
        (rows,) = read([{**GOOD, f"id-{number}": 1}], contract())
        sums = summed(sums, rows.drift)
    assert len(sums) == MOST_NAMES + 1
    assert [(d.field, d.count) for d in sums if d.field == OTHERS] == [(OTHERS, 50)]
