"""What docs/contracts.md shows is what happens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS, Contract, load_contract
from airflow_provider_genesys.exceptions import ContractError, ContractFrozenError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.postgres.tables.evolve import evolution_sql
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, a_load

DOCS = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS, flags=re.DOTALL)


def test_the_contract_file_is_valid(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    path = tmp_path / "calls.yaml"
    path.write_text(text)
    contract = load_contract(path)
    assert (contract.name, contract.hashes, [column.name for column in contract.dropped]) == ("calls", True, ["notes"])
    shown = blocks("text")[0]
    path.write_text(text.replace("type: decimal", "type: dezimal"))
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert str(caught.value).endswith(shown.strip())


def test_the_contract_in_python_is_valid() -> None:
    names: dict[str, Contract] = {}
    (text,) = [block for block in blocks("python") if "CALLS" in block]
    exec(text, names)  # noqa: S102 - it is ours
    assert names["CALLS"].modes.unknown == "evolve"


def read_with(mode: str, folder: Path) -> tuple[Certificate, list[dict[str, Any]]]:
    """Load the page's three records with one mode for each kind; return the rows, in their order."""
    contract = RECORDINGS.with_modes(dict.fromkeys(("unknown", "type", "missing"), mode))
    sink = LocalSink(folder, "ndjson", dead_letter_raw="drop")
    options = Options(max_dead_letter_ratio=None)
    certificate = run(a_load(contract=contract), InMemory(blocks("ndjson")[0].encode()), sink, options)
    lines = [line for part in certificate.parts for line in (folder / part["key"]).read_text().splitlines()]
    return certificate, [json.loads(line) for line in lines]


@pytest.mark.parametrize("mode", ["evolve", "discard_value", "quarantine"])
def test_each_mode_makes_of_the_example_what_the_page_shows(mode: str, tmp_path: Path) -> None:
    shown = json.loads(blocks("json")[0])[mode]
    columns = {name for row in shown["rows"] for name in row}

    certificate, rows = read_with(mode, tmp_path)

    assert [{name: row[name] for name in row if name in columns} for row in rows] == shown["rows"]
    assert certificate.rules == shown["dead_letters"]
    if mode == "evolve":
        evolved = RECORDINGS.evolved(certificate.evolved)
        assert evolution_sql("public", "genesys_recordings", RECORDINGS, evolved) == blocks("sql")[0].strip()


def test_freeze_ends_the_load_as_the_page_says(tmp_path: Path) -> None:
    with pytest.raises(ContractFrozenError) as caught:
        read_with("freeze", tmp_path)
    assert str(caught.value) == blocks("text")[1].strip()


def test_the_records_lead_to_the_drift() -> None:
    records, drift = blocks("ndjson")[1], blocks("json")[1]
    load, sink = a_load(contract=RECORDINGS), MemorySink(Shelf())
    certificate = run(load, InMemory(records.encode()), sink, Options())
    assert msgspec.to_builtins(certificate.drift) == json.loads(drift)
    assert certificate.counts.written == 4
