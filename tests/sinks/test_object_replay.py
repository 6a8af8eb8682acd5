"""Dead letters of an object store that are read again, through another contract, into the load that they are of."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import AccountError, DeadLetterError, FencedError, SinkRefusedError
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.replay import Replayed, Span
from airflow_provider_genesys.pipeline.run import Options
from airflow_provider_genesys.pipeline.run import run as run_load
from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink
from airflow_provider_genesys.sinks.dead_letters import Decrypt, opened
from airflow_provider_genesys.sinks.gcs import GCSSink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.objects import dead_letters
from airflow_provider_genesys.sinks.objects.ledger import Ledger
from airflow_provider_genesys.sinks.objects.replay import ObjectReplay
from airflow_provider_genesys.sinks.objects.sink import ObjectSink
from airflow_provider_genesys.sinks.objects.verify import verify
from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.source.shards import plan_shards
from airflow_provider_genesys.stores import folder
from airflow_provider_genesys.stores.azure_blob import AzureStore
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.stores.gcs import GCSStore
from airflow_provider_genesys.stores.s3 import S3Store
from airflow_provider_genesys.times import now
from tests.sinks.batches import DAY, LENGTH, make_batch, make_load
from tests.sinks.lake import rows_in, run
from tests.sinks.replaying import HASHING, KEY, LENIENT, LETTER, STRAYS, as_it_is, contract_of, letters_of, record
from tests.unit.pipeline.sources import InMemory

PART = 10 * LENGTH
SHARDS_PLANNED = "2026-11-24T00:00:00+00:00"
LOAD = "dt=2026-11-01/load-1/"


class Lake:
    """A store, and what its manifest lists."""

    def __init__(self, store: ObjectStore, make_sink: Callable[..., ObjectSink]) -> None:
        self.store = store
        self.make_sink = make_sink

    def load(self, load: Load, batches: list[Batch], **settings: Any) -> None:
        chosen = {"part_size": PART, "dead_letter_raw": "keep", **settings}
        run(self.make_sink(**chosen), load, batches)  # type: ignore[arg-type]

    def replayed(self, contract: Contract = LENIENT, *, decrypt: Decrypt = as_it_is, **window: Any) -> Replayed:
        replay = ObjectReplay(self.store, "", opened=lambda letter: opened(letter, decrypt), pii_key=lambda _: KEY)
        return replay.run(lambda _: contract, "dag/replay/task", Span(**window))

    def manifest(self) -> dict[str, Any]:
        return dict(json.loads(self.store.get(f"{LOAD}_manifest.json") or b""))

    def rows(self) -> list[dict[str, Any]]:
        listed = [part["key"] for part in self.manifest()["parts"]]
        return [row for key in listed for row in rows_in(key, self.store.get(key) or b"")]

    def letters(self) -> list[dict[str, Any]]:
        listed = [part["key"] for part in self.manifest()["dead_letters"]]
        return [json.loads(line) for key in listed for line in (self.store.get(key) or b"").splitlines()]

    def objects(self) -> dict[str, bytes | None]:
        return {found.key: self.store.get(found.key) for found in self.store.list_objects("")}

    def strays(self) -> set[str]:
        """Objects of rows or letters that the manifest does not list."""
        manifest = self.manifest()
        listed = {part["key"] for part in (*manifest["parts"], *manifest["dead_letters"])}
        return {key for key in self.objects() if "_ledger" not in key and "_manifest" not in key} - listed


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(FolderStore(tmp_path), lambda **settings: LocalSink(tmp_path, **settings))


@pytest.fixture(params=["folder", "s3", "azure", "gcs"])
def any_lake(request: pytest.FixtureRequest) -> Lake:
    if request.param == "s3":
        client, name = request.getfixturevalue("client"), request.getfixturevalue("bucket")
        return Lake(S3Store(client, name), lambda **settings: S3Sink(lambda: client, name, "", **settings))
    if request.param == "gcs":
        bucket = request.getfixturevalue("gcs_bucket")
        return Lake(GCSStore(bucket), lambda **settings: GCSSink(lambda: bucket, "", **settings))
    if request.param == "azure":
        container = (
            request.getfixturevalue("azurite").client().get_container_client(request.getfixturevalue("container"))
        )
        return Lake(AzureStore(container), lambda **settings: AzureBlobSink(lambda: container, "", **settings))
    return request.getfixturevalue("lake")  # type: ignore[no-any-return]


def set_up(lake: Lake, **settings: Any) -> Load:
    """A complete load of three parts: records 3 and 4 lack a duration, 5 an id as well; 23 lacks a duration, too."""
    load = make_load()
    batches = [
        letters_of(load, {3: record(3), 4: record(4), 5: b'{"durationMs": 1}'}),
        make_batch(load, range(10, 20)),
        letters_of(load, {23: record(23)}, numbers=range(20, 30)),
    ]
    lake.load(load, batches, **settings)
    return load


def test_a_mended_contract_turns_dead_letters_into_rows(any_lake: Lake) -> None:
    set_up(any_lake)

    account = any_lake.replayed(HASHING)

    assert account.summary() == {
        "letters": 4,
        "replayed": 3,
        "written": 3,
        "duplicates": 0,
        "still_open": 1,
        "unreadable": 0,
        "loads": 1,
        "loads_skipped": 0,
        "strays": 0,
        "gone": 0,
        "mended": {"missing-required": 3},
        "broken": {"missing-required": 1},
    }
    rows = {row["recordingId"]: row for row in any_lake.rows()}
    assert len(rows) == len(any_lake.rows()) == 29
    assert rows["recording-0000003"]["durationMs"] is None
    assert rows["recording-0000003"]["processedAt"] == "2026-11-02T03:00:00Z"
    assert any_lake.strays() == set()


@pytest.mark.parametrize("output_format", ["ndjson", "ndjson.gz", "parquet"])
def test_rows_come_in_the_format_of_the_load(lake: Lake, output_format: str) -> None:
    set_up(lake, output_format=output_format)
    before = {part["key"] for part in lake.manifest()["parts"]}

    lake.replayed()

    assert len(lake.rows()) == 29
    parts = lake.manifest()["parts"]
    assert {part["key"].partition(".")[2] for part in parts} == {output_format}
    new = [part for part in (*parts, *lake.manifest()["dead_letters"]) if part["key"] not in before]
    for part in new:
        assert f"/{part['start']:015}-{part['end']:015}-" in part["key"]
    assert len(new) == 4


def test_letters_are_marked_and_none_is_removed(lake: Lake) -> None:
    set_up(lake)
    fresh = lake.letters()
    assert {letter["state"] for letter in fresh} == {"open"}

    lake.replayed()

    third, _, fifth, _ = lake.letters()
    assert (third["state"], third["replayed_by"]) == ("replayed", "dag/replay/task")
    assert third["replayed_at"] is not None
    assert (third["rule"], third["replayed_contract"]) == ("missing-required", str(LENIENT))
    assert (fifth["state"], fifth["contract"]) == ("open", str(LENIENT))
    assert "recordingId" in fifth["message"]
    assert [letter["raw"] for letter in lake.letters()] == [letter["raw"] for letter in fresh]


def test_the_manifest_keeps_the_account_of_the_load_and_says_what_was_replayed(lake: Lake) -> None:
    set_up(lake)
    before = lake.manifest()

    lake.replayed()

    after = lake.manifest()
    assert (before["replayed"], after["replayed"]) == (0, 3)
    assert after["counts"] == before["counts"]
    assert sum(part["rows"] for part in after["parts"]) == after["counts"]["written"] + after["replayed"]
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"parts", "dead_letters", "replayed"}
    verified = verify(lake.store, f"{LOAD}_manifest.json")
    assert (verified.problems, verified.rows) == ((), before["counts"]["written"] + 3)


def test_the_letters_can_be_queried_as_the_docs_say(lake: Lake, tmp_path: Path) -> None:
    set_up(lake)
    lake.replayed()
    page = (Path(__file__).parents[2] / "docs" / "dead-letters.md").read_text()
    [query] = re.findall(r"```sql\n(SELECT[^`]*read_json[^`]*)```", page)

    found = duckdb.sql(query.replace("s3://lake/recordings", str(tmp_path))).fetchall()

    [(rule, message, count)] = found
    assert (rule, count) == ("missing-required", 1)
    assert message.startswith("recordingId is missing")


def test_replaying_twice_changes_no_row(lake: Lake) -> None:
    set_up(lake)
    lake.replayed()
    rows = lake.rows()

    again = lake.replayed()

    assert (again.letters, again.replayed) == (1, 0)
    assert lake.rows() == rows


def test_where_nothing_is_open_nothing_is_written(lake: Lake) -> None:
    load = make_load()
    lake.load(load, [letters_of(load, {3: record(3)})])
    lake.replayed()
    before = lake.objects()

    assert lake.replayed().letters == 0
    assert lake.objects() == before


def test_a_load_that_is_running_is_left_to_the_next_replay(lake: Lake) -> None:
    load, sink = make_load(), lake.make_sink(part_size=PART, dead_letter_raw="keep")
    sink.open(load, restart=False)
    sink.write(letters_of(load, {3: record(3)}))
    sink.flush()  # the commit is made in the background

    account = lake.replayed()

    assert (account.letters, account.loads, account.loads_skipped) == (0, 0, 1)

    for stored in list(lake.store.list_objects("_dead_letters/")):
        lake.store.delete(stored.key)
    assert lake.replayed() == Replayed(loads_skipped=1), "what is gone counts when the load is complete"


def test_a_load_that_begins_while_its_letters_are_looked_at_is_left(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(lake)
    claim = Ledger.claim

    def overtaken(ledger: Ledger, make: Any) -> Any:
        monkeypatch.setattr(Ledger, "claim", claim)
        lake.make_sink(dead_letter_raw="keep").open(make_load("export-2", submitted_at=now()), restart=False)
        return claim(ledger, make)

    monkeypatch.setattr(Ledger, "claim", overtaken)
    assert lake.replayed() == Replayed(loads_skipped=1)


def test_letters_of_a_kind_without_a_contract_are_passed_over(lake: Lake) -> None:
    set_up(lake)
    before = lake.objects()

    def none(kind: str) -> Contract:
        raise DeadLetterError(f"There is no contract for {kind}")

    replay = ObjectReplay(lake.store, "", opened=lambda letter: opened(letter, as_it_is))
    assert replay.run(none, "dag/replay/task") == Replayed(strays=2)
    assert lake.objects() == before


def test_an_error_of_the_store_says_what_was_replayed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(lake)

    def refuse(*_: Any, **__: Any) -> None:
        raise SinkRefusedError("no right to read")

    monkeypatch.setattr(lake.store, "read", refuse)
    with pytest.raises(SinkRefusedError, match="Export export-1, replaying its dead letters: no right to read"):
        lake.replayed()


def test_damage_that_is_met_half_way_leaves_no_unfinished_object(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "BATCH", 1)
    monkeypatch.setattr("airflow_provider_genesys.stores.piece_writer.PIECE", 100)
    set_up(lake)
    key = lake.manifest()["dead_letters"][0]["key"]
    lake.store.put(key, (lake.store.get(key) or b"") + b"{}\n")
    with pytest.raises(AccountError, match="does not hold the dead letters"):
        lake.replayed()
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(folder._UNFINISHED)]


def test_a_load_that_begins_anew_leaves_nothing_of_the_replay(lake: Lake) -> None:
    load = set_up(lake)
    fresh = lake.rows()
    lake.replayed()

    set_up(lake)

    assert lake.rows() == fresh
    assert {letter["state"] for letter in lake.letters()} == {"open"}
    assert lake.strays() == set()
    assert load.load_id == "load-1"


def test_letters_without_their_bytes_stay_as_they_are(lake: Lake) -> None:
    load = make_load()
    batch = letters_of(load, {3: record(3)})
    lake.load(load, [batch], dead_letter_raw="encrypt", encrypt=lambda raw, _: raw.hex().encode())
    before = lake.letters()

    def foreign(*_: bytes) -> bytes:
        raise DeadLetterError("another secret")

    account = lake.replayed(decrypt=foreign)

    assert (account.letters, account.unreadable) == (1, 1)
    assert lake.letters() == before


def test_only_the_loads_of_the_window_are_replayed(lake: Lake) -> None:
    set_up(lake)

    before = lake.replayed(since=DAY - timedelta(days=2), until=DAY)
    within = lake.replayed(since=DAY, until=DAY + timedelta(days=1))

    behind = lake.replayed(since=DAY + timedelta(days=1), until=DAY + timedelta(days=3))
    assert (before.letters, within.letters, behind.loads) == (0, 4, 0)


def test_a_letter_that_tells_another_window_hides_no_load(lake: Lake) -> None:
    """What a load is, its ledger says."""
    set_up(lake)
    forged = {**LETTER, "window_start": "1999-01-01T00:00:00Z", "window_end": "1999-01-02T00:00:00Z"}
    lake.store.put("_dead_letters/dt=2026-11-01/load-1/00000/0-00.ndjson", (json.dumps(forged) + "\n").encode())

    in_the_forged = lake.replayed(until=DAY - timedelta(days=365))
    within = lake.replayed(since=DAY, until=DAY + timedelta(days=1))

    assert (in_the_forged.letters, within.letters) == (0, 4)


@pytest.mark.parametrize(
    "body",
    [b'{"state": "open"}\n', b"not ours", b"[]\n", b"", gzip.compress(b"{}\n" * 99)[:-9]],
    ids=["forged", "text", "array", "empty", "cut gzip"],
)
def test_letters_that_were_changed_are_left_and_named_when_all_others_were_replayed(lake: Lake, body: bytes) -> None:
    set_up(lake)
    key = lake.manifest()["dead_letters"][1]["key"]
    lake.store.put(key, body)

    for _ in range(2):
        with pytest.raises(AccountError, match=r"does not hold the dead letters.*1 such objects were left"):
            lake.replayed()
        assert len(lake.rows()) == 28
    assert key in {part["key"] for part in lake.manifest()["dead_letters"]}
    assert lake.manifest()["replayed"] == 2


def test_letters_that_a_lifecycle_rule_has_removed_are_counted(
    any_lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    load = set_up(any_lake)
    any_lake.load(replace(load, load_id="load-2"), [make_batch(load, range(10))])
    _, second = (part["key"] for part in any_lake.manifest()["dead_letters"])
    any_lake.store.delete(second)

    assert (any_lake.replayed().gone, len(any_lake.rows())) == (1, 28)
    assert "load-1, window 2026-11-01T00:00:00+00:00 to" in caplog.text
    assert "1 dead letters are no longer there" in caplog.text
    assert second in {part["key"] for part in any_lake.manifest()["dead_letters"]}, "the account stays"

    for part in any_lake.manifest()["dead_letters"]:
        any_lake.store.delete(part["key"])
    assert any_lake.replayed() == Replayed(gone=2), "the other two were replayed before"
    assert any_lake.replayed(until=DAY).gone == 0, "another window"


@pytest.mark.outcome("processes", "a replay meets what is no dead letter", "recovers, leaving it as it is")
def test_what_is_no_letter_does_not_stop_the_others(lake: Lake) -> None:
    set_up(lake)
    folder = "_dead_letters/dt=2026-11-01/load-1/00000/"
    copied = json.dumps(LETTER) + "\n"
    others = {
        "_dead_letters/README": "not ours",
        "_dead_letters/dt=2026-11-01/load-1 copy/00000/a.ndjson": copied,
        "_dead_letters/dt=2026-11-01/load-0/00000/a.ndjson": json.dumps({**LETTER, "load_id": "x" * 2000}) + "\n",
        **{f"{folder}0-{number:02}.ndjson": f"{body}\n" for number, body in enumerate(STRAYS)},
    }
    for key, body in others.items():
        lake.store.put(key, body.encode())

    replay = ObjectReplay(lake.store, "", opened=lambda letter: opened(letter, as_it_is))
    account = replay.run(contract_of, "dag/replay/task")

    assert (account.replayed, account.strays) == (3, len(others))
    assert len(lake.rows()) == 29


def test_a_ledger_that_cannot_be_read_stops_no_other_load(lake: Lake) -> None:
    set_up(lake)
    lake.store.put("_ledger/load-0/00000/00000001.json", b"{")
    letter = json.dumps({**LETTER, "load_id": "load-0"}) + "\n"
    lake.store.put("_dead_letters/dt=2026-11-01/load-0/00000/a.ndjson", letter.encode())

    with pytest.raises(AccountError, match=r"ledger entry .*load-0/.* cannot be read.*all others replayed"):
        lake.replayed()

    assert len(lake.rows()) == 29


def test_the_ledger_says_when_a_load_was_processed_and_no_letter(lake: Lake) -> None:
    set_up(lake)
    ledger = Ledger(lake.store, "_ledger/load-1/00000/", "conditional")
    latest = ledger.latest()
    assert latest
    [first, *others] = latest.dead_letters
    said = (lake.store.get(first.key) or b"").replace(b"2026-11-02T03:00:00Z", b"2100-01-01T00:00:00Z")
    lake.store.put(first.key, said)
    changed = replace(first, bytes=len(said), sha256=hashlib.sha256(said).hexdigest())
    ledger.append(replace(latest, number=latest.number + 1, dead_letters=[changed, *others]))

    assert lake.replayed().replayed == 3

    assert b"2100-01-01" in said
    assert {row["processedAt"] for row in lake.rows()} == {"2026-11-02T03:00:00Z"}


def test_a_letter_that_is_longer_than_what_is_read_at_a_time(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "PIECE", 1000)
    load = make_load()
    lake.load(load, [letters_of(load, {3: record(3, metadata={"text": "ü" * 5000}), 4: record(4)})])

    assert lake.replayed().replayed == 2
    assert {row["recordingId"]: row["metadata"] for row in lake.rows()}["recording-0000003"] == {"text": "ü" * 5000}


def test_a_replay_that_a_newer_one_has_overtaken_commits_nothing(lake: Lake) -> None:
    set_up(lake)

    def overtaken(raw: bytes, _: bytes) -> bytes:
        if not accounts:
            accounts.append(Replayed())
            accounts.append(lake.replayed(decrypt=lambda token, _: bytes.fromhex(token.decode())))
        return bytes.fromhex(raw.decode())

    accounts: list[Replayed] = []
    load = make_load()
    batch = letters_of(load, {3: record(3)})
    lake.load(load, [batch], dead_letter_raw="encrypt", encrypt=lambda raw, _: raw.hex().encode())

    with pytest.raises(FencedError):
        lake.replayed(decrypt=overtaken)

    assert accounts[1].replayed == 1
    assert len(lake.rows()) == 10


def test_a_replay_that_a_load_overtakes_before_it_is_published_leaves_the_manifest_of_the_load(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(lake)
    again = make_load("export-2", submitted_at=now())
    manifests: list[dict[str, Any]] = []

    def overtaken(step: str) -> None:
        if step == failpoints.LEDGER_WRITTEN and not manifests:
            manifests.append({})
            lake.load(again, [make_batch(again, range(8))])
            manifests.append(lake.manifest())

    monkeypatch.setattr(failpoints, "hook", overtaken)
    with pytest.raises(FencedError):
        lake.replayed()

    assert lake.manifest() == manifests[1]
    assert len(lake.rows()) == 8


def test_a_replay_ends_the_uploads_that_others_have_left(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(lake)
    ended: list[str] = []
    monkeypatch.setattr(lake.store, "abort_uploads", ended.append)
    lake.replayed()
    assert f"{LOAD}00000/" in ended
    assert "_dead_letters/dt=2026-11-01/load-1/00000/" in ended


@pytest.mark.outcome("processes", "a replay of dead letters is killed, and run again", "recovers")
@pytest.mark.parametrize("nth", range(1, 11))
def test_a_replay_that_is_killed_and_run_again_ends_as_one_that_was_not(lake: Lake, nth: int) -> None:
    """Killed at each of its steps: rows and letters are uploaded, counted, listed, and the old letters removed."""
    set_up(lake)
    child = os.fork()
    if not child:
        _replay_and_die(lake, nth)
    killed = os.waitpid(child, 0)[1] == signal.SIGKILL

    assert lake.replayed().strays == 0

    assert killed
    assert len(lake.rows()) == 29
    assert [letter["state"] for letter in lake.letters()] == ["replayed", "replayed", "open", "replayed"]
    assert lake.manifest()["replayed"] == 3
    assert lake.strays() == set()


def _replay_and_die(lake: Lake, nth: int) -> None:
    """Replay in a forked child until the n-th step; then be killed."""
    reached = 0

    def hook(_: str) -> None:
        nonlocal reached
        reached += 1
        if reached == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        failpoints.hook = hook
        lake.replayed()
    finally:
        os._exit(1)


def in_shards(tmp_path: Path, count: int, load_only: int | None = None) -> None:
    """Load 60 records in ``count`` shards, or the first ``load_only`` of them; records 5 and 50 lack a duration."""
    lacking = {5, 50}
    lines = [record(number, **({} if number in lacking else {"durationMs": 1})) for number in range(60)]
    archive = b"\n".join(lines) + b"\n"
    plan = plan_shards(
        lambda known: InMemory(archive, identity=known), "export-1", shard_size=1, max_shards=count, now=SHARDS_PLANNED
    )
    for shard in plan[:load_only]:
        load = replace(make_load(), shard=shard.number, range=shard)
        sink = LocalSink(tmp_path, "ndjson", part_size=1000, dead_letter_raw="keep")
        run_load(load, InMemory(archive), sink, Options(batch_size=5, max_dead_letter_ratio=None))


def test_letters_of_shards_come_into_the_manifest_of_the_whole(lake: Lake, tmp_path: Path) -> None:
    in_shards(tmp_path, 3)

    account = lake.replayed()

    assert (account.replayed, account.loads) == (2, 2)
    assert lake.manifest()["replayed"] == 2
    assert sorted(row["recordingId"] for row in lake.rows()) == [f"recording-{number:07}" for number in range(60)]
    assert {letter["state"] for letter in lake.letters()} == {"replayed"}
    assert lake.strays() == set()
    assert lake.replayed().letters == 0


def test_a_load_whose_shards_are_not_all_complete_is_left_to_the_next_replay(lake: Lake, tmp_path: Path) -> None:
    in_shards(tmp_path, 3, load_only=2)
    before = lake.objects()

    assert (lake.replayed().letters, lake.replayed().loads_skipped) == (0, 1)
    assert lake.objects() == before


def test_a_replay_of_a_load_in_one_piece_leaves_what_is_loaded_in_shards_alone(lake: Lake, tmp_path: Path) -> None:
    set_up(lake, output_format="ndjson")
    in_shards(tmp_path, 2, load_only=1)
    of_shards = {key: body for key, body in lake.objects().items() if "/00001/" in key}

    assert lake.replayed().replayed == 3

    assert of_shards
    assert {key: body for key, body in lake.objects().items() if "/00001/" in key} == of_shards
