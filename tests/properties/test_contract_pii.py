"""Personal data: what is dropped, hashed or masked is nowhere in what lands, in what is logged, or in the drift."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.contracts.column import Column, Pii
from airflow_provider_genesys.contracts.contract import RECORDINGS, Contract, Modes
from airflow_provider_genesys.contracts.pii import MASK, hashed, masked, protection, record_protection
from airflow_provider_genesys.exceptions import ConfigurationError, ContractError
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.dead_letters import DeadLetterRaw
from airflow_provider_genesys.sinks.local import LocalSink
from tests.unit.pipeline.sources import InMemory, a_load

KEY = b"a key of more than sixteen bytes"
SECRET = "secret-4711"  # noqa: S105 - what must not be found again
TIME = "2026-11-22T10:00:00Z"


def protected(column: Column, value: Any, key: bytes = KEY) -> Any:
    protect = protection(column, key)
    assert protect is not None
    return protect(value)


def inside(*places: tuple[str, Pii]) -> Column:
    return Column("p", "p", "json", pii_inside=places)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+49 170 1234567", "***4567"),
        ("12345678", "***5678"),
        ("1234567", MASK),
        ("", MASK),
        ("ada@example.org", "***@example.org"),
        ("sip:+4917012345@edge.example.org", "***@edge.example.org"),
        ("@twitter", "***tter"),
    ],
)
def test_a_mask_shows_the_last_four_characters_or_the_domain(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_hash_is_the_same_in_every_load_and_another_with_another_key() -> None:
    column = Column("phone", "phone", "string", pii="hash")
    once = protected(column, "+49170")
    assert once == hmac.new(KEY, b"+49170", hashlib.sha256).hexdigest()
    assert once == protected(column, "+49170")
    assert once != protected(column, "+49170", b"another key, also long enough")


def test_a_hash_inside_json_equals_that_of_a_column_so_that_they_can_be_joined() -> None:
    column = protected(Column("user", "user", "string", pii="hash"), "u1")
    found = protected(inside(("[].userId", "hash")), b'[{"userId": "u1", "n": 1.10}, {"n":2}]')
    assert found == b'[{"n":1.10,"userId":"%s"},{"n":2}]' % column.encode()


@pytest.mark.parametrize(
    ("places", "text", "result"),
    [
        ([("a.b", "drop")], b'{"a": {"b": 1, "c": 2}}', b'{"a":{"c":2}}'),
        ([("[0]", "mask")], b'["12345678", "x"]', b'["***5678","x"]'),
        ([("[].n", "mask")], b'[{"n": {"deep": ["12345678", 5, true, null]}}]', None),
        ([("a", "drop"), ("b", "mask")], b'{"a": 1, "b": 2, "c": 3}', b'{"c":3,"b":"***"}'),
        ([("a", "drop")], b'{"b": 1e999}', b'{"b": 1e999}'),
        ([("a.b", "mask")], b'{"a": null}', b'{"a":null}'),
    ],
)
def test_places_inside_json_are_protected_and_the_rest_stays(
    places: list[tuple[str, Pii]], text: bytes, result: bytes | None
) -> None:
    expected = b'[{"n":{"deep":["***5678","***",true,null]}}]' if result is None else result
    assert protected(inside(*places), text) == expected


@pytest.mark.parametrize("text", [b'"secret-4711"', b'{"x": "secret-4711"}', b'["secret-4711"]', b'[["secret-4711"]]'])
@pytest.mark.parametrize("action", ["drop", "hash", "mask"])
def test_where_something_else_lies_on_the_way_all_of_it_is_protected(action: Pii, text: bytes) -> None:
    assert b"secret" not in (protected(inside(("[].user.name", action)), text) or b"")


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.just(SECRET), st.text(max_size=3)),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.sampled_from("abc"), children, max_size=3),
    max_leaves=12,
)


@given(value=json_values, action=st.sampled_from(["drop", "hash", "mask"]), steps=st.sampled_from(["a", "[].a", "a.b"]))
def test_no_secret_is_left_at_a_protected_place(value: Any, action: Pii, steps: str) -> None:
    result = json.loads(protected(inside((steps, action)), json.dumps(value).encode()) or b"null")

    def at(found: Any, path: list[str]) -> list[Any]:
        if not path:
            return [found]
        if path[0] == "[]":
            return [leaf for entry in found for leaf in at(entry, path[1:])] if isinstance(found, list) else []
        return at(found[path[0]], path[1:]) if isinstance(found, dict) and path[0] in found else []

    assert SECRET not in json.dumps(at(result, steps.replace("[]", "[].").replace("..", ".").split(".")))


CONTRACT = Contract(
    "c",
    1,
    "id",
    "at",
    (
        Column("id", "id", "string", required=True, pii="hash"),
        Column("at", "at", "timestamp", required=True),
        Column("caller", "caller", "string", pii="mask"),
        Column("address", "o.address", "string", pii="drop"),
        Column("notes", "notes", "string", pii="drop"),
        Column("user", "p[0].user", "string", pii="hash"),
        Column("p", "p", "json", pii_inside=(("[].user", "hash"), ("[].name", "drop"))),
        Column("all", "all", "json", pii="mask"),
    ),
    modes=Modes(type="evolve"),
)


@pytest.mark.parametrize("dead_letter_raw", ["drop", "keep", "encrypt"])
def test_personal_data_is_in_no_row_no_letter_no_log_and_no_drift(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, dead_letter_raw: DeadLetterRaw
) -> None:
    caplog.set_level(logging.DEBUG)
    records = [
        {"caller": f"x-{SECRET}-y@example.org"},
        {"caller": {"name": SECRET}, "o": {"address": SECRET}},
        {"notes": [SECRET], "p": [{"user": SECRET, "name": SECRET, "role": "agent"}, {"name": SECRET}]},
        {"p": SECRET, "all": {"a": [SECRET]}},
        {"p": {"user": SECRET}, "o": SECRET},
        {"caller": 1.5, "at": "yesterday"},
        {"o": SECRET},
        {"at": None, "caller": SECRET, "o": {"address": SECRET}, "notes": SECRET, "p": [{"user": SECRET}]},
        {"at": "no time", "all": [SECRET], "p": {"name": SECRET}},
        {"at": [], "p": [SECRET, [{"name": SECRET}]], "notes": {"caller": SECRET}},
    ]
    lines = [json.dumps({"id": SECRET + str(n), "at": TIME, **r}) for n, r in enumerate(records)]
    broken = [lines[0][:-1], "[" + lines[1] + "]", lines[2].replace("id", "\\x"), lines[3] + " x", f"{SECRET} \udcff"]
    data = "\n".join([*lines, *broken]).encode(errors="surrogateescape")
    sink = LocalSink(tmp_path, "ndjson", dead_letter_raw=dead_letter_raw, encrypt=lambda raw, _: raw.hex().encode())
    options = Options(max_dead_letter_ratio=None, pii_key=KEY)
    certificate = run(a_load(contract=CONTRACT), InMemory(data), sink, options)
    assert certificate.counts.read == len(lines) + len(broken)
    assert certificate.counts.dead_letters > len(broken)
    assert certificate.drift
    assert SECRET not in certificate.to_json().decode()
    assert SECRET not in caplog.text
    assert not [path for path in tmp_path.rglob("*.*") if SECRET.encode() in path.read_bytes()]
    assert KEY.decode() not in repr(options)


def test_a_kept_record_has_the_hashes_and_masks_that_a_row_would_have() -> None:
    protect = record_protection((*CONTRACT.columns, *CONTRACT.dropped), KEY)
    assert protect is not None
    raw = b'{"id": "i", "n": 1.10, "caller": "+49 170 1234567", "notes": [1], "p": [{"user": "u"}], "new": "kept"}'
    user = hashed(hashed("u", KEY), KEY)  # the contract lets it land twice
    expected = {"id": hashed("i", KEY), "n": 1.1, "caller": "***4567", "p": [{"user": user}], "new": "kept"}
    assert json.loads(protect(raw) or b"") == expected
    assert protect(b'{"a": 1, "b": [2.50]}') == b'{"a": 1, "b": [2.50]}'


@pytest.mark.parametrize("raw", [b'{"caller": "a"', b"[]", b'{"caller": "\xff"}', b'\xef\xbb\xbf{"caller": "a"}'])
def test_a_record_that_cannot_be_read_cannot_be_protected(raw: bytes) -> None:
    protect = record_protection(CONTRACT.columns, KEY)
    assert protect is not None
    assert protect(raw) is None


def test_a_contract_without_personal_data_protects_nothing() -> None:
    assert record_protection(RECORDINGS.columns, None) is None


def test_a_hash_without_a_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'phone' is hashed, which needs a key"):
        protection(Column("phone", "phone", "string", pii="hash"), None)


@pytest.mark.parametrize("pii", ["drop", "mask", "hash"])
def test_a_value_cannot_be_protected_here_and_land_in_clear_there(pii: Pii) -> None:
    columns = (*CONTRACT.columns[:2], Column("p", "p", "json"), Column("name", "p[0].name", "string", pii=pii))
    with pytest.raises(ContractError, match="lands in clear inside 'p'"):
        Contract("c", 1, "id", "at", columns)
