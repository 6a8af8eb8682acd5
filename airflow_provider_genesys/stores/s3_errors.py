"""Decides whether an error of Amazon S3 can be retried, and what to do if not."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
)
from botocore.parsers import ResponseParserError

from airflow_provider_genesys.aws_errors import code_of, describe, is_transient
from airflow_provider_genesys.exceptions import SinkError, SinkRefusedError, SinkUnavailableError

_LOST_PIECES = {"InvalidPart", "NoSuchUpload"}

_CREDENTIALS = "Correct the credentials of the AWS connection."

_REGION = "Set region_name of the AWS connection to the bucket's region."

_SETTING = (
    "If the message names a header or a checksum that the store does not know, set config_kwargs "
    "{'request_checksum_calculation': 'when_required'} in the AWS connection, or leave the setting out of extra_args."
)

_UNKNOWN = (
    "If the store does not know 'If-None-Match', set fencing='none' and make sure that no window is "
    "loaded twice at once. If it does not know checksums, set config_kwargs {'request_checksum_calculation': "
    "'when_required'} in the AWS connection. docs/s3.md says what is known of some stores."
)

_PROXY = "If it lasts, look for a proxy or a login page between worker and store, and at endpoint_url."

_FULL = "Make room in the store, or raise its quota; then clear the task with on_clear='resume'."

_ADVICE = {
    "301": _REGION,
    "401": _CREDENTIALS,
    "403": f"Give the role the rights on bucket and prefix that docs/s3.md lists. {_PROXY}",
    "404": "Create the bucket, or correct its name and endpoint_url.",
    "405": "The endpoint does not take this request: correct endpoint_url and addressing_style of the AWS connection.",
    "AccessDenied": "Give the role the rights on bucket and prefix that docs/s3.md lists.",
    "AuthorizationHeaderMalformed": _REGION,
    "ExpiredToken": "Renew the session token of the AWS connection, or let it assume a role, which renews itself; "
    "then clear the task with on_clear='resume' to continue after the last part.",
    "IllegalLocationConstraintException": _REGION,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidArgument": _SETTING,
    "InvalidRequest": _SETTING,
    "InsufficientStorage": _FULL,
    "QuotaExceeded": _FULL,
    "Unauthorized": _CREDENTIALS,
    "XMinioStorageFull": _FULL,
    "InvalidBucketName": "Correct the bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens.",
    "InvalidObjectState": "The object is in an archive class: restore it, or move it to a class that is read at once.",
    "KeyTooLongError": "Shorten the prefix.",
    "NoCredentialsError": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "NoSuchBucket": "Create the bucket, or correct its name.",
    "501": _UNKNOWN,
    "NotImplemented": _UNKNOWN,
    "PermanentRedirect": _REGION,
    "RequestTimeTooSkewed": "The worker's clock is wrong: set it, e.g. with NTP.",
    "SSLError": "The endpoint's certificate is not trusted: correct endpoint_url or verify of the AWS connection.",
    "SignatureDoesNotMatch": "Correct the secret key of the AWS connection. If it is right, something on the way "
    "changes what was signed: a proxy that rewrites the host or a header, a region or an addressing_style other than "
    "the store's, or a store that does not know checksums (config_kwargs {'request_checksum_calculation': "
    "'when_required'}). See docs/s3.md, Stores other than Amazon's.",
}


def explained(error: ClientError | BotoCoreError | ResponseParserError, request: str) -> SinkError:
    """Return the error of this package to raise instead of ``error``.

    :param request: the request, e.g. ``put_object s3://bucket/key``.
    """
    code = code_of(error)
    if code in _LOST_PIECES:
        return SinkUnavailableError(
            f"{request}: the upload, or a piece of it, is no longer there. A newer attempt, a lifecycle rule or a "
            "person has aborted or replaced it. The next try continues after the last committed part.",
            code=code,
        )
    if is_transient(error):
        # boto gives a page with status 200 as an error 500 without a code.
        is_none_of_s3 = code.isdecimal() or isinstance(error, ResponseParserError)
        return SinkUnavailableError(
            f"{request} failed after all retries: {describe(error)}. The next try continues at the checkpoint."
            f"{f' {_PROXY}' if is_none_of_s3 else ''}",
            code=code,
        )
    advice = _ADVICE.get(code, "A retry would fail in the same way: correct the settings or the store.")
    return SinkRefusedError(f"{request} was refused: {describe(error)}. {advice}", code=code)
