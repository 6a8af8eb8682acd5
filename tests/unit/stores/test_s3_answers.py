"""What an S3 endpoint answers over HTTP, and what becomes of it: tried again or not, with the place and what to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import SinkError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.stores.s3 import S3Store
from tests.sinks.lake import client_for
from tests.unit.cloud.scripted_server import Reply, ScriptedServer

KEY = "raw/a"
OBJECT = f"/lake/{KEY}"
TRIES = 3
REGION = {"x-amz-bucket-region": "eu-west-1"}

Action = Callable[[S3Store], Any]
OPERATIONS: dict[str, tuple[str, Action]] = {
    "put_object": (f"PUT {OBJECT}", lambda store: store.put(KEY, b"x")),
    "get_object": (f"GET {OBJECT}", lambda store: store.get(KEY)),
    "delete_object": (f"DELETE {OBJECT}", lambda store: store.delete(KEY)),
    "list_objects_v2": ("GET /lake", lambda store: list(store.list_objects("raw/"))),
    "create_multipart_upload": (f"POST {OBJECT}", lambda store: store.upload(KEY)),
}


def said(code: str, status: int, headers: dict[str, str] | None = None, **more: str) -> Reply:
    """Return an error as S3 writes it."""
    fields = {"Code": code, "Message": "S3 says so.", **more, "RequestId": "1"}
    body = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return Reply(status, f'<?xml version="1.0"?><Error>{body}</Error>'.encode(), headers or {})


@pytest.fixture
def store(server: ScriptedServer) -> S3Store:
    return S3Store(client_for(server.url), "lake", retries=TRIES - 1)


def failed(server: ScriptedServer, store: S3Store, reply: Reply, operation: str = "put_object") -> SinkError:
    """Answer ``operation`` with ``reply`` for ever; return the error."""
    request, action = OPERATIONS[operation]
    server.on(request, reply)
    with pytest.raises(SinkError) as raised:
        action(store)
    assert operation in str(raised.value)
    assert "s3://lake/raw/" in str(raised.value)
    return raised.value


@pytest.mark.outcome("object stores", "the bucket is in another region", "SinkRefusedError")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "reply",
    [
        said("PermanentRedirect", 301, REGION, Endpoint="lake.s3.eu-west-1.amazonaws.com"),
        said("AuthorizationHeaderMalformed", 400, Region="eu-west-1"),
        said("IllegalLocationConstraintException", 400, REGION),
    ],
    ids=["redirect", "header", "constraint"],
)
def test_a_bucket_of_another_region_is_refused_with_its_region(
    server: ScriptedServer, store: S3Store, reply: Reply, operation: str
) -> None:
    server.on("HEAD /lake", Reply(301, headers=REGION))
    error = failed(server, store, reply, operation)
    assert type(error) is SinkRefusedError
    assert "The bucket is in eu-west-1." in str(error)
    assert "Set region_name of the AWS connection" in str(error)
    assert server.count(OPERATIONS[operation][0]) <= 2, "boto itself asks the right region, once"


def test_a_new_bucket_whose_name_is_not_known_everywhere_is_for_the_next_try(
    server: ScriptedServer, store: S3Store
) -> None:
    error = failed(server, store, said("TemporaryRedirect", 307, {**REGION, "Location": "http://127.0.0.1:1/lake"}))
    assert type(error) is SinkUnavailableError
    assert "The bucket is in eu-west-1." in str(error)


@pytest.mark.outcome("object stores", "the store stays away", "SinkUnavailableError")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (said("SlowDown", 503), "load fewer windows at once"),
        (said("TooManyRequests", 429), "load fewer windows at once"),
        (Reply(503), "proxy or a login page"),
        (said("RequestTimeout", 400), "too slow"),
    ],
    ids=["SlowDown", "429", "503", "RequestTimeout"],
)
def test_what_may_pass_ends_after_the_retries_and_is_never_taken_for_nothing(
    server: ScriptedServer, store: S3Store, reply: Reply, advice: str, operation: str
) -> None:
    error = failed(server, store, reply, operation)
    assert type(error) is SinkUnavailableError
    assert advice in str(error)
    assert server.count(OPERATIONS[operation][0]) == TRIES


@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentSHA256Mismatch"])
def test_bytes_that_never_arrive_as_they_were_sent(server: ScriptedServer, store: S3Store, code: str) -> None:
    error = failed(server, store, said(code, 400))
    assert type(error) is SinkUnavailableError
    assert "look for a proxy that changes them" in str(error)


@pytest.mark.outcome("object stores", "the store is full, or a quota is used up", "SinkRefusedError")
@pytest.mark.parametrize(
    "reply",
    [
        said("QuotaExceeded", 403),
        said("XMinioAdminBucketQuotaExceeded", 400),
        said("XMinioStorageFull", 507),
        Reply(507),
    ],
    ids=["Quota", "MinIO quota", "MinIO full", "507"],
)
def test_a_store_that_is_full(server: ScriptedServer, store: S3Store, reply: Reply) -> None:
    error = failed(server, store, reply)
    assert type(error) is SinkRefusedError
    assert "Make room in the store" in str(error)


PROXY_PAGE = b"<html><head><title>413 Request Entity Too Large</title></head></html>"


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (said("EntityTooLarge", 400), "takes no body of this length"),
        (Reply(413, PROXY_PAGE), "takes no body of this length"),
        (said("RequestTimeTooSkewed", 403), "clock"),
        (said("RequestExpired", 400), "clock"),
        (said("ExpiredToken", 400), "Renew the session token"),
        (said("TokenRefreshRequired", 400), "Renew the session token"),
        (said("KMS.DisabledException", 400), "kms:GenerateDataKey"),
        (said("AllAccessDisabled", 403), "its owner"),
        (said("MethodNotAllowed", 405), "addressing_style"),
        (said("PreconditionFailed", 412), "correct the settings or the store"),
    ],
    ids=lambda given: given.status if isinstance(given, Reply) else "",
)
def test_what_no_retry_helps_is_sent_once(server: ScriptedServer, store: S3Store, reply: Reply, advice: str) -> None:
    error = failed(server, store, reply)
    assert type(error) is SinkRefusedError
    assert advice in str(error)
    assert "refused: ." not in str(error)
    assert server.count(f"PUT {OBJECT}") == 1


@pytest.mark.outcome("object stores", "a right is missing, or credentials have expired", "SinkRefusedError")
@pytest.mark.parametrize(
    ("operation", "right"),
    [
        ("put_object", "s3:PutObject"),
        ("get_object", "s3:GetObject"),
        ("delete_object", "s3:DeleteObject"),
        ("list_objects_v2", "s3:ListBucket"),
        ("create_multipart_upload", "s3:PutObject"),
    ],
)
def test_the_right_that_is_missing_is_named(server: ScriptedServer, store: S3Store, operation: str, right: str) -> None:
    error = failed(server, store, said("AccessDenied", 403), operation)
    assert type(error) is SinkRefusedError
    assert f"the right {right}" in str(error)
    assert "docs/s3.md" in str(error)


def test_a_token_that_expires_in_an_upload_is_told_with_the_piece(server: ScriptedServer, store: S3Store) -> None:
    begun = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
    server.on(f"POST {OBJECT}", Reply(200, begun))
    server.on(f"PUT {OBJECT}", Reply(200, headers={"ETag": '"one"'}), said("ExpiredToken", 400))
    upload = store.upload(KEY)
    upload.send(b"x")
    with pytest.raises(SinkRefusedError, match=r"upload_part s3://lake/raw/a .*on_clear='resume'"):
        upload.send(b"y")
    assert server.count(f"PUT {OBJECT}") == 2


@pytest.mark.parametrize(
    ("suffix", "style", "host", "path"),
    [
        ("/s3/", "auto", "127.0.0.1", "/s3/lake/raw/a"),
        ("/s3", "path", "127.0.0.1", "/s3/lake/raw/a"),
        ("/", "virtual", "lake.store.test", "/raw/a"),
        ("", "path", "store.test", "/lake/raw/a"),
    ],
)
def test_a_key_is_where_endpoint_and_addressing_style_say(suffix: str, style: str, host: str, path: str) -> None:
    sent: list[Any] = []
    domain = host.removeprefix("lake.")
    client = client_for(f"http://{domain}{suffix}", s3={"addressing_style": style})
    client.meta.events.register("before-send.s3", partial(_kept, sent))
    with pytest.raises(SinkUnavailableError, match="has no ETag"):
        S3Store(client, "lake").put(KEY, b"x")
    assert [one.url for one in sent] == [f"http://{host}{path}"]


def _kept(sent: list[Any], request: Any, **_: object) -> Any:
    from io import BytesIO

    from botocore.awsrequest import AWSResponse
    from urllib3 import HTTPResponse

    sent.append(request)
    return AWSResponse(request.url, 200, {}, HTTPResponse(BytesIO(), preload_content=False))


def test_a_login_page_that_every_request_is_sent_to_is_said(server: ScriptedServer, store: S3Store) -> None:
    """boto looks for the bucket's region after each redirect, and would end in a RecursionError."""
    away = Reply(302, b"", {"Location": f"{server.url}/login"})
    server.on("HEAD /lake", away)
    error = failed(server, store, away, "list_objects_v2")
    assert isinstance(error, SinkRefusedError)
    assert "redirect" in str(error)
    assert "login page" in str(error)
