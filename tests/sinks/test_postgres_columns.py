from __future__ import annotations

import pytest

from airflow_provider_genesys.contracts.column import snake_case
from airflow_provider_genesys.contracts.contract import RECORDINGS, Column, Contract
from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.sinks.postgres.tables.columns import column_names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("recordingId", "recording_id"),
        ("durationMs", "duration_ms"),
        ("direction", "direction"),
        ("already_snake", "already_snake"),
        ("HTTPStatus", "http_status"),
        ("mediaURL", "media_url"),
        ("id2Name", "id2_name"),
        ("Ärger mit.Punkten-und%", "ärger_mit_punkten_und_"),
        ("x", "x"),
    ],
)
def test_snake_case(name: str, expected: str) -> None:
    assert snake_case(name) == expected


def contract(*names: str) -> Contract:
    columns = [Column(name, f"path{place}", "string", required=True) for place, name in enumerate(names)]
    columns.append(Column("at", "at", "timestamp", required=True))
    return Contract("mine", 1, key=names[0], timestamp="at", columns=tuple(columns))


def test_the_built_in_contract_has_names_without_clash() -> None:
    names = column_names(RECORDINGS)
    assert len(set(names)) == len(RECORDINGS.columns)
    assert names[0] == "recording_id"


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("queueId", "queue_id"), r"'queue_id' would be 'queue_id' in PostgreSQL, as 'queueId' already is"),
        (("id", "_loadedAt"), r"'_loadedAt' would be '_loaded_at' in PostgreSQL, as the lineage already is"),
        (("id", "x" * 64), "1 to 63 bytes"),
        (("id", "ü" * 32), "1 to 63 bytes"),
        (("id", "-"), "1 to 63 bytes"),
    ],
)
def test_names_that_postgres_would_mix_up_or_cut_are_refused(names: tuple[str, ...], what: str) -> None:
    with pytest.raises(ContractError, match=what):
        column_names(contract(*names))


def test_a_name_of_63_bytes_is_kept() -> None:
    assert column_names(contract("x" * 63)) == ["x" * 63, "at"]
