"""Decides whether an error of Google Cloud Storage can be retried, and what to do if not.

Messages are not passed on whole: the URL of an upload session, which they may hold, is a credential.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_genesys.exceptions import MissingExtraError, SinkError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.stores.advice import FEWER, PROXY, TOO_LARGE

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
_TRANSIENT_STATUS = {200, 408, 429, 500, 502, 503, 504}
"""200 as an error is a page of a proxy."""

_TRANSIENT_REASONS = {"rateLimitExceeded", "userRateLimitExceeded"}  # with status 403
_RIGHTS = "Give the service account the rights on the bucket that docs/gcs.md lists."
_ADVICE_BY_STATUS = {
    400: "Correct the bucket's name or extra_args, as the message says.",
    401: "Correct the credentials of the Google connection; if they are right, the worker's clock is wrong.",
    403: _RIGHTS,
    404: "Create the bucket, or correct its name.",
    413: TOO_LARGE,
}
_TOO_MANY = {403, 429}
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
    return shown(_said(error)[0] or status_of(error) or type(error).__name__, 80)


def _said(error: BaseException) -> tuple[str, str]:
    """Return the reason and the message in Google's answer; both empty if there is none, or it is not Google's.

    Google answers in JSON, or for uploads in plain text. The client's errors have a message with the URL, which may be
    that of a session, and a reason in some requests only.
    """
    try:
        text = str(error.response.text)  # type: ignore[attr-defined] # most errors have one
        said: dict[str, Any] = {"message": text} if text[:1] not in ("{", "<") else error.response.json()["error"]  # type: ignore[attr-defined]
        reason = next((one["reason"] for one in said.get("errors", ()) if one.get("reason")), "")
        return str(reason), str(said.get("message", ""))
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):  # RuntimeError: it was read as a stream
        return "", ""


def describe(error: BaseException) -> str:
    """Return Google's status, reason and message, or what else happened; without URLs."""
    if isinstance(error, (DataCorruption, NothingKeptError)):
        return "bytes were damaged or lost on the way"
    status, (reason, message) = status_of(error), _said(error)
    if status is None:
        return f"{type(error).__name__}, no response"
    return f"{status} {reason}: {shown(message)}".rstrip(":. ")


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
        advice = FEWER if status_of(error) in _TOO_MANY else "" if _said(error)[1] else PROXY
        return SinkUnavailableError(
            f"{request} failed after all retries: {describe(error)}. The next try continues at the checkpoint. "
            f"{advice}".rstrip(),
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
    advice = _ADVICE_BY_STATUS.get(status_of(error) or 0, default)
    return advice if _said(error)[1] else f"{advice} {PROXY}"
