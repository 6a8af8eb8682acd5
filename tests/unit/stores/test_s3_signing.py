"""What is hashed of a body that S3 gets: over TLS a checksum is enough, and the signature covers the checksum."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from urllib3 import HTTPResponse

from airflow_provider_genesys.sinks.s3 import CLIENT_CONFIG
from airflow_provider_genesys.stores.base import SentPieces
from airflow_provider_genesys.stores.s3 import S3Store, S3Upload

BODY = b"a piece"
HASHED = hashlib.sha256(BODY).hexdigest()


def sent(url: str, *, whole: bool, **config: Any) -> dict[str, str]:
    """Return the headers of a request with :data:`BODY`, which never leaves this process."""
    settings = Config(**{**CLIENT_CONFIG, **config})
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=settings, **keys)
    headers: dict[str, str] = {}

    def answer(request: Any, **_: object) -> AWSResponse:
        texts = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
        headers.update({name.lower(): text for name, text in texts.items()})
        return AWSResponse(request.url, 200, {"ETag": '"etag"'}, HTTPResponse(io.BytesIO(), preload_content=False))

    client.meta.events.register("before-send.s3", answer)
    store = S3Store(client, "bucket")
    if whole:
        store.put("key", BODY)
    else:
        S3Upload(store, SentPieces("key", "upload"), []).send(BODY)
    return headers


@pytest.mark.parametrize("whole", [True, False])
def test_over_tls_a_body_with_a_checksum_is_not_hashed_again(*, whole: bool) -> None:
    headers = sent("https://s3.invalid", whole=whole)
    assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert headers["x-amz-checksum-crc32"]
    assert "x-amz-checksum-crc32;" in headers["authorization"]


@pytest.mark.parametrize(
    ("url", "config"),
    [
        ("http://s3.invalid", {}),
        ("https://s3.invalid", {"request_checksum_calculation": "when_required"}),
        ("https://s3.invalid", {"s3": {"payload_signing_enabled": True}}),
    ],
)
def test_without_tls_or_a_checksum_or_where_the_user_says_so_the_signature_covers_the_body(
    url: str, config: dict[str, Any]
) -> None:
    assert sent(url, whole=True, **config)["x-amz-content-sha256"] == HASHED
