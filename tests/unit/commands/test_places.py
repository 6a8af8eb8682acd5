"""What the commands list of a table and of a folder: which loads first, and which letters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.backfill import plan as plan_module
from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.commands import dead_letters, loads
from airflow_provider_genesys.commands.app import main
from airflow_provider_genesys.commands.places import LoadedFolder, LoadedTable
from airflow_provider_genesys.hooks import clients
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.objects.ledger import Ledger
from airflow_provider_genesys.sinks.objects.settings import ObjectSettings
from airflow_provider_genesys.sinks.objects.sink import ObjectSink
from airflow_provider_genesys.stores.folder import FolderStore
from tests.sinks.batches import LENGTH, make_batches, make_load, recording_row
from tests.sinks.lake import run
from tests.sinks.warehouse import Warehouse

CONNECTION = json.dumps(
    {"conn_type": "genesys_cloud", "login": "id", "password": "secret", "extra": {"region": "eu-central-1"}}
)
LETTERS = {"load-2": {3}, "load-1": {1, 2}, "load-3": {4}}
"""Numbers of the dead letters of each load, in the order in which the days were loaded."""


def days() -> Iterator[tuple[Load, Any]]:
    for load_id, dead in LETTERS.items():
        day = int(load_id[-1])
        load = make_load(f"export-{day}", load_id=load_id)
        begin = load.window_start + timedelta(days=day)
        load = replace(load, window_start=begin, window_end=begin + timedelta(days=1))
        yield load, make_batches(load, 6, dead=dead, row=lambda number, day=day: recording_row(100 * day + number))


@pytest.fixture(params=["folder", "table"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LoadedFolder | LoadedTable]:
    """Three days that were loaded, and another table or folder beside them."""
    monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", CONNECTION)
    with ExitStack() as stack:
        opened: LoadedFolder | LoadedTable
        if request.param == "folder":
            store = FolderStore(tmp_path)
            for prefix in ("raw", "other"):
                for load, batches in days():
                    settings = ObjectSettings(prefix, "ndjson", 10**6, dead_letter_raw="keep")
                    run(ObjectSink(lambda: store, settings), load, batches)  # type: ignore[arg-type]  # also S3Sink's
            opened = LoadedFolder(store, "raw/")
        else:
            warehouse = Warehouse(request.getfixturevalue("database"))
            stack.callback(warehouse.close)
            for load, batches in days():
                warehouse.load(load, batches)
            monkeypatch.setattr(clients, "connect", lambda _: psycopg.connect(warehouse.dsn))
            opened = LoadedTable("public", "recordings", "postgres_default")
        for module in (loads, dead_letters):
            monkeypatch.setattr(module, "open_place", lambda *_: opened)
        yield opened


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_loads_come_with_the_newest_window_first(place: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "loads", "here")
    assert [(one["load_id"], one["read"], one["written"], one["dead_letters"]) for one in found] == [
        ("load-3", 6, 5, 1),
        ("load-2", 6, 5, 1),
        ("load-1", 6, 4, 2),
    ]
    assert said(capsys, "loads", "here", "--state", "loading") == []
    assert main(["load", "here", "load-2"]) == 0
    assert json.loads(capsys.readouterr().out)["load_id"] == "load-2"
    assert main(["load", "here", "load-9"]) == 1


def test_letters_are_those_of_the_load_that_is_asked_for(
    place: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    listed = said(capsys, "dead-letters", "list", "here")
    assert {one["load_id"]: one["letters"] for one in listed} == {"load-1": 2, "load-2": 1, "load-3": 1}
    [one] = said(capsys, "dead-letters", "list", "here", "--load-id", "load-2")
    assert (one["load_id"], one["rule"], one["letters"]) == ("load-2", "missing-required", 1)
    file = tmp_path / "letters"
    assert main(["dead-letters", "export", "here", str(file), "--load-id", "load-1"]) == 0
    assert [json.loads(line)["source_offset"] for line in file.read_text().splitlines()] == [LENGTH, 2 * LENGTH]
    assert file.stat().st_mode & 0o777 == 0o600, "a letter may hold personal data in clear"
    capsys.readouterr()
    assert main(["dead-letters", "show", "here", "load-1", str(2 * LENGTH)]) == 0
    assert "recording-0000002" in capsys.readouterr().out
    assert main(["dead-letters", "show", "here", "load-2", str(2 * LENGTH)]) == 1, "it is a letter of another load"


def test_a_replay_is_tried_with_open_letters_alone(place: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def judged(*more: str) -> list[str]:
        assert main(["dead-letters", "replay", "here", *more]) == 0
        return capsys.readouterr().out.splitlines()[-1].split()

    capsys.readouterr()
    assert judged() == ["still", "rejected", "missing-required", "4"]
    assert judged("--load-id", "load-1") == ["still", "rejected", "missing-required", "2"]
    if isinstance(place, LoadedTable):
        with clients.connect("") as connection:
            connection.execute("UPDATE genesys_dead_letters SET state = 'replayed' WHERE load_id = 'load-1'")
        assert judged() == ["still", "rejected", "missing-required", "2"]


COPY = """
INSERT INTO genesys_dead_letters SELECT (jsonb_populate_record(l, %s)).* FROM genesys_dead_letters AS l
WHERE load_id = 'load-3' AND source_offset > 9
"""


def forge(place: LoadedFolder | LoadedTable, *letters: dict[str, Any]) -> None:
    """Add letters to those of the third load."""
    if isinstance(place, LoadedTable):
        with clients.connect("") as connection:
            for number, letter in enumerate(letters):
                connection.execute(COPY, [json.dumps({"source_offset": number, **letter})])
        return
    ledger = Ledger(place.store, "raw/_ledger/load-3/00000/", "conditional")
    latest = ledger.latest()
    assert latest
    [part] = latest.dead_letters
    own = place.store.get(part.key) or b""
    lines = own + b"".join(json.dumps({**json.loads(own), **letter}).encode() + b"\n" for letter in letters) + b"{}\n"
    place.store.put(part.key, lines)
    changed = replace(part, bytes=len(lines), sha256=hashlib.sha256(lines).hexdigest())
    ledger.append(replace(latest, number=latest.number + 1, dead_letters=[changed]))


def test_a_letter_that_is_none_stops_no_command(place: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    forge(
        place,
        {"kind": "nothing we know", "rule": "forged"},
        {"processed_at": "infinity", "rule": "forged"},
        {"raw": None, "rule": "no-bytes"},
        {"raw": "no token", "raw_form": "encrypted", "rule": "no-bytes"},
    )
    listed = said(capsys, "dead-letters", "list", "here")
    assert {"forged", "no-bytes", "missing-required"} <= {one["rule"] for one in listed}
    assert main(["dead-letters", "export", "here", str(tmp_path / "letters")]) == 0
    assert main(["dead-letters", "show", "here", "load-3", "2"]) == 1
    assert main(["dead-letters", "show", "here", "load-3", "7777"]) == 1
    capsys.readouterr()
    assert main(["dead-letters", "replay", "here"]) == 0
    found = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {"no dead letter forged 2", "unreadable here no-bytes 2", "still rejected missing-required 4"} <= set(found)


def test_what_cannot_be_read_is_said_behind_all_that_can(
    place: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if isinstance(place, LoadedTable):
        pytest.skip("a table has no objects")
    gone, changed, _ = sorted(found.key for found in place.store.list_objects("raw/_dead_letters/"))
    place.store.delete(gone)
    assert {one["load_id"] for one in said(capsys, "dead-letters", "list", "here")} == {"load-2", "load-3"}
    place.store.put(changed, b"not ours")
    place.store.put("raw/_ledger/load-2/00000/00000099.json", b"{")
    for command, rows in (
        (["dead-letters", "list", "here", "--json"], ["load-3"]),
        (["loads", "here", "--json"], ["load-3", "load-1"]),
    ):
        assert main(command) == 1
        printed = capsys.readouterr()
        assert [one["load_id"] for one in json.loads(printed.out)] == rows
        assert "cannot be read" in printed.err
    assert main(["dead-letters", "export", "here", str(tmp_path / "letters")]) == 1
    assert len((tmp_path / "letters").read_text().splitlines()) == 1


def test_a_plan_is_made_of_what_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def make_plan(_client: Any, kind: str, request: ExportRequest, **given: Any) -> Any:
        asked.append((kind, request.window_start.day, request.window_end.day, bool(request.options), given))
        return SimpleNamespace(lines=lambda: ["first", "last"])

    monkeypatch.setattr(plan_module, "make_plan", make_plan)
    monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", CONNECTION)
    days = ["2026-11-02", "2026-11-05"]
    assert main(["plan", *days, "--sample-day", "2026-11-03", "--page-size", "50"]) == 0
    assert capsys.readouterr().out == "first\nlast\n"
    assert main(["plan", *days, "--kind", "user_details"]) == 0
    sampled = datetime(2026, 11, 3, tzinfo=timezone.utc)
    assert asked == [
        ("conversation_details", 2, 5, True, {"sample_day": sampled, "page_size": 50}),
        ("user_details", 2, 5, False, {"sample_day": None, "page_size": 500}),
    ]


RECORD = {"name": "a", "recordId": "r", "at": "2026-11-22T00:00:00Z"}


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        ({"recordId": "same", "name": "same"}, "a text that differs in each"),
        ({"recordId": None, "name": None}, "a text that differs in each"),
        ({"at": "2026-11-22T00:00:00"}, "a time with its zone in each"),
        ({"at": None}, "a time with its zone in each"),
    ],
)
def test_no_contract_is_made_without_a_key_and_a_timestamp(
    change: dict[str, Any], lacking: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = tmp_path / "sample"
    whole = [{**RECORD, "recordId": f"r{number}", "name": f"n{number}"} for number in range(3)]
    sample.write_text("".join(json.dumps(record) + "\n" for record in whole))
    assert main(["contract", "infer", str(sample)]) == 0
    made = tmp_path / "made.yaml"
    made.write_text(capsys.readouterr().out)
    assert "key: recordId\n" in made.read_text()
    assert main(["contract", "check", str(made)]) == 0
    assert "is valid: key recordId, timestamp at." in capsys.readouterr().out
    sample.write_text("".join(json.dumps({**record, **change}) + "\n" for record in whole))
    assert main(["contract", "infer", str(sample)]) == 1
    assert lacking in capsys.readouterr().err
