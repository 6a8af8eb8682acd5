"""The store that :class:`.s3.S3Sink` writes to: requests of a bucket, retried and explained."""

from __future__ import annotations

import base64
import hashlib
import logging
import zlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.pipeline.steps import COMPLETING, PIECE_SENT, PUTTING, reached
from airflow_provider_genesys.sinks.object_store import ReadBack, Stored
from airflow_provider_genesys.sinks.s3_errors import code_of, explained, is_transient, told

log = logging.getLogger(__name__)
T = TypeVar("T")

_CONTENT_TYPES = {
    "gz": "application/gzip",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
_READ_AT_ONCE = 1024 * 1024
FIRST_WAIT = 0.5
LONGEST_WAIT = 20.0
JITTER = 0.5
"""Seconds before the first retry, doubled for each one after it; at most; and what chance adds at most."""


class S3Store:
    """Implements :class:`.object_store.ObjectStore`.

    :param client: a boto3 S3 client.
    """

    def __init__(self, client: Any, bucket: str, *, retries: int = 3, extra_args: dict[str, Any] | None = None) -> None:
        self.url = f"s3://{bucket}"
        self._client = client
        self._bucket = bucket
        self._attempts = retries + 1
        self._extra_args = extra_args or {}

    def put(self, key: str, body: bytes) -> str:
        """Write an object at once."""
        reached(PUTTING)
        return str(self._put(key, body)["ETag"])

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Create an object; False where S3 says that the key is taken."""
        return self._put(key, body, IfNoneMatch="*") is not None

    def get(self, key: str) -> bytes | None:
        """Return a small object."""
        return self._read(key, lambda answer: bytes(answer["Body"].read()))

    def read_back(self, key: str) -> ReadBack | None:
        """Read an object through."""
        return self._read(key, _digest)

    def list_objects(self, prefix: str) -> Iterator[Stored]:
        """Return the objects below ``prefix``."""
        for found in self._listed("list_objects_v2", "Contents", prefix):
            yield Stored(found["Key"], found["Size"], found["ETag"])

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.call("delete_object", Key=key)

    def upload(self, key: str) -> S3Upload:
        """Begin a multipart upload."""
        made = self.call("create_multipart_upload", **self._described(key), ChecksumAlgorithm="CRC32")
        return S3Upload(self, key, made["UploadId"])

    def abort_uploads(self, prefix: str) -> None:
        """Throw away every unfinished multipart upload below ``prefix``."""
        for found in self._listed("list_multipart_uploads", "Uploads", prefix):
            S3Upload(self, found["Key"], found["UploadId"]).abort()

    def call(self, operation: str, *, tolerate: Collection[str] = (), **arguments: Any) -> Any:
        """Make a request of the bucket and return the answer.

        :param operation: method of the client.
        :param tolerate: codes of errors for which None is returned.
        """
        request = getattr(self._client, operation)
        return self._retried(operation, arguments["Key"], lambda: request(Bucket=self._bucket, **arguments), tolerate)

    def _put(self, key: str, body: bytes, **condition: str) -> Any:
        arguments = {**self._described(key), **condition}
        return self.call(
            "put_object", tolerate={"PreconditionFailed"}, Body=body, ChecksumCRC32=_crc32(body), **arguments
        )

    def _described(self, key: str) -> dict[str, Any]:
        return {"Key": key, "ContentType": _CONTENT_TYPES[key.rpartition(".")[2]], **self._extra_args}

    def _read(self, key: str, take: Callable[[Any], T]) -> T | None:
        def read() -> T:
            return take(self._client.get_object(Bucket=self._bucket, Key=key))

        return self._retried("get_object", key, read, {"NoSuchKey"})

    def _listed(self, operation: str, field: str, prefix: str) -> list[dict[str, Any]]:
        def read() -> list[dict[str, Any]]:
            pages = self._client.get_paginator(operation).paginate(Bucket=self._bucket, Prefix=prefix)
            return [found for page in pages for found in page.get(field, [])]

        return self._retried(operation, prefix, read) or []

    def _retried(self, operation: str, key: str, action: Callable[[], T], tolerate: Collection[str] = ()) -> T | None:
        request = f"{operation} {self.url}/{key}"
        retrying = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=wait_exponential(FIRST_WAIT, max=LONGEST_WAIT) + wait_random(0, JITTER),
            retry=retry_if_exception(is_transient),
            before_sleep=lambda state: _warn(request, state),
            reraise=True,
        )
        try:
            return retrying(action)
        except (ClientError, BotoCoreError) as error:
            if code_of(error) in tolerate:
                return None
            raise explained(error, request) from error


class S3Upload:
    """Implements :class:`.object_store.Upload`."""

    def __init__(self, store: S3Store, key: str, upload_id: str) -> None:
        self._store = store
        self._key = key
        self._target = {"Key": key, "UploadId": upload_id}
        self._pieces: list[dict[str, Any]] = []

    def send(self, piece: bytes) -> None:
        """Send the next piece."""
        numbered: dict[str, Any] = {"PartNumber": len(self._pieces) + 1, "ChecksumCRC32": _crc32(piece)}
        answer = self._store.call("upload_part", Body=piece, **self._target, **numbered)
        self._pieces.append({**numbered, "ETag": answer["ETag"]})
        reached(PIECE_SENT)

    def complete(self, sha256: str) -> str:
        """Make the object appear."""
        reached(COMPLETING)
        try:
            answer = self._store.call(
                "complete_multipart_upload", **self._target, MultipartUpload={"Parts": self._pieces}
            )
        except SinkUnavailableError:
            # It may have landed with its answer lost; a second request then meets NoSuchUpload.
            found = self._store.read_back(self._key)
            if found is None or found.sha256 != sha256:
                raise
            return found.etag
        return str(answer["ETag"])

    def abort(self) -> None:
        """Throw away what was sent."""
        self._store.call("abort_multipart_upload", tolerate={"NoSuchUpload"}, **self._target)


def _digest(answer: dict[str, Any]) -> ReadBack:
    digest = hashlib.sha256()
    for chunk in answer["Body"].iter_chunks(_READ_AT_ONCE):
        digest.update(chunk)
    return ReadBack(digest.hexdigest(), answer["ETag"])


def _crc32(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def _warn(request: str, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    reason = told(error) if error else "no answer"
    wait = state.next_action.sleep if state.next_action else 0
    log.warning("%s failed (%s); attempt %s follows in %.1f s", request, reason, state.attempt_number + 1, wait)
