"""What is DynamoDB's own: the table, throttling, refusals. The promise itself is tested in tests/conformance."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from airflow_provider_genesys.checkpoints.base import Key
from airflow_provider_genesys.checkpoints.dynamodb import DynamoDBCheckpointStore
from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.testing.services import S3Server, free_port
from airflow_provider_genesys.testing.sink_conformance.source import make_certificate, make_checkpoint, make_load
from tests.checkpoints.places import DynamoDBPlace, dynamodb_client

LOAD = make_load()
KEY = Key(LOAD.load_id, "queue")
EXPORT = LOAD.export_id


class Scripted(ThreadingHTTPServer):
    """An endpoint that answers with these in turn, and with ``{}`` after them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, str]] = []
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def store(self, **settings: Any) -> DynamoDBCheckpointStore:
        return DynamoDBCheckpointStore(lambda: dynamodb_client(self.server_port), retry_wait=0.01, **settings)


class _Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.headers["X-Amz-Target"].partition(".")[2], body))
        status, code = self.server.answers.pop(0) if self.server.answers else (200, "")
        answer = json.dumps({"__type": f"com.amazonaws.dynamodb#{code}", "message": "told so"} if code else {}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with Scripted() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ProvisionedThroughputExceededException"),
        (400, "ThrottlingException"),
        (400, "RequestLimitExceeded"),
        (400, "TransactionConflictException"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
    ],
)
def test_what_passes_is_tried_again(scripted: Scripted, status: int, code: str) -> None:
    scripted.answers = [(status, code), (status, code)]
    assert scripted.store().claim(KEY, EXPORT, restart=False).fence == 1
    assert [target for target, _ in scripted.seen] == ["GetItem"] * 3 + ["PutItem"]


def test_what_does_not_pass_is_unavailable_once_retries_are_spent(scripted: Scripted) -> None:
    scripted.answers = [(400, "ThrottlingException")] * 2
    with pytest.raises(SinkUnavailableError, match=r"export export-1\. Tried 2 times.*ThrottlingException: told so"):
        scripted.store(retries=1).claim(KEY, EXPORT, restart=False)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDeniedException", "docs/checkpoints.md"),
        ("UnrecognizedClientException", "Correct the credentials"),
        ("InvalidSignatureException", "Correct the credentials"),
        ("ExpiredTokenException", "Renew the session token"),
        ("ResourceNotFoundException", "create_table=True"),
        ("ValidationException", "correct the settings"),
    ],
)
def test_a_refusal_is_told_at_once_with_what_to_do(scripted: Scripted, code: str, advice: str) -> None:
    scripted.answers = [(400, code)]
    with pytest.raises(SinkRefusedError, match=f"{code}: told so.*{advice}"):
        scripted.store().claim(KEY, EXPORT, restart=False)
    assert len(scripted.seen) == 1


def test_reads_are_consistent_and_writes_conditional(scripted: Scripted) -> None:
    scripted.store().claim(KEY, EXPORT, restart=False)
    (_, read), (_, write) = scripted.seen
    assert read["ConsistentRead"] is True
    assert write["ConditionExpression"] == "attribute_not_exists(id)"


def test_the_docs_list_the_rights_that_are_used(scripted: Scripted) -> None:
    mine = scripted.store().claim(KEY, EXPORT, restart=False)
    with pytest.raises(SinkUnavailableError, match="has lost"):
        scripted.store().commit(mine, make_checkpoint(LOAD, 500))
    docs = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
    (policy,) = re.findall(r"```json\n(.+?)```", docs, re.DOTALL)
    assert {f"dynamodb:{target}" for target, _ in scripted.seen} == set(json.loads(policy)["Statement"][0]["Action"])


def test_no_endpoint_is_unavailable() -> None:
    port = free_port()
    store = DynamoDBCheckpointStore(lambda: dynamodb_client(port), retries=1, retry_wait=0.01)
    with pytest.raises(SinkUnavailableError, match="Tried 2 times"):
        store.claim(KEY, EXPORT, restart=False)


def test_no_credentials_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    session = boto3.session.Session(region_name="us-east-1")
    store = DynamoDBCheckpointStore(lambda: session.client("dynamodb", endpoint_url=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(SinkRefusedError, match="Correct the credentials"):
        store.claim(KEY, EXPORT, restart=False)


def test_a_table_that_is_not_there_is_refused_or_created_by_whoever_comes_first(s3: S3Server) -> None:
    table = f"late_{uuid.uuid4().hex}"

    def store(*, create_table: bool) -> DynamoDBCheckpointStore:
        return DynamoDBCheckpointStore(lambda: dynamodb_client(s3.port), table=table, create_table=create_table)

    with pytest.raises(SinkRefusedError, match=f"{table}.*ResourceNotFoundException"):
        store(create_table=False).claim(KEY, EXPORT, restart=False)
    with ThreadPoolExecutor(4) as pool:
        claims = pool.map(lambda _: store(create_table=True).claim(KEY, EXPORT, restart=False), range(4))
        assert sorted(claim.fence for claim in claims) == [1, 2, 3, 4]
    described = s3.client("dynamodb").describe_table(TableName=table)["Table"]
    assert described["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_an_item_can_be_read_by_a_person(table: DynamoDBPlace) -> None:
    store = table.make_store()
    mine = store.claim(KEY, EXPORT, restart=False)
    store.commit(mine, make_checkpoint(LOAD, 500))
    store.complete(mine, make_certificate(LOAD, make_checkpoint(LOAD, 500)))
    (item,) = table.client.scan(TableName=table.table)["Items"]
    assert item["id"] == {"S": "load-1/00000/queue"}
    assert (item["fence"], item["shard"], item["revision"]) == ({"N": "1"}, {"N": "0"}, {"N": "3"})
    assert item["state"] == {"S": "complete"}
