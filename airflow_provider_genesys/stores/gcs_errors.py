"""Decides whether an error of Google Cloud Storage can be retried, and what to do if not.

Messages are not passed on whole: the URL of an upload session, which they may hold, is a credential.
"""

from __future__ import annotations

from airflow_provider_genesys.exceptions import MissingExtraError, SinkError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.outside import shown

try:
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
    from requests.exceptions import RequestException, SSLError
    from urllib3.exceptions import HTTPError
except ImportError as missing:
    raise MissingExtraError(
        "Loading into Google Cloud Storage needs its client. Run: pip install 'airflow-provider-genesys[google]'"
    ) from missing

ERRORS = (GoogleAPICallError, GoogleAuthError, InvalidResponse, DataCorruption, RequestException, HTTPError)
"""What a request to the store raises."""

NOT_FOUND, PRECONDITION_FAILED = 404, 412
_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
_TRANSIENT_REASONS = {"rateLimitExceeded", "userRateLimitExceeded"}  # with status 403
_RIGHTS = "Give the service account the rights on the bucket that docs/gcs.md lists."
_ADVICE_BY_STATUS = {
    400: "Correct the bucket's name or extra_args, as the message says.",
    401: "Correct the credentials of the Google connection; if they are right, the worker's clock is wrong.",
    403: _RIGHTS,
    404: "Create the bucket, or correct its name.",
}
_QUOTA = "A quota is used up: raise it, or wait until it begins again; then clear the task with on_clear='resume'."
_ADVICE_BY_REASON = {
    "accountDisabled": "Enable billing of the bucket's project.",
    "dailyLimitExceeded": _QUOTA,
    "quotaExceeded": _QUOTA,
    "objectUnderActiveHold": "Somebody holds the object: release it, or choose another prefix.",
    "retentionPolicyNotMet": "A retention policy forbids changes of young objects: keep it away from this bucket.",
    "userProjectMissing": "The bucket lets requesters pay, which this package does not support: use another bucket.",
}


class SessionEndedError(Exception):
    """The store no longer knows an upload session, or its object is already complete."""


class NothingKeptError(Exception):
    """The store answered that it kept nothing of a piece."""


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of an error; None if there was no response."""
    code = getattr(error, "code", None)
    response = getattr(error, "response", None)
    return code if isinstance(code, int) else getattr(response, "status_code", None)


def code_of(error: BaseException) -> str:
    """Return Google's reason for an error, e.g. ``forbidden``; else its status, or the name of its class."""
    reasons = [str(one.get("reason", "")) for one in getattr(error, "errors", None) or () if isinstance(one, dict)]
    return shown(next(filter(None, reasons), "") or str(status_of(error) or type(error).__name__), 80)


def describe(error: BaseException) -> str:
    """Return Google's status and message, or that there was no response; without URLs."""
    status = status_of(error)
    if status is None:
        return f"{type(error).__name__}, no response"
    # The message is "METHOD URL: text", and the URL may be that of a session.
    said = str(getattr(error, "message", "") or "").partition(": ")[2].splitlines()
    return f"{status} {code_of(error)}: {shown(said[0] if said else '')}".rstrip(": ")


def is_transient(error: BaseException) -> bool:
    """Return whether a retry of the same request may succeed."""
    if isinstance(error, SSLError):
        return "CERTIFICATE_VERIFY_FAILED" not in str(error)
    if isinstance(error, (DataCorruption, NothingKeptError, TransportError, HTTPError)):
        return True
    if isinstance(error, GoogleAuthError):
        return bool(getattr(error, "retryable", False))
    status = status_of(error)
    if code_of(error) in _TRANSIENT_REASONS:
        return True
    return status in _TRANSIENT_STATUS if status else isinstance(error, RequestException)


def explained(error: BaseException, request: str) -> SinkError:
    """Return the error of this package to raise instead of ``error``.

    :param request: the request, e.g. ``upload gs://bucket/key``.
    """
    if isinstance(error, SessionEndedError):
        return SinkUnavailableError(
            f"{request}: the upload is no longer there. A newer attempt has completed or replaced it, or Google "
            "discarded it after a week. The next try continues after the last committed part."
        )
    if is_transient(error):
        return SinkUnavailableError(
            f"{request} failed after all retries: {describe(error)}. The next try continues at the checkpoint.",
            code=code_of(error),
        )
    return SinkRefusedError(f"{request} was refused: {describe(error)}. {_advice(error)}", code=code_of(error))


def _advice(error: BaseException) -> str:
    if advice := _ADVICE_BY_REASON.get(code_of(error)):
        return advice
    if isinstance(error, GoogleAuthError):
        return _ADVICE_BY_STATUS[401]
    if isinstance(error, SSLError):
        return "The certificate of the endpoint is not trusted: correct the endpoint or the worker's certificates."
    default = "A retry would fail in the same way: correct the settings or the store."
    return _ADVICE_BY_STATUS.get(status_of(error) or 0, default)
