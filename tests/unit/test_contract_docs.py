"""What docs/contracts.md shows is what happens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.pipeline.contract import RECORDINGS, Contract, load_contract
from airflow_provider_genesys.pipeline.run import Options, run
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
    (shown,) = blocks("text")
    path.write_text(text.replace("type: decimal", "type: dezimal"))
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert str(caught.value).endswith(shown.strip())


def test_the_contract_in_python_is_valid() -> None:
    names: dict[str, Contract] = {}
    (text,) = [block for block in blocks("python") if "CALLS" in block]
    exec(text, names)  # noqa: S102 - it is ours
    assert names["CALLS"].modes.unknown == "evolve"


def test_the_records_lead_to_the_drift() -> None:
    (records,), (drift,) = blocks("ndjson"), blocks("json")
    load, sink = a_load(contract=RECORDINGS), MemorySink(Shelf())
    certificate = run(load, InMemory(records.encode()), sink, Options())
    assert msgspec.to_builtins(certificate.drift) == json.loads(drift)
    assert certificate.counts.written == 4
