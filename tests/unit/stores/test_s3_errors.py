from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from botocore import exceptions as boto
from botocore.exceptions import ClientError

from airflow_provider_genesys.aws_errors import is_transient
from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.stores.s3_errors import explained


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
        (answer("AccessDenied", 403), "docs/s3.md"),
        (answer("InvalidAccessKeyId", 403), "credentials"),
        (answer("SignatureDoesNotMatch", 403), "Correct the secret key"),
        (answer("SignatureDoesNotMatch", 403), "request_checksum_calculation"),
        (answer("InvalidToken", 400), "credentials"),
        (answer("ExpiredToken", 400), "Renew the session token"),
        (answer("RequestTimeTooSkewed", 403), "clock"),
        (answer("PermanentRedirect", 301), "region"),
        (answer("AuthorizationHeaderMalformed", 400), "region"),
        (answer("NotImplemented", 501), "fencing='none'"),
        (answer("NotImplemented", 501), "request_checksum_calculation"),
        (answer("EntityTooLarge", 400), "correct the settings"),
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
