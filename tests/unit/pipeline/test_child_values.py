"""A value that a child cannot hold does what it does in a column of the record: the contract's mode decides."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.column import Column, ColumnType
from airflow_provider_genesys.contracts.contract import Contract, Modes
from airflow_provider_genesys.contracts.drift import Drift, Mode
from airflow_provider_genesys.exceptions import ContractError, ContractFrozenError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.run import Options, run
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, a_load

COLUMNS: dict[str, ColumnType] = {
    "text": "string",
    "count": "integer",
    "ratio": "number",
    "flag": "boolean",
    "at": "timestamp",
    "any": "json",
    "price": "decimal",
    "id": "uuid",
}
PARTS = Child("parts", "calls.parts", tuple(ChildColumn(name, name, kind) for name, kind in COLUMNS.items()))
SPOKEN = Child("spoken", "calls", (ChildColumn("callId", "callId", "string"), ChildColumn("at", "at", "timestamp")))
SOUND = {"text": "a", "count": 1, "ratio": 0.5, "flag": True, "at": "2026-11-22T10:00:00Z", "any": [1], "price": 1.5}


def contract(*children: Child, **changes: Any) -> Contract:
    columns = (
        Column("recordingId", "recordingId", "string", required=True),
        Column("timestamp", "timestamp", "timestamp", required=True),
        Column("calls", "calls", "json"),
    )
    return Contract("own", 1, "recordingId", "timestamp", columns, **{"children": children, **changes})


def load(contract: Contract, *calls: str, **options: Any) -> tuple[Certificate, Shelf]:
    shelf = Shelf()
    document = "".join(
        f'{{"recordingId":"r{number}","timestamp":"2026-11-22T10:00:00Z","calls":{text}}}\n'
        for number, text in enumerate(calls)
    )
    given = {"batch_size": 2, "flush_interval": 60.0, "max_dead_letter_ratio": None, **options}
    return run(a_load(contract=contract), InMemory(document.encode()), MemorySink(shelf), Options(**given)), shelf


def parts(**changes: Any) -> str:
    return json.dumps([{"callId": "c", "parts": [SOUND, {**SOUND, **changes}]}])


LOST = [
    ({"count": 1.5}, "calls[].parts[].count", "integer"),
    ({"count": 2**63}, "calls[].parts[].count", "integer"),
    ({"text": {}}, "calls[].parts[].text", "string"),
    ({"text": 1.5}, "calls[].parts[].text", "string"),
    ({"ratio": 2**53 + 1}, "calls[].parts[].ratio", "number"),
    ({"flag": 1}, "calls[].parts[].flag", "boolean"),
    ({"at": "2026-06-30T23:59:60Z"}, "calls[].parts[].at", "timestamp"),
    ({"at": "9999-12-31T23:30:00-05:00"}, "calls[].parts[].at", "timestamp"),
    ({"at": "0001-01-01T00:30:00+05:00"}, "calls[].parts[].at", "timestamp"),
    ({"at": "2026-06-30"}, "calls[].parts[].at", "timestamp"),
    ({"price": "1_0"}, "calls[].parts[].price", "decimal"),
    ({"id": "x"}, "calls[].parts[].id", "uuid"),
]


@pytest.mark.outcome("bad input", "a value of a wrong type in a child row", "dead letter")
@pytest.mark.parametrize(("changes", "path", "kind"), LOST)
@pytest.mark.parametrize("straight", [True, False])
def test_a_value_that_a_child_cannot_hold_rejects_the_record(
    changes: dict[str, Any], path: str, kind: str, straight: bool
) -> None:
    child = PARTS if not straight else replace(PARTS, columns=tuple(c for c in PARTS.columns if c.name in changes))
    certificate, shelf = load(contract(child), parts(), parts(**changes), parts())
    assert (certificate.counts.written, certificate.counts.dead_letters) == (2, 1)
    assert certificate.rules == {"wrong-type": 1}
    [letter] = shelf.letters
    assert letter.message == f"{path} is not of type {kind}."
    [drift] = [one for one in certificate.drift if one.kind == "type" and one.field == path]
    assert drift.count == 1


ELEMENTS = [
    ('{"callId":"c"}', "wrong-type", "calls"),
    ('"c"', "wrong-type", "calls"),
    ('[{"callId":"c"},5]', "not-an-object", "calls[]"),
    ('[["c"]]', "not-an-object", "calls[]"),
    ('[{"parts":{}}]', "wrong-type", "calls[].parts"),
    ('[{"parts":[{},"x"]}]', "not-an-object", "calls[].parts[]"),
]


@pytest.mark.outcome("bad input", "an element without a row in a list of child rows", "dead letter")
@pytest.mark.parametrize(("calls", "rule", "path"), ELEMENTS)
def test_an_element_that_can_have_no_row_rejects_the_record(calls: str, rule: str, path: str) -> None:
    certificate, shelf = load(contract(PARTS, SPOKEN), parts(), calls)
    assert certificate.rules == {rule: 1}
    assert [letter.message.partition(" is ")[0] for letter in shelf.letters] == [path]


@pytest.mark.parametrize("calls", ["null", "[]", "[null]", '[{"parts":null}]', '[{"parts":[{"count":null}, null]}]'])
def test_null_is_no_value(calls: str) -> None:
    certificate, _ = load(contract(PARTS, SPOKEN), parts(), calls)
    assert (certificate.counts.written, certificate.counts.dead_letters) == (2, 0)
    assert [drift for drift in certificate.drift if drift.kind == "type"] == []


def test_a_value_that_is_converted_without_loss_is_drift() -> None:
    changes = {"count": "1000", "ratio": "0.5", "flag": "true", "at": "2026-11-22 12:00:00.5+02:00", "text": 5}
    certificate, _ = load(contract(PARTS), parts(**changes))
    assert certificate.counts.written == 1
    found = {drift.field.rpartition(".")[2] for drift in certificate.drift if drift.kind == "type"}
    assert found == {"count", "ratio", "flag", "text"}


@pytest.mark.parametrize(("mode", "dead_letters"), [("discard_value", 0), ("quarantine", 1), ("evolve", 1)])
def test_the_mode_decides(mode: Mode, dead_letters: int) -> None:
    certificate, _ = load(contract(PARTS, modes=Modes(type=mode)), parts(), parts(count="many"))
    assert certificate.counts.dead_letters == dead_letters
    assert Drift("calls[].parts[].count", "type", 1, 382, "string of 4 characters") in [
        replace(drift, first=382) for drift in certificate.drift
    ]


def test_of_several_values_at_a_path_the_one_that_is_lost_counts() -> None:
    values = [json.dumps([{"parts": [{"count": count} for count in counts]}]) for counts in (["7", 1.5, "8"], ["7"])]
    certificate, shelf = load(contract(PARTS), *values)
    assert certificate.counts.dead_letters == 1
    assert shelf.letters[0].message == "calls[].parts[].count is not of type integer."


def test_a_list_may_be_read_as_a_value_too() -> None:
    whole = Child("calls", "calls", (ChildColumn("parts", "parts", "json"),))
    certificate, _ = load(contract(PARTS, whole), parts(), parts(count=1.5))
    assert (certificate.counts.written, certificate.counts.dead_letters) == (1, 1)


def test_a_frozen_contract_fails() -> None:
    with pytest.raises(ContractFrozenError, match=r"'calls\[\]\.parts\[\]\.count' a string of 4 characters"):
        load(contract(PARTS, modes=Modes(type="freeze")), parts(), parts(count="many"))


TYPO = Child("parts", "calls.parts", (ChildColumn("count", "cuont", "integer"), ChildColumn("text", "text", "string")))


@pytest.mark.outcome("bad input", "a column of a child that no record has a value for", "recovers with a warning")
@pytest.mark.parametrize(
    ("child", "paths"),
    [
        (TYPO, ["calls[].parts[].cuont"]),
        (replace(TYPO, path="calls.prats"), ["calls[].prats[].cuont", "calls[].prats[].text"]),
        (replace(TYPO, columns=(ChildColumn("call", "../calId", "string"),)), ["calls[].calId"]),
    ],
)
def test_a_child_column_that_no_record_has_a_value_for_is_named(
    child: Child, paths: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    certificate, _ = load(contract(child), parts(), parts())
    assert certificate.unused == paths
    assert certificate.drift == [Drift(path, "unused", 2) for path in paths]
    assert f"none of 2 records has a value at {paths[0]!r}" in caplog.text


def test_a_child_column_that_may_be_empty_is_not() -> None:
    child = replace(TYPO, columns=tuple(replace(column, may_be_empty=True) for column in TYPO.columns))
    certificate, _ = load(contract(child), parts())
    assert (certificate.unused, certificate.drift) == ([], [])
    assert contract(child).fingerprint == contract(TYPO).fingerprint
    assert all(column.may_be_empty for column in contract(TYPO).with_gaps().children[0].columns)


def protecting(child: Child, *inside: tuple[str, Any], **column: Any) -> Contract:
    plain = contract(child)
    return replace(plain, columns=(*plain.columns[:2], Column("calls", "calls", "json", pii_inside=inside, **column)))


def test_a_protected_place_that_only_a_child_would_read_fails() -> None:
    wrong = protecting(TYPO, ("[].parts[].cuont", "drop"))
    with pytest.raises(ContractError, match=r"at 'calls\[\]\.parts\[\]\.cuont' \(pii: drop\)"):
        load(wrong, parts())
    assert load(wrong, parts(), allow_unused_protected=True)[0].unused == ["calls[].parts[].cuont"]


@pytest.mark.parametrize("inside", [("[].parts[].count", "mask"), ("[0].parts", "mask"), ("[].parts", "hash")])
def test_what_a_child_reads_as_a_number_cannot_be_masked(inside: tuple[str, Any]) -> None:
    with pytest.raises(ContractError, match=r"child 'parts' reads '(count|text)' as \w+ out of 'calls', where pii"):
        protecting(PARTS, inside)


@pytest.mark.parametrize("inside", [("[].parts[].text", "mask"), ("[].parts[].text", "hash"), ("[].parts", "drop")])
def test_what_a_child_reads_as_text_can_be(inside: tuple[str, Any]) -> None:
    certificate, _ = load(protecting(PARTS, inside), parts(), pii_key=b"key")
    assert certificate.counts.written == 1


def test_a_child_column_outside_its_lists_is_refused() -> None:
    with pytest.raises(ContractError, match=r"'\.\./\.\./x' of 'x' leads out of the list 'calls'"):
        Child("parts", "calls.parts", (ChildColumn("x", "../../x", "string"),))
