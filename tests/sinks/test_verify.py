"""A finished load is read back: as its certificate says, or with what differs and where."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.commands.app import main
from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.operators.verify_stored import GenesysVerifyStoredOperator
from airflow_provider_genesys.pipeline.run import Options
from airflow_provider_genesys.pipeline.run import run as run_pipeline
from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink
from airflow_provider_genesys.sinks.gcs import GCSSink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.objects import verify as verify_module
from airflow_provider_genesys.sinks.objects.parts import OutputFormat
from airflow_provider_genesys.sinks.objects.verify import manifests_below, verify
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.tasks.failures import AirflowFailException
from airflow_provider_genesys.testing.services import AzuriteServer, GCSServer, S3Server
from tests.sinks.batches import make_load
from tests.sinks.lake import CUT, LOAD, Bucket, batches_of, run
from tests.unit.pipeline.sources import InMemory, a_load

MANIFEST = "dt=2026-11-01/load-1/_manifest.json"


def loaded(folder: Path, output_format: OutputFormat) -> FolderStore:
    """250 records in three parts, two of them rejected."""
    load = make_load()
    run(
        LocalSink(folder, output_format, part_size=CUT, dead_letter_raw="keep"),  # type: ignore[arg-type]
        load,
        batches_of(load, 250, dead={7, 130}),
    )
    return FolderStore(folder)


def parts_of(folder: Path) -> list[Path]:
    return [folder / part["key"] for part in json.loads((folder / MANIFEST).read_text())["parts"]]


@pytest.mark.parametrize("output_format", ["ndjson", "ndjson.gz", "parquet"])
def test_a_load_is_as_its_certificate_says(tmp_path: Path, output_format: OutputFormat) -> None:
    store = loaded(tmp_path, output_format)
    assert manifests_below(store, "") == [MANIFEST]
    read: list[int] = []
    found = verify(store, MANIFEST, read.append)
    assert found.problems == ()
    assert (found.rows, found.certificate.counts.dead_letters) == (248, 2)
    assert sum(read) == found.bytes > 0
    assert found.objects == len(parts_of(tmp_path)) + 2


def removed(part: Path) -> None:
    part.unlink()


def shortened(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-1])


def flipped(part: Path) -> None:
    body = bytearray(part.read_bytes())
    body[len(body) // 2] ^= 1
    part.write_bytes(body)


@pytest.mark.parametrize("output_format", ["ndjson", "ndjson.gz", "parquet"])
@pytest.mark.parametrize(
    ("damage", "says"), [(removed, "is not there"), (shortened, "bytes and should have"), (flipped, "its SHA-256 is")]
)
def test_each_damage_is_named_with_its_object(
    tmp_path: Path, output_format: OutputFormat, damage: Callable[[Path], None], says: str
) -> None:
    store = loaded(tmp_path, output_format)
    part = parts_of(tmp_path)[1]
    damage(part)
    problems = verify(store, MANIFEST).problems
    assert problems
    assert all(str(part.relative_to(tmp_path)) in problem for problem in problems)
    assert says in problems[0]


@pytest.mark.parametrize("output_format", ["ndjson", "ndjson.gz", "parquet"])
def test_rows_are_counted_by_reading_them(tmp_path: Path, output_format: OutputFormat) -> None:
    store = loaded(tmp_path, output_format)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["parts"][0]["rows"] += 1
    store.put(MANIFEST, json.dumps(manifest).encode())
    problems = verify(store, MANIFEST).problems
    assert any("lists 249 rows and the certificate counts 248" in problem for problem in problems)
    assert any("rows and should hold" in problem for problem in problems)


@pytest.mark.parametrize(
    ("count", "says"),
    [
        ("read", "the account does not close"),
        ("dead_letters", "the manifest lists 2 dead letters and the certificate counts 3"),
    ],
)
def test_an_account_that_does_not_close_is_a_problem(tmp_path: Path, count: str, says: str) -> None:
    store = loaded(tmp_path, "ndjson")
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["counts"][count] += 1
    store.put(MANIFEST, json.dumps(manifest).encode())
    assert any(says in problem for problem in verify(store, MANIFEST).problems)


def test_a_gzip_that_is_cut_off_holds_no_rows(tmp_path: Path) -> None:
    store = loaded(tmp_path, "ndjson.gz")
    part = parts_of(tmp_path)[0]
    whole = part.read_bytes()
    part.write_bytes(gzip.compress(b"x\n" * 1000, 0)[: len(whole)].ljust(len(whole), b"x"))
    assert any("cannot be read as rows" in problem for problem in verify(store, MANIFEST).problems)


def test_a_load_that_is_replaced_meanwhile_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = loaded(tmp_path, "ndjson")
    replace_once = iter([True])
    compare = verify_module.problems_of

    def problems_of(*given: Any) -> Any:
        if next(replace_once, False):
            load = make_load()
            other = LocalSink(tmp_path, "ndjson", part_size=2 * CUT, dead_letter_raw="keep")
            run(other, load, batches_of(load, 250), restart=True)  # type: ignore[arg-type]
        return compare(*given)

    monkeypatch.setattr(verify_module, "problems_of", problems_of)
    found = verify(store, MANIFEST)
    assert found.problems == ()
    assert found.rows == 250


def test_dead_letters_may_expire_before_the_rows(tmp_path: Path) -> None:
    store = loaded(tmp_path, "ndjson")
    (tmp_path / json.loads((tmp_path / MANIFEST).read_text())["dead_letters"][0]["key"]).unlink()
    found = verify(store, MANIFEST)
    assert (found.problems, found.letters_gone) == ((), 1)


@pytest.mark.parametrize("body", [None, b"{}", b'{"parts": [1]}', b"[]"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, body: bytes | None) -> None:
    store = FolderStore(tmp_path)
    if body is not None:
        store.put(MANIFEST, body)
    with pytest.raises(AccountError, match=MANIFEST):
        verify(store, MANIFEST)


@pytest.fixture
def certificate(
    s3: S3Server, new_sink: Callable[..., S3Sink], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A load into S3, and the connection to it."""
    fields = {"conn_type": "aws", "login": "test", "password": "testtest"}
    extra = {"endpoint_url": s3.endpoint_url, "region_name": "us-east-1"}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({**fields, "extra": extra}))
    load = make_load()
    return run(new_sink(), load, batches_of(load, 250, dead={7})).summary()


def test_the_command_says_it_by_its_exit_code(
    certificate: dict[str, Any], bucket: str, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", certificate["location"]]) == 0
    assert main(["verify", f"s3://{bucket}/raw"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(f"ok: {certificate['location']}, ") == 2
    assert "249 rows" in shown

    [part, *_] = [one for one in Bucket(client, bucket).listed(LOAD) if not one.endswith(".json")]
    client.delete_object(Bucket=bucket, Key=part)
    assert main(["verify", f"s3://{bucket}/raw", "--json"]) == 3
    text = capsys.readouterr().out
    [found] = json.loads(text[text.index("[\n") :])
    assert found["problems"] == [f"s3://{bucket}/{part}: it is not there"]

    assert main(["verify", f"s3://{bucket}/elsewhere"]) == 1
    assert "no finished load" in capsys.readouterr().err


def test_the_operator_fails_where_the_store_differs(
    certificate: dict[str, Any], bucket: str, client: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    def verified(**changed: Any) -> dict[str, Any]:
        given = {**certificate, **changed}
        return GenesysVerifyStoredOperator(task_id="verify", certificate=given).execute({})  # type: ignore[typeddict-item]

    assert verified()["rows"] == 249
    assert f"{certificate['location']} is as its certificate says: " in capfd.readouterr().out
    with pytest.raises(AirflowFailException, match="what is stored has digest"):
        verified(digest="0" * 16)
    with pytest.raises(AirflowFailException, match="location is empty"):
        verified(location="")
    [part, *_] = [one for one in Bucket(client, bucket).listed(LOAD) if not one.endswith(".json")]
    client.put_object(Bucket=bucket, Key=part, Body=b"other")
    with pytest.raises(AirflowFailException, match=f"{part}: it has 5 bytes and should have"):
        verified()


def test_loads_in_azure_and_google_are_read_back_too(
    azurite: AzuriteServer,
    container: str,
    gcs: GCSServer,
    gcs_bucket: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WASB_DEFAULT", json.dumps(azurite.connection()))
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(gcs.connection()))
    blobs, load = azurite.client().get_container_client(container), make_load()
    settings: dict[str, Any] = {"part_size": CUT, "dead_letter_raw": "keep"}
    in_azure = run(AzureBlobSink(lambda: blobs, "raw", **settings), load, batches_of(load, 250))  # type: ignore[arg-type]
    in_google = run(GCSSink(lambda: gcs_bucket, "raw", **settings), load, batches_of(load, 250))  # type: ignore[arg-type]
    for done in (in_azure, in_google):
        verified = GenesysVerifyStoredOperator(task_id="verify", certificate=done.summary())
        assert verified.execute({})["rows"] == 250  # type: ignore[typeddict-item]
        assert main(["verify", done.location]) == 0
    assert main(["loads", f"gs://{gcs_bucket.name}/raw", "--json"]) == 0
    assert '"state": "complete"' in capsys.readouterr().out

    blobs.delete_blob(in_azure.parts[0]["key"])
    gcs_bucket.blob(in_google.parts[0]["key"]).upload_from_string(b"other")
    assert [main(["verify", done.location]) for done in (in_azure, in_google)] == [3, 3]


@pytest.fixture
def in_table(database: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A load into a table, without dead letters, and the connection to it."""
    monkeypatch.setenv("AIRFLOW_CONN_POSTGRES_DEFAULT", database)
    lines = [
        b'{"recordingId": "r%d", "timestamp": "2026-11-22T10:00:00Z", "durationMs": 1}' % number for number in range(50)
    ]
    sink = PostgresSink(lambda: psycopg.connect(database), "recordings", dead_letter_raw="keep")
    return run_pipeline(a_load(), InMemory(b"\n".join(lines)), sink, Options(batch_size=10)).summary()


def test_a_table_is_read_back(in_table: dict[str, Any], database: str, capsys: pytest.CaptureFixture[str]) -> None:
    def verified(**changed: Any) -> dict[str, Any]:
        given = {**in_table, **changed}
        return GenesysVerifyStoredOperator(task_id="verify", certificate=given).execute({})  # type: ignore[typeddict-item]

    location = in_table["location"]
    assert (verified()["rows"], main(["verify", location])) == (50, 0)
    assert "50 rows, the digest of ids and offsets is compared" in capsys.readouterr().out
    with pytest.raises(AirflowFailException, match="has no finished load other"):
        verified(load_id="other")

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE recordings SET recording_id = 'r99' WHERE recording_id = 'r7'")
        assert main(["verify", location]) == 3
        assert "have the digest" in capsys.readouterr().out
        connection.execute("UPDATE genesys_ledger SET certificate = jsonb_set(certificate, '{counts,read}', '51')")
        assert main(["verify", location]) == 3
        assert "the account does not close" in capsys.readouterr().out
        connection.execute(
            "INSERT INTO recordings SELECT (jsonb_populate_record(r, %s)).* FROM recordings AS r "
            "WHERE recording_id = 'r99'",
            [json.dumps({"recording_id": "r100"})],
        )
        assert main(["verify", location]) == 3
        assert "the table holds 51 rows of the load; 50 were written" in capsys.readouterr().out
        connection.execute("DELETE FROM recordings WHERE recording_id IN ('r99', 'r100')")
    assert main(["verify", location, "--json"]) == 3
    assert "the table holds 49 rows of the load; 50 were written" in capsys.readouterr().out
    with pytest.raises(AirflowFailException, match="the table holds 49 rows"):
        verified()
    assert main(["verify", location.replace("recordings", "elsewhere")]) == 1
    assert main(["verify", "postgresql://nowhere/recordings"]) != 0
