"""Decides whether an error of Amazon S3 can be retried, and what to do if not."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
)
from botocore.parsers import ResponseParserError

from airflow_provider_genesys.aws_errors import code_of, describe, is_transient
from airflow_provider_genesys.exceptions import SinkError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.stores.advice import FEWER, PROXY, TOO_LARGE

_LOST_PIECES = {"InvalidPart", "NoSuchUpload"}

_CREDENTIALS = "Correct the credentials of the AWS connection."

_CLOCK = "The worker's clock is wrong: set it, e.g. with NTP."

_REGION = (
    "Set region_name of the AWS connection to the bucket's region, and endpoint_url, if it is set, to the endpoint of "
    "that region."
)

_RENEW = (
    "Renew the session token of the AWS connection, or let it assume a role, which renews itself; then clear the task "
    "with on_clear='resume' to continue after the last part."
)

_SETTING = (
    "If the message names a header or a checksum that the store does not know, set config_kwargs "
    "{'request_checksum_calculation': 'when_required'} in the AWS connection, or leave the setting out of extra_args."
)

_UNKNOWN = (
    "If the store does not know 'If-None-Match', set fencing='none' and make sure that no window is "
    "loaded twice at once. If it does not know checksums, set config_kwargs {'request_checksum_calculation': "
    "'when_required'} in the AWS connection. docs/s3.md says what is known of some stores."
)

_FULL = "Make room in the store, or raise its quota; then clear the task with on_clear='resume'."

_METHOD = "The endpoint does not take this request: correct endpoint_url and addressing_style of the AWS connection."

_RIGHTS = {
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "delete_object": "s3:DeleteObject",
    "get_object": "s3:GetObject",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "list_objects_v2": "s3:ListBucket",
    "list_parts": "s3:ListMultipartUploadParts",
}
"""The right that an operation needs; all others write, and need ``s3:PutObject``."""

_DAMAGED = (
    "Bytes do not arrive as they were sent: look for a proxy that changes them. If the store is not Amazon's, it may "
    "not know checksums: set config_kwargs {'request_checksum_calculation': 'when_required'} in the AWS connection."
)

_IF_IT_LASTS = {
    "BadDigest": _DAMAGED,
    "RequestTimeout": "The way to the store is too slow or broken: look at the network between worker and endpoint.",
    "ServiceUnavailable": FEWER,
    "SlowDown": FEWER,
    "TemporaryRedirect": f"The bucket is new, and its name is not known everywhere yet. If it lasts: {_REGION}",
    "Throttling": FEWER,
    "TooManyRequests": FEWER,
    "XAmzContentSHA256Mismatch": _DAMAGED,
}
"""What to do when retries did not help, though the error may pass."""

_OF_ANOTHER_REGION = {
    "301",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}

_ADVICE = {
    "301": _REGION,
    "401": _CREDENTIALS,
    "403": f"Give the role the rights on bucket and prefix that docs/s3.md lists. {PROXY}",
    "404": "Create the bucket, or correct its name and endpoint_url.",
    "405": _METHOD,
    "413": TOO_LARGE,
    "507": _FULL,
    "AllAccessDisabled": "The bucket or its account is disabled: ask its owner.",
    "AuthorizationHeaderMalformed": _REGION,
    "EntityTooLarge": TOO_LARGE,
    "ExpiredToken": _RENEW,
    "IllegalLocationConstraintException": _REGION,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidArgument": _SETTING,
    "InvalidRequest": _SETTING,
    "InsufficientStorage": _FULL,
    "MethodNotAllowed": _METHOD,
    "QuotaExceeded": _FULL,
    "TokenRefreshRequired": _RENEW,
    "Unauthorized": _CREDENTIALS,
    "XMinioAdminBucketQuotaExceeded": _FULL,
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
    "RequestExpired": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
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
        advice = PROXY if is_none_of_s3 else _IF_IT_LASTS.get(code, "")
        return SinkUnavailableError(
            f"{request} failed after all retries: {describe(error)}. The next try continues at the checkpoint. "
            f"{_region_of(error)}{advice}".rstrip(),
            code=code,
        )
    advice = _advice(code, request.partition(" ")[0])
    return SinkRefusedError(f"{request} was refused: {describe(error)}. {_region_of(error)}{advice}", code=code)


def _advice(code: str, operation: str) -> str:
    if code == "AccessDenied":
        right = _RIGHTS.get(operation, "s3:PutObject")
        return f"Give the role the right {right} on bucket and prefix; docs/s3.md lists all that are needed."
    if code.startswith("KMS."):
        return "See that the KMS key is enabled, and give the role kms:GenerateDataKey and kms:Decrypt on it."
    return _ADVICE.get(code, "A retry would fail in the same way: correct the settings or the store.")


def _region_of(error: ClientError | BotoCoreError | ResponseParserError) -> str:
    """Return in which region the bucket is, if S3 says so in the answer to a request that came to another one."""
    if not isinstance(error, ClientError) or code_of(error) not in _OF_ANOTHER_REGION:
        return ""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = error.response["Error"].get("Region") or headers.get("x-amz-bucket-region")
    return f"The bucket is in {shown(region, 40)}. " if region else ""
