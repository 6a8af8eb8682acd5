"""No secret and no personal data in anything that Airflow, PostgreSQL or S3 keeps, and none in what a task logs."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
import pytest

import airflow_provider_genesys
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
from airflow_provider_genesys.source import download
from airflow_provider_genesys.testing.fake_genesys.messages import Request, Response
from tests.support.airflow_home import HOME, states, xcoms

if TYPE_CHECKING:
    from conftest import Day, Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
PII_KEY = "a key of more than sixteen characters"


def everything_kept(warehouse: Warehouse, *, rows: bool = True) -> bytes:
    """All of Airflow's metadata database and log files, PostgreSQL's tables and S3's objects, unpacked.

    :param rows: whether the table of the records is meant as well.
    """
    kept = [path.read_bytes() for path in Path(HOME).rglob("*") if path.is_file()]
    for table in ("genesys_ledger", "genesys_dead_letters", *(["genesys_recordings"] if rows else [])):
        kept += [row[0].encode() for row in warehouse.query(f"SELECT t::text FROM {table} t")]
    for key, body in warehouse.objects().items():
        kept += [key.encode(), gzip.decompress(body) if key.endswith(".gz") else body]
    return b"\n".join(kept)


def protecting_contract(folder: Path) -> str:
    """Write the built-in contract, with what it lets land of people protected; return its path."""
    protected = "{type: json, pii: {'[].name': drop, '[].userId': hash}}"
    package = Path(airflow_provider_genesys.__file__).parent
    contract = (package / "contracts" / "built_in" / "recordings.yaml").read_text()
    contract = re.sub("participants: .*", f"participants: {protected}", contract)
    (folder / "mine.yaml").write_text(re.sub("metadata: .*", "metadata: {type: json, pii: drop}", contract))
    return str(folder / "mine.yaml")


def personal_data(warehouse: Warehouse) -> set[str]:
    """Names and user ids of everybody in the archive, and what was noted of their calls."""
    records = list(warehouse.genesys.archive(DAY, DAY + timedelta(days=1)).good_records())
    people = [person for record in records for person in record["participants"]]
    notes = {record["metadata"].get("note") or "" for record in records}
    found = {person.get(name) or "" for person in people for name in ("name", "userId")}
    return {json.dumps(text, ensure_ascii=False)[1:-1] for text in found | notes if len(text) > 8}


def secrets_of(warehouse: Warehouse) -> dict[str, str]:
    """The secrets of the connections to Genesys and S3, and the tokens so far."""
    genesys = warehouse.genesys
    basic = base64.b64encode(f"{genesys.client_id}:{genesys.client_secret}".encode()).decode()
    tokens = {f"token {number}": token for number, token in enumerate(genesys._tokens._expiry)}
    return {"client secret": genesys.client_secret, "basic authorisation": basic, **tokens}


def signature_of(url: str) -> str:
    return dict(parse_qsl(urlsplit(url).query))["X-Amz-Signature"]


def test_no_secret_and_no_personal_data_is_kept_or_logged(
    warehouse: Warehouse,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """At DEBUG, with records that cannot be read and a contract that drops and hashes."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("AIRFLOW_VAR_GENESYS_PII_KEY", PII_KEY)
    genesys = warehouse.genesys
    genesys.records = 1_100
    run = warehouse.run(DAY, loads={"contract": protecting_contract(tmp_path), "pii_key": "variable:genesys_pii_key"})
    assert states(run)["certificate"] == "success"
    logged = "".join(capfd.readouterr()) + caplog.text
    hook = GenesysCloudHook()
    url = hook.open_file_uri(xcoms(run, "wait_for_export")["return_value"]).url
    secrets = secrets_of(warehouse) | {"signature": signature_of(url), "key of the hash": PII_KEY}
    assert all(len(secret) > 8 for secret in secrets.values())
    kept = everything_kept(warehouse)
    assert xcoms(run, "wait_for_export")["return_value"]["file_uri"].encode() in kept  # the search finds what is there
    assert [name for name, secret in secrets.items() if secret in logged] == []
    assert [name for name, secret in secrets.items() if secret.encode() in kept] == []
    people = personal_data(warehouse)
    assert len(people) > 500
    assert [text for text in people if text in logged] == []
    assert [text for text in people if text.encode() in kept] == []


@pytest.fixture
def echoing(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Let each scripted error repeat the request that it answers, as pages of proxies do; return what was repeated."""
    repeated: dict[str, str] = {}
    server = warehouse.genesys._server
    answer = server.handle

    def echo(request: Request) -> Response:
        response = answer(request)
        if response.status >= 300 or response.body == b"<html>":
            query = urlencode(request.query)
            signature = request.query.get("X-Amz-Signature", "")
            if signature:
                repeated[f"signature {len(repeated)}"] = signature
            sent = f"Authorization: {request.headers.get('Authorization', '')} GET http://store{request.path}?{query}"
            body = f"<Error><Message>{sent}</Message><SignatureProvided>{signature}</SignatureProvided></Error>"
            response = replace(response, body=body.encode())
        return response

    monkeypatch.setattr(server, "handle", echo)
    return repeated


def test_what_fails_keeps_and_logs_no_secret(
    warehouse: Warehouse,
    echoing: dict[str, str],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At DEBUG: the export, the download, each sink, and a table that refuses every row and says which."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(download, "_BACKOFF", (0.01, 0.1))
    genesys = warehouse.genesys
    genesys.records, genesys.broken = 200, 0
    once = {"retries": 0, "max_outage": 0}

    genesys.fail_next("/api/v2/recordings/exports", status=500, times=1000)
    assert states(warehouse.run(DAY))["create_export"] == "failed"
    genesys._script._faults.clear()
    for status in (403, 200):
        genesys.fail_next("/archive/", status=status, times=1000, body=b"<html>")
        found = states(warehouse.run(DAY, loads=once, s3=str(status)))
        assert (found["load_into_postgres"], found["load_into_s3"]) == ("failed", "failed"), status
        genesys._script._faults.clear()
    assert states(warehouse.run(DAY))["certificate"] == "success"
    with psycopg.connect(warehouse.dsn) as connection:
        connection.execute("ALTER TABLE genesys_recordings ADD CHECK (recording_id = '') NOT VALID")
    found = states(warehouse.run(DAY - timedelta(days=1), loads={**once, "s3_bucket": "no-such-bucket"}))
    assert (found["load_into_postgres"], found["load_into_s3"]) == ("failed", "failed")

    assert len(echoing) > 5
    secrets = secrets_of(warehouse) | echoing
    logged = "".join(capfd.readouterr()) + caplog.text
    kept = everything_kept(warehouse, rows=False)
    assert "check-violation (200)" in logged
    assert [name for name, secret in secrets.items() if secret in logged] == []
    assert [name for name, secret in secrets.items() if secret.encode() in kept] == []
    people = personal_data(warehouse)
    assert people
    assert [text for text in people if text in logged] == []


def test_the_personal_data_of_a_broken_record_is_kept_encrypted(day: Day) -> None:
    warehouse = day.warehouse
    names = ("source_offset", "raw", "raw_form", "load_id", "shard", "export_id")
    [row] = warehouse.query(f"SELECT {', '.join(names)} FROM genesys_dead_letters LIMIT 1")
    letter = dict(zip(names, row, strict=True))
    offset, raw, form = letter["source_offset"], letter["raw"], letter["raw_form"]
    handle = day.xcoms["wait_for_export"]["return_value"]
    archive = warehouse.genesys.archive(DAY, datetime(2026, 11, 23, tzinfo=timezone.utc))
    original = archive.read(offset, min(offset + 100, handle["size"]))
    assert form == "encrypted"
    assert original[:40] not in raw.encode()
    assert GenesysCloudHook().open_dead_letter(letter)[:40] == original[:40]
