"""The command line on loads of the shipped DAG: in PostgreSQL and in S3 it says the same."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_genesys.commands.app import app, main
from airflow_provider_genesys.contracts.contract import load_contract
from airflow_provider_genesys.testing.fake_genesys import missing_permissions

if TYPE_CHECKING:
    from conftest import Day, Warehouse


@pytest.fixture
def places(day: Day) -> list[str]:
    """Where one day was loaded into."""
    return ["public.genesys_recordings", f"s3://{day.warehouse.bucket}/recordings"]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert main(list(arguments)) == 0
    # The Airflow of the test has its log on standard output.
    text = "\n" + capsys.readouterr().out
    return json.loads(text[min(at for at in (text.find("\n["), text.find("\n{")) if at >= 0) :])


def test_loads_and_dead_letters_of_each_place(
    places: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for place in places:
        (load,) = said(capsys, "loads", place, "--json")
        assert (load["state"], load["kind"], load["read"]) == ("complete", "recordings", 1_200)
        assert load["read"] == load["written"] + load["dead_letters"] + load["duplicates"]
        assert said(capsys, "loads", place, "--state", "loading", "--json") == []
        assert said(capsys, "load", place, load["load_id"])["counts"]["read"] == 1_200

        counted = said(capsys, "dead-letters", "list", place, "--json")
        assert sum(one["letters"] for one in counted) == load["dead_letters"] == 12

        file = tmp_path / "letters.ndjson"
        assert main(["dead-letters", "export", place, str(file)]) == 0
        letters = [json.loads(line) for line in file.read_text().splitlines()]
        assert len(letters) == 12
        assert {letter["raw_form"] for letter in letters} == {"encrypted"}

        broken = next(letter for letter in letters if letter["rule"] == "not-json")
        capsys.readouterr()
        assert main(["dead-letters", "show", place, load["load_id"], str(broken["source_offset"])]) == 0
        assert "not-json" in capsys.readouterr().out
        assert main(["dead-letters", "replay", place]) == 0
        assert "still rejected" in capsys.readouterr().out
        assert said(capsys, "dead-letters", "list", place, "--json") == counted


def test_what_is_not_there_is_said_in_a_line(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert said(capsys, "loads", "public.never_loaded", "--json") == []
    for wrong in (
        ["load", "public.never_loaded", "x"],
        ["dead-letters", "show", "public.never_loaded", "x", "0"],
        ["loads", "t", "--conn-id", "typo"],
        ["views", "--schema", "public", "--postgres-conn-id", "typo"],
        ["loads", "s3://no-such-bucket/prefix"],
        ["doctor", "--conn-id", "typo"],
        ["contract", "check", str(tmp_path / "none.yaml")],
        ["contract", "infer", str(tmp_path / "none.ndjson")],
    ):
        assert main(wrong) in (1, 2), wrong
        shown = capsys.readouterr()
        assert shown.out + shown.err
        assert "Traceback" not in shown.out + shown.err


def test_the_doctor_finds_what_is_wrong(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    found = {one["check"]: one for one in said(capsys, "doctor", "--place", "public.t", "--json")}
    assert {one["result"] for one in found.values()} == {"ok"}
    assert "may make temporary tables" in found["place: public.t"]["says"]
    warehouse.genesys.fail_next("/api/v2/users", status=403, body=missing_permissions("directory:user:view"))
    assert main(["doctor", "--json"]) == 1
    wrong = [one for one in json.loads(capsys.readouterr().out) if one["result"] != "ok"]
    assert [one["check"] for one in wrong] == ["permission: users"]
    assert "directory:user:view" in wrong[0]["says"]
    refused = missing_permissions("analytics:conversationAggregate:view")
    for kind, code in (("aggregates", 1), ("queues", 0), ("recording", 1)):
        warehouse.genesys.fail_next("/api/v2/analytics/conversations/aggregates", status=403, body=refused)
        assert main(["doctor", "--kind", kind]) == code


def test_connections_that_are_stored_in_airflow_are_found_and_a_machine_gets_json_alone(places: list[str]) -> None:
    """A new process, since where Airflow looks and what it prints is decided when it is imported."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(Connection(conn_id="stored", conn_type="genesys_cloud", login="id", password="p"))  # noqa: S106 - made up
    doctor = [sys.executable, "-m", "airflow_provider_genesys", "doctor", "--conn-id", "stored", "--json"]
    done = subprocess.run([*doctor, "--place", places[1]], capture_output=True, text=True, check=False)
    checks = {one["check"]: one for one in json.loads(done.stdout)}
    assert "does not say where your organisation is" in checks["connection"]["says"]
    assert checks[f"place: {places[1]}"]["result"] == "ok"
    assert all(line.startswith("Waiting for ") for line in done.stderr.splitlines())


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("form", ["lines", "array"])
def test_a_contract_is_made_from_a_sample(
    pack: Any, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [
        {
            "id": f"r{i}",
            "at": f"2026-11-22T00:00:0{i}.5Z",
            "n": i,
            "share": i / 2,
            "ok": True,
            "tags": [i],
            "note": None,
        }
        for i in range(4)
    ]
    text = json.dumps(records) if form == "array" else "\n".join(map(json.dumps, records))
    sample = tmp_path / "sample"
    sample.write_bytes(pack(text.encode()))
    assert main(["contract", "infer", str(sample)]) == 0
    made = tmp_path / "made.yaml"
    made.write_text(capsys.readouterr().out)
    contract = load_contract(made)
    types = {column.name: (column.type, column.required) for column in contract.columns}
    assert (contract.key, contract.timestamp) == ("id", "at")
    assert types["n"] == ("integer", True)
    assert types["share"] == ("number", True)
    assert types["ok"] == ("boolean", True)
    assert types["tags"] == ("json", True)
    assert types["note"] == ("json", False)
    assert main(["contract", "check", str(made)]) == 0


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    groups = [(group.typer_instance, [str(group.name)]) for group in app.registered_groups]
    commands = [
        [*names, one.name or one.callback.__name__]
        for level, names in [(app, []), *groups]
        for one in level.registered_commands
    ]
    assert len(commands) > 12
    for command in commands:
        assert main([*command, "--help"]) == 0
        assert "Example: airflow-genesys" in capsys.readouterr().out


def test_the_demo_kills_a_load_and_ends_with_every_record_once(tmp_path: Path) -> None:
    """A new process, as the package's user runs it: it has no connection, and no Airflow that was ever used."""
    command = [sys.executable, "-m", "airflow_provider_genesys", "demo", "--records", "4000", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    killed, resumed, last = (done.stdout.splitlines()[line] for line in (1, 2, -1))
    assert "is killed" in killed
    assert "continues after record" in resumed
    assert "after record 0 " not in resumed
    assert last.startswith("Each record of the export is there once.")
    assert len(list(tmp_path.rglob("_manifest.json"))) == 1
