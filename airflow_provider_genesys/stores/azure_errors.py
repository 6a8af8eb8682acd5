"""Decides whether an error of Azure Blob Storage can be retried, and what to do if not.

The SDK's messages are not passed on whole, because they may hold secrets: the URL with its SAS signature if no
connection could be made, the signature of the request if the key is wrong.
"""

from __future__ import annotations

from airflow_provider_genesys.exceptions import MissingExtraError, SinkError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.stores.advice import FEWER, PROXY, TOO_LARGE

try:
    from azure.core.exceptions import (
        AzureError,
        ClientAuthenticationError,
        DecodeError,
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )
except ImportError as missing:
    raise MissingExtraError(
        "Loading into Azure Blob needs its SDK. Run: pip install 'airflow-provider-genesys[azure]'"
    ) from missing

__all__ = ["AzureError", "code_of", "describe", "explained", "is_transient"]

_TRANSIENT_STATUS = {200, 408, 429, 500, 502, 503, 504}
"""200 as an error is a page of a proxy."""

_TRANSIENT_CODES = {
    "ContainerBeingDeleted",  # 409: it may be created again in a moment
    "InternalError",
    "Md5Mismatch",  # 400: bytes were damaged on the way
    "OperationTimedOut",
    "ServerBusy",
}
_LOST_BLOCKS = {"InvalidBlockList", "InvalidBlobOrBlock"}
_KEY = "Correct the account key, the SAS or the connection string of the Azure connection."
_IDENTITY = (
    "No token could be got: give the Azure connection an account key, a SAS, a connection string or a client's id, "
    "secret and tenant_id, or the machine that runs the task an identity that may use the account."
)
_NAME = "Correct the container's name: 3 to 63 lower-case letters, digits and single hyphens."
_RIGHTS = "Give the identity or the SAS the rights on the container that docs/azure-blob.md lists."
_CLOCK = "The worker's clock is wrong: set it, e.g. with NTP."
_EXPIRED = (
    "The SAS is not valid yet or no longer. Give the Azure connection a new one, then clear the task with "
    "on_clear='resume' to continue after the last part. If the SAS is valid, the worker's clock is wrong."
)
_SMALLER_PART = "The part has too many blocks: choose a smaller part_size."
_WRITABLE = "An immutability policy or a legal hold forbids changes: keep it away from this prefix."
_OTHER_TYPE = "Something else keeps a page or append blob under this name: choose another prefix."
_LEASE = (
    "Somebody holds a lease on the blob. Find out who; 'az storage blob lease break' ends it, then clear the task with "
    "on_clear='resume'."
)
_ADVICE = {
    "AccountIsDisabled": "Enable the storage account.",
    "FeatureVersionMismatch": "The account does not offer what the request needs: leave it out of extra_args.",
    "SkuNotSupported": "The account's kind does not offer what the request needs: use a general-purpose v2 account.",
    "AuthorizationFailure": f"{_KEY} {_RIGHTS} Let the account's firewall admit this worker.",
    "AuthorizationPermissionMismatch": _RIGHTS,
    "AuthorizationProtocolMismatch": "The SAS wants https: correct the account URL of the Azure connection.",
    "AuthorizationResourceTypeMismatch": _RIGHTS,
    "AuthorizationSourceIPMismatch": "The SAS is for other IP addresses: let it include this worker's.",
    "BlobArchived": "Parts and ledger have to be readable at once: move the blob out of the archive tier.",
    "BlobImmutableDueToPolicy": _WRITABLE,
    "BlobTypeMismatch": _OTHER_TYPE,
    "BlockCountExceedsLimit": _SMALLER_PART,
    "BlockListTooLong": _SMALLER_PART,
    "ContainerNotFound": "Create the container, or correct its name.",
    "InsufficientAccountPermissions": _RIGHTS,
    "InvalidAuthenticationInfo": _KEY,
    "InvalidResourceName": _NAME,
    "InvalidBlobType": _OTHER_TYPE,
    "LeaseAlreadyPresent": _LEASE,
    "LeaseIdMismatchWithBlobOperation": _LEASE,
    "LeaseIdMissing": _LEASE,
    "NoAuthenticationInformation": _KEY,
    "OutOfRangeInput": _NAME,
    "PublicAccessNotPermitted": _KEY,
    "RequestBodyTooLarge": TOO_LARGE,
}
_IN_DETAIL = {
    "time frame": _EXPIRED,
    "date header": _CLOCK,
    "too old": _CLOCK,
}
"""Texts in the detail of AuthenticationFailed, which name the exact reason."""


def code_of(error: BaseException) -> str:
    """Return Azure's code for an error, e.g. ``ServerBusy``; the name of its class if Azure gave none."""
    return shown(_azures_code(error) or type(error).__name__, 80)


def _azures_code(error: BaseException) -> str:
    """Return Azure's code; empty if there was no answer, or it was not Azure's."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def describe(error: BaseException) -> str:
    """Return Azure's code and status, or that there was no response; without URL and signature."""
    if isinstance(error, HttpResponseError):
        said = (error.message or "").splitlines()
        return f"{code_of(error)}: {shown(said[0] if said else error.reason)}".rstrip(". ")
    return f"{code_of(error)}, no response"


def is_transient(error: BaseException) -> bool:
    """Return whether a retry of the same request may succeed."""
    if isinstance(error, DecodeError):
        return True  # the response broke off
    if isinstance(error, ClientAuthenticationError) and error.response is None:  # of what gives tokens
        return error.__cause__ is not None and is_transient(error.__cause__)
    if isinstance(error, HttpResponseError):
        return code_of(error) in _TRANSIENT_CODES or error.status_code in _TRANSIENT_STATUS
    if isinstance(error, (ServiceRequestError, ServiceResponseError)):
        return "CERTIFICATE_VERIFY_FAILED" not in str(error)
    return False


def explained(error: AzureError, request: str) -> SinkError:
    """Return the error of this package to raise instead of ``error``.

    :param request: the request, e.g. ``upload_blob az://container/key``.
    """
    if code_of(error) in _LOST_BLOCKS:
        return SinkUnavailableError(
            f"{request}: the blocks are no longer there. A newer attempt has written the blob, or Azure discarded them "
            "after a week. The next try continues after the last committed part."
        )
    if is_transient(error):
        advice = FEWER if code_of(error) == "ServerBusy" else "" if _azures_code(error) else PROXY
        return SinkUnavailableError(
            f"{request} failed after all retries: {describe(error)}. The next try continues at the checkpoint. "
            f"{advice}".rstrip(),
            code=code_of(error),
        )
    advice = _advice(error)
    if isinstance(error, HttpResponseError) and error.response is not None and not _azures_code(error):
        advice = PROXY
    return SinkRefusedError(f"{request} was refused: {describe(error)}. {advice}", code=code_of(error))


def _advice(error: AzureError) -> str:
    if code_of(error) in _ADVICE:
        return _ADVICE[code_of(error)]
    if isinstance(error, ClientAuthenticationError) and error.response is None:
        return _IDENTITY
    if isinstance(error, ClientAuthenticationError):
        detail = str(error).lower()
        return next((advice for words, advice in _IN_DETAIL.items() if words in detail), _KEY)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "The certificate of the endpoint is not trusted: correct the account URL or the worker's certificates."
    return "A retry would fail in the same way: correct the settings or the store."
