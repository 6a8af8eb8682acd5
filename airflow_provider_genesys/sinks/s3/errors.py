"""What an error of Amazon S3 means: try again, or stop and say what to do."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnectionError

from airflow_provider_genesys.exceptions import SinkError, SinkRefusedError, SinkUnavailableError

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
_LOST_PIECES = {"InvalidPart", "NoSuchUpload"}
_CREDENTIALS = "Correct the credentials of the AWS connection."
_REGION = "Set region_name of the AWS connection to the bucket's region."
_ADVICE = {
    "AccessDenied": "Give the role the rights on bucket and prefix that docs/s3.md lists.",
    "AuthorizationHeaderMalformed": _REGION,
    "ExpiredToken": "Renew the session token of the AWS connection, or let it assume a role, which renews itself; "
    "then clear the task with on_clear='resume' to go on from the last part.",
    "IllegalLocationConstraintException": _REGION,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidBucketName": "Correct the bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens.",
    "InvalidObjectState": "The object is in an archive class: restore it, or move it to a class that is read at once.",
    "KeyTooLongError": "Shorten the prefix.",
    "NoCredentialsError": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "NoSuchBucket": "Create the bucket, or correct its name.",
    "NotImplemented": "If the store does not know 'If-None-Match', set fencing='none' and make sure that no window is "
    "loaded twice at once.",
    "PermanentRedirect": _REGION,
    "RequestTimeTooSkewed": "The worker's clock is wrong: set it, e.g. with NTP.",
    "SSLError": "The endpoint's certificate is not trusted: correct endpoint_url or verify of the AWS connection.",
    "SignatureDoesNotMatch": _CREDENTIALS,
}


def code_of(error: Exception) -> str:
    """Return S3's code for an error, e.g. ``SlowDown``, or the name of its class where S3 did not answer."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else type(error).__name__


def told(error: BaseException) -> str:
    """Return what S3 said, without what botocore adds about retries, which are not its own here."""
    if isinstance(error, ClientError):
        return f"{code_of(error)}: {error.response['Error'].get('Message', '')}".rstrip(". :")
    return str(error).rstrip(".")


def is_transient(error: BaseException) -> bool:
    """Return whether the same request may succeed a moment later."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return code_of(error) in _TRANSIENT_CODES or status in _TRANSIENT_STATUS
    if isinstance(error, SSLError):
        return "CERTIFICATE_VERIFY_FAILED" not in str(error)
    return isinstance(error, (NoConnectionError, HTTPClientError, IncompleteReadError, CredentialRetrievalError))


def explained(error: ClientError | BotoCoreError, request: str) -> SinkError:
    """Return what is raised instead of ``error``.

    :param request: what was asked for, e.g. ``put_object s3://bucket/key``.
    """
    code = code_of(error)
    if code in _LOST_PIECES:
        return SinkUnavailableError(
            f"{request}: the upload, or a piece of it, is no longer there. A newer attempt, a lifecycle rule or a "
            "person has aborted or replaced it; the next try goes on from the last committed part.",
            code=code,
        )
    if is_transient(error):
        return SinkUnavailableError(
            f"{request} failed after all retries: {told(error)}. The next try goes on from the last committed part.",
            code=code,
        )
    advice = _ADVICE.get(code, "Another try would meet the same: correct the settings or the store.")
    return SinkRefusedError(f"{request} was refused: {told(error)}. {advice}", code=code)
