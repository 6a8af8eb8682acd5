"""What the errors of S3, SQS and DynamoDB share: their codes, their text, and which of them are temporary."""

from __future__ import annotations

from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
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
    "Throttling",
    "ThrottlingException",
    "XAmzContentSHA256Mismatch",  # 400: as BadDigest
}


_TRANSIENT_ERRORS = (
    NoConnectionError,
    HTTPClientError,
    IncompleteReadError,
    CredentialRetrievalError,
    ResponseParserError,  # a page of a proxy in place of the store's answer
)


def code_of(error: Exception) -> str:
    """Return S3's code for an error, e.g. ``SlowDown``, or the name of its class if S3 did not answer."""
    return (
        shown(error.response["Error"].get("Code", ""), 80) if isinstance(error, ClientError) else type(error).__name__
    )


def describe(error: BaseException) -> str:
    """Return S3's own message, without botocore's words on retries, which are switched off here."""
    if isinstance(error, ClientError):
        return f"{code_of(error)}: {shown(error.response['Error'].get('Message', ''))}".rstrip(". :")
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
