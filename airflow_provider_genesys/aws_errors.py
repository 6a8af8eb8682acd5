"""What the errors of S3, SQS and DynamoDB share: their codes, their text, and which of them are temporary."""

from __future__ import annotations

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError

from airflow_provider_genesys.outside import shown

_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}

_TRANSIENT_CODES = {
    "BadDigest",  # 400: bytes were damaged on their way
    "ConditionalRequestConflict",  # 409: another conditional request was being worked on
    "InternalError",  # also inside a 200 to CompleteMultipartUpload
    "OperationAborted",
    "RequestTimeout",  # 400: our body did not arrive in time
    "ServiceUnavailable",
    "SlowDown",
    "TemporaryRedirect",  # 307: the name of a new bucket is not known everywhere yet
    "Throttling",
    "ThrottlingException",
    "XAmzContentSHA256Mismatch",  # 400: as BadDigest
}


_NOT_REACHED = (ConnectTimeoutError, EndpointConnectionError)
_TRANSIENT_ERRORS = (
    NoConnectionError,
    HTTPClientError,
    IncompleteReadError,
    CredentialRetrievalError,
    ResponseParserError,  # a page of a proxy in place of the store's answer
)


def code_of(error: Exception) -> str:
    """Return the service's code for an error, e.g. ``SlowDown``.

    A page of a proxy has none: then it is the status, or without an answer the name of the error's class.
    """
    if not isinstance(error, ClientError):
        return type(error).__name__
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return shown(error.response["Error"].get("Code") or status, 80)


def describe(error: BaseException) -> str:
    """Return S3's own message, without botocore's words on retries, which are switched off here."""
    if isinstance(error, ClientError):
        return f"{code_of(error)}: {shown(error.response['Error'].get('Message', ''))}".rstrip(". :")
    if isinstance(error, _NOT_REACHED):
        text = shown(error).rstrip(".")
        return f"{text}. Look at endpoint_url and region_name of the AWS connection, and at the network"
    if isinstance(error, ResponseParserError):
        return f"the answer cannot be read: {shown(error, 160)}".rstrip(".")
    return shown(error).rstrip(".")


def is_transient(error: BaseException) -> bool:
    """Return whether the same request may succeed a moment later."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return code_of(error) in _TRANSIENT_CODES or status in _TRANSIENT_STATUS
    if isinstance(error, SSLError):
        return "CERTIFICATE_VERIFY_FAILED" not in str(error)
    return isinstance(error, _TRANSIENT_ERRORS)
