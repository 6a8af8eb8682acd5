"""What the S3 tests share: clients, loads as the pipeline runs them, and a look into a bucket."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.config import Config

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.s3 import CLIENT_CONFIG, S3Sink
from tests.sinks.batches import LENGTH, make_batches, make_certificate, make_checkpoint, recording_row

CUT = 100 * LENGTH
"""Part size: two batches of 50 records."""

LOAD = "raw/dt=2026-11-01/load-1/"
LEDGER = "raw/_ledger/load-1/00000/"
MEBIBYTE = 2**20


def client_for(endpoint_url: str, **config: Any) -> Any:
    """Return a client as the operator makes it; ``config`` replaces settings by name."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="testtest",  # noqa: S106 - the endpoint takes any
        config=Config(**{**CLIENT_CONFIG, **config}),
    )


def batches_of(load: Load, records: int, *, dead: Collection[int] = ()) -> Iterator[Batch]:
    """Two batches to a part."""
    return make_batches(load, records, size=50, dead=dead)


def bulky(load: Load, records: int, *, size: int) -> Iterator[Batch]:
    """Rows of a mebibyte, so that few of them make a part that is sent in pieces."""
    return make_batches(load, records, size=size, row=partial(recording_row, metadata=b'"%s"' % (b"x" * MEBIBYTE)))


def run(sink: S3Sink, load: Load, batches: Iterable[Batch], *, restart: bool = False) -> Certificate:
    """Load as the pipeline does: from the checkpoint that ``open`` returns."""
    checkpoint = sink.open(load, restart=restart)
    begin = checkpoint.position.record_offset if checkpoint else 0
    last = checkpoint or make_checkpoint(load, 0)
    for batch in batches:
        if batch.start >= begin:
            sink.write(batch)
            last = batch.checkpoint
    return sink.finish(make_certificate(load, last))


class Bucket:
    """What lies in a bucket."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name

    def listed(self, prefix: str = "") -> list[str]:
        found = self._client.list_objects_v2(Bucket=self._name, Prefix=prefix).get("Contents", [])
        return [item["Key"] for item in found]

    def read(self, key: str) -> bytes:
        return self._client.get_object(Bucket=self._name, Key=key)["Body"].read()

    def parts(self) -> dict[str, bytes]:
        return {key: self.read(key) for key in self.listed(LOAD) if not key.endswith(".json")}

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the parts that the manifest lists."""
        listed = [part["key"] for part in self.manifest()["parts"]]
        lines = [line for key in listed for line in unpacked(key, self.read(key)).splitlines()]
        return [json.loads(line) for line in lines]

    def manifest(self) -> dict[str, Any]:
        return json.loads(self.read(LOAD + "_manifest.json"))

    def ledger(self) -> list[dict[str, Any]]:
        return [json.loads(self.read(key)) for key in self.listed(LEDGER)]

    def uploads(self) -> list[str]:
        found = self._client.list_multipart_uploads(Bucket=self._name).get("Uploads", [])
        return [item["Key"] for item in found]


def rows_in(key: str, body: bytes) -> list[dict[str, Any]]:
    """Rows of a part, whatever its format."""
    if not key.endswith(".parquet"):
        return [json.loads(line) for line in unpacked(key, body).splitlines()]
    table = pq.read_table(io.BytesIO(body))
    embedded = [field.name for field in table.schema if field.type == pa.json_()]
    return [{**row, **{name: row[name] and json.loads(row[name]) for name in embedded}} for row in table.to_pylist()]


def unpacked(key: str, body: bytes) -> bytes:
    """Return the lines of a part."""
    return gzip.decompress(body) if key.endswith(".gz") else body


def ids(numbers: Iterable[int]) -> list[str]:
    """Return the ids of records by number."""
    return [f"recording-{number:07}" for number in numbers]
