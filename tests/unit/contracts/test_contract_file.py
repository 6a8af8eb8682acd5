"""Contract files: what they may say, and errors that name the file and the line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from airflow_provider_genesys.contracts.column import EVERY, Column, steps
from airflow_provider_genesys.contracts.contract import (
    RECORDINGS,
    Contract,
    Modes,
    built_in,
    built_in_names,
    load_contract,
    resolve,
)
from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.sinks.postgres.tables.columns import check_contract

WHOLE = """\
name: calls
version: 3
key: id
timestamp: at
pii_key: variable:genesys_pii_key
modes:
  unknown: evolve
  type: freeze
columns:
  id: {type: string, required: true, description: Id}
  at: {path: start.time, type: timestamp, required: true}
  seconds: {path: "legs[0].seconds", type: decimal, default: 1.10}
  users: {path: "legs[].user.id", type: json}
  caller: {type: string, pii: mask}
  notes: {type: string, pii: drop}
  legs:
    type: json
    pii:
      "[].address": hash
      "[].name": drop
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "calls.yaml"
    path.write_text(WHOLE)
    return path


def test_a_file_says_all_that_a_contract_can(written: Path) -> None:
    assert load_contract(written) == Contract(
        name="calls",
        version=3,
        key="id",
        timestamp="at",
        pii_key="variable:genesys_pii_key",
        modes=Modes(unknown="evolve", type="freeze"),
        columns=(
            Column("id", "id", "string", required=True, description="Id"),
            Column("at", "start.time", "timestamp", required=True),
            Column("seconds", "legs[0].seconds", "decimal", default=Decimal("1.10")),
            Column("users", "legs[].user.id", "json"),
            Column("caller", "caller", "string", pii="mask"),
            Column("notes", "notes", "string", pii="drop"),
            Column("legs", "legs", "json", pii_inside=(("[].address", "hash"), ("[].name", "drop"))),
        ),
    )


def test_what_is_dropped_does_not_land(written: Path) -> None:
    contract = load_contract(written)
    assert "notes" not in [column.name for column in contract.columns]
    assert [column.name for column in contract.dropped] == ["notes"]
    assert contract.hashes


@pytest.mark.parametrize("name", built_in_names())
def test_built_in_contracts_are_valid_and_described(name: str) -> None:
    contract = built_in(name)
    assert contract.name == name
    assert all(column.description for column in contract.columns)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("type: decimal", "type: dezimal", 12, "unknown type 'dezimal'"),
        ("type: decimal, ", "", 12, "'type' is missing"),
        ("default: 1.10", "default: much", 12, "default of 'seconds' is not of type decimal"),
        ("path: start.time", "path: start..time", 11, "'start..time' has to begin with a key"),
        ("path: start.time", "path: '[0].time'", 11, "has to begin with a key"),
        ("path: start.time", r'path: "st\"art.time"', 11, "has a quote, a backslash"),
        ("path: start.time", r"path: 'start\time'", 11, "has a quote, a backslash"),
        ("path: start.time", r'path: "start.\u0001"', 11, "has a quote, a backslash"),
        ("  caller:", r"  'cal\ler':", 14, "has a quote, a backslash"),
        ("  caller:", r'  "call\ter":', 14, "has a quote, a backslash"),
        ("  notes:", r"""  'no"tes':""", 15, "has a quote, a backslash"),
        ("  caller:", "  ctid:", 14, "no column can be called 'ctid': PostgreSQL keeps that name for itself"),
        ("  caller:", "  Xmin:", 14, "no column can be called 'Xmin'"),
        ("path: start.time", "path: legs.time", 12, "another one reads a field inside it"),
        ("required: true, description: Id", "requred: true", 10, "no setting 'requred'"),
        ("required: true, description: Id", "required: maybe", 10, "required has to be true or false"),
        ("required: true, description: Id", "description: Id", 10, "has to be required"),
        ("type: timestamp, required", "type: string, required", 11, "has to be a timestamp"),
        ("type: json}", "type: string}", 13, "the type has to be json"),
        ("pii: mask", "pii: blur", 14, "unknown pii 'blur'"),
        ("{type: string, pii: mask}", "{type: integer, pii: mask}", 14, "has to be string or json"),
        ("type: string, pii: mask", "type: string, pii: {a: mask}", 14, "only a json column"),
        ('"[].name": drop', '"[]..name": drop', 19, "empty step"),
        ("unknown: evolve", "unknwon: evolve", 7, "no kind 'unknwon'"),
        ("unknown: evolve", "unknown: ignore", 7, "unknown is 'ignore'"),
        ("version: 3", "version: three", 2, "version has to be a whole number"),
        ("version: 3\n", "", 1, "'version' is missing"),
        ("key: id", "key: ident", 3, "no column 'ident'"),
        ("  caller:", "  users:", 14, "'users' is there twice"),
        ("{type: string, pii: mask}", "{path: id, type: string}", 14, "'id' and 'caller' have the same path"),
        ("columns:", "colums:", 9, "no setting 'colums'"),
        ("modes:", "modes: [", 8, "not YAML"),
    ],
)
def test_an_error_names_the_file_and_the_line(written: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in WHOLE
    written.write_text(WHOLE.replace(old, new, 1))
    with pytest.raises(ContractError) as caught:
        load_contract(written)
    assert str(caught.value).startswith(f"{written}, line {line}: ")
    assert says in str(caught.value)


CHILDREN = """\
children:
  leg:
    path: legs.parts
    columns:
      seconds: {type: decimal}
      tone: {path: ../tone, type: string}
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("../tone", "../../tone", 26, "leads out of the list 'legs'"),
        ("path: legs.parts", r"path: 'legs.a\b'", 23, "has a quote, a backslash"),
        ("path: ../tone", r"path: '../to\ne'", 26, "has a quote, a backslash"),
        ("tone: {", r"""'to"ne': {""", 26, "has a quote, a backslash"),
        ("tone: {", "tableoid: {", 26, "No child column can be called 'tableoid'"),
        ("tone: {", "ordinal: {", 26, "as the ordinal already is"),
        ("tone: {", "ID: {", 26, "as the record's key already is"),
        ("tone: {", "Seconds: {", 26, "as 'seconds' already is"),
        ("tone: {", f"{'t' * 64}: {{", 26, "a name has 1 to 63 bytes"),
    ],
)
def test_an_error_of_a_child_names_the_line(written: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in CHILDREN
    written.write_text(WHOLE + CHILDREN.replace(old, new, 1))
    with pytest.raises(ContractError) as caught:
        load_contract(written, check_contract)
    assert str(caught.value).startswith(f"{written}, line {line}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "text", "a: &a [*a]\n", "\x00", "[" * 1000])
def test_what_is_no_contract_at_all_is_said_so(written: Path, text: str) -> None:
    written.write_text(text)
    with pytest.raises(ContractError, match=r"calls\.yaml, line \d+: "):
        load_contract(written)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"mine\.yaml cannot be read: No such file"):
        resolve("mine.yaml", kind="recordings", folder=tmp_path)


def test_a_contract_is_found_by_name_by_path_and_as_it_is(written: Path) -> None:
    assert resolve(None, kind="recordings") is RECORDINGS
    assert resolve("recordings", kind="user_details") is RECORDINGS
    assert resolve("calls.yaml", kind="recordings", folder=written.parent).name == "calls"
    assert resolve(str(written), kind="recordings").name == "calls"
    assert resolve(RECORDINGS, kind="user_details") is RECORDINGS
    with pytest.raises(ContractError, match="Built in are: "):
        resolve("recordnigs", kind="recordings")


def test_the_fingerprint_is_of_all_that_changes_a_row_and_of_nothing_else(written: Path) -> None:
    before = load_contract(written).fingerprint
    for old, new, same in [
        ("description: Id", "description: The id", True),
        ("pii: mask", "pii: hash", False),
        ("pii: drop", "pii: keep", False),
        ("unknown: evolve", "unknown: freeze", False),
        ("default: 1.10", "default: 1.1", False),
        ('"[].name": drop', '"[].name": mask', False),
    ]:
        written.write_text(WHOLE.replace(old, new))
        assert (load_contract(written).fingerprint == before) is same


def test_a_path_is_read_step_by_step() -> None:
    assert steps("a.b") == ("a", "b")
    assert steps("a[0].b") == ("a", 0, "b")
    assert steps("a[][12].b[]") == ("a", EVERY, 12, "b", EVERY)
    assert [steps(path) for path in ("", ".", "a.", "a..b", "a[", "a]", "a[x]", "a[-1]")] == [()] * 8


def test_modes_can_be_changed_and_missing_values_be_let_in() -> None:
    relaxed = RECORDINGS.with_modes({"missing": "discard_value"})
    assert [column.name for column in relaxed.columns if column.required] == ["recordingId"]
    assert relaxed.columns[RECORDINGS.index("durationMs")].expected
    assert relaxed.with_modes({"missing": "quarantine"}) == RECORDINGS
    with pytest.raises(ContractError, match="no kind 'column'"):
        RECORDINGS.with_modes({"column": "evolve"})
