from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from botocore import exceptions as boto
from botocore.exceptions import ClientError

from airflow_provider_genesys.aws_errors import is_transient
from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.stores.s3 import S3Store
from airflow_provider_genesys.stores.s3_errors import explained
from tests.sinks.lake import client_for


def answer(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "told"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "PutObject")


@pytest.mark.parametrize(
    "error",
    [
        answer("SlowDown", 503),
        answer("InternalError", 200),
        answer("RequestTimeout", 400),
        answer("ConditionalRequestConflict", 409),
        answer("OperationAborted", 409),
        answer("", 502),
        answer("504", 504),
        answer("TooManyRequests", 429),
        boto.EndpointConnectionError(endpoint_url="http://x"),
        boto.ConnectionClosedError(endpoint_url="http://x"),
        boto.ConnectTimeoutError(endpoint_url="http://x"),
        boto.ReadTimeoutError(endpoint_url="http://x"),
        boto.ResponseStreamingError(error="cut"),
        boto.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        boto.SSLError(endpoint_url="http://x", error="EOF occurred in violation of protocol"),
        boto.CredentialRetrievalError(provider="sts", error_msg="timeout"),
    ],
)
def test_what_passes_is_tried_again_and_then_unavailable(error: Any) -> None:
    assert is_transient(error)
    assert type(explained(error, "put_object s3://lake/key")) is SinkUnavailableError


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (answer("NoSuchBucket", 404), "Create the bucket"),
        (answer("403", 403), "proxy or a login page"),
        (answer("InvalidArgument", 400), "request_checksum_calculation"),
        (answer("405", 405), "addressing_style"),
        (answer("501", 501), "fencing='none'"),
        (answer("InvalidAccessKeyId", 403), "credentials"),
        (answer("SignatureDoesNotMatch", 403), "Correct the secret key"),
        (answer("SignatureDoesNotMatch", 403), "request_checksum_calculation"),
        (answer("InvalidToken", 400), "credentials"),
        (answer("NotImplemented", 501), "fencing='none'"),
        (answer("NotImplemented", 501), "request_checksum_calculation"),
        (answer("SomethingNew", 400), "correct the settings"),
        (boto.NoCredentialsError(), "Correct the credentials"),
        (boto.ParamValidationError(report="Invalid bucket name"), "Invalid bucket name"),
        (boto.SSLError(endpoint_url="http://x", error="CERTIFICATE_VERIFY_FAILED"), "certificate is not trusted"),
    ],
)
def test_what_stays_is_refused_with_what_to_do(error: Any, advice: str) -> None:
    assert not is_transient(error)
    told = explained(error, "put_object s3://lake/key")
    assert type(told) is SinkRefusedError
    assert "put_object s3://lake/key" in str(told)
    assert advice in str(told)


def test_an_upload_that_somebody_aborted_is_for_the_next_try() -> None:
    error = answer("NoSuchUpload", 404)

    assert not is_transient(error)
    assert type(explained(error, "upload_part s3://lake/key")) is SinkUnavailableError


def test_importing_the_sink_does_not_import_boto3() -> None:
    named = "'boto3' in sys.modules or 'airflow' in sys.modules"
    code = f"import sys, airflow_provider_genesys.sinks.s3; sys.exit({named})"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Scripted(http.server.BaseHTTPRequestHandler):
    """A server that answers each request with the next of :attr:`answers`, and the last one for ever."""

    answers: ClassVar[list[tuple[int, bytes]]] = []
    asked: ClassVar[list[str]] = []

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append(self.path)
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = _answer  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def scripted() -> Iterator[Callable[..., S3Store]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def store(*answers: tuple[int, bytes]) -> S3Store:
        Scripted.answers, Scripted.asked = list(answers), []
        return S3Store(client_for(f"http://127.0.0.1:{server.server_port}"), "lake", retries=0)

    yield store
    server.shutdown()
    server.server_close()


PAGE = b"<!doctype html><html><body>Sign in<br></body></html>"
XHTML = b"<html><body>Sign in</body></html>"
DTD = b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><ListBucketResult>&b;</ListBucketResult>'


@pytest.mark.parametrize(
    ("action", "answered", "error", "said"),
    [
        (lambda store: list(store.list_objects("raw/")), (200, PAGE), SinkUnavailableError, "proxy or a login page"),
        (
            lambda store: list(store.list_objects("raw/")),
            (200, XHTML),
            SinkUnavailableError,
            "whether the list is whole",
        ),
        (lambda store: list(store.list_objects("raw/")), (200, DTD), SinkUnavailableError, "whether the list is whole"),
        (lambda store: list(store.list_objects("raw/")), (403, PAGE), SinkRefusedError, "proxy or a login page"),
        (lambda store: store.put("raw/a", b"x"), (200, XHTML), SinkUnavailableError, "has no ETag"),
        (lambda store: store.upload("raw/a").send(b"x"), (200, PAGE), SinkUnavailableError, "proxy or a login page"),
        (lambda store: store.upload("raw/a"), (200, XHTML), SinkUnavailableError, "has no UploadId"),
    ],
    ids=["page", "xhtml", "dtd", "403 page", "put", "upload", "upload xhtml"],
)
def test_an_answer_that_is_not_the_stores_is_neither_empty_nor_written(
    scripted: Callable[..., S3Store], action: Any, answered: tuple[int, bytes], error: Any, said: str
) -> None:
    with pytest.raises(error, match=said):
        action(scripted(answered))


def test_a_status_without_a_body_is_understood(scripted: Callable[..., S3Store]) -> None:
    assert scripted((412, b"")).put_if_absent("raw/a", b"x") is False
    assert scripted((404, b"")).get("raw/a") is None
