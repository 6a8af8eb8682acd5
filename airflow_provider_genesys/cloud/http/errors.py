"""Turns Genesys' error responses into exceptions that say what happened, where, and what to do."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from airflow_provider_genesys.cloud.http.pacing import retry_after
from airflow_provider_genesys.cloud.http.shapes import decode, members
from airflow_provider_genesys.cloud.presigned import redact
from airflow_provider_genesys.exceptions import (
    AuthenticationError,
    CloudError,
    CloudUnavailableError,
    ForeignAnswerError,
    NotFoundError,
    PermissionDeniedError,
    RequestRefusedError,
)
from airflow_provider_genesys.outside import shown

_PERMISSION = re.compile(r"\b[A-Za-z][\w-]{0,80}:[A-Za-z*][\w-]{0,80}:[A-Za-z*][\w-]{0,80}\b")
_NESTED = 4
"""Errors in errors that are read."""
_FEW = 10
"""Permissions, and parameters of a message, that are read."""

_KINDS: dict[int, type[CloudError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: CloudUnavailableError,
    410: NotFoundError,
    425: CloudUnavailableError,
    429: CloudUnavailableError,
    501: RequestRefusedError,
    511: ForeignAnswerError,
}

_ABOUT_ARGUMENTS = frozenset({400, 405, 406, 409, 411, 412, 413, 414, 415, 416, 417, 422, 428, 431})
"""Status codes that complain of the request. Genesys' API has no other of this kind."""

_OF_ONE = frozenset({200, 400, 403, 422, 500})
"""Status codes with which Genesys may fail for a single entity; 200 with what cannot be read."""

_ADVICE: dict[type[CloudError], str] = {
    AuthenticationError: (
        "The API refuses a token that was just issued: check that the connection's region (or host and login_url) "
        "belongs to the organisation of the OAuth client, and that the client is active."
    ),
    PermissionDeniedError: (
        "Give the OAuth client a role that may do this, in the divisions concerned (Genesys Cloud Admin: "
        "Integrations, OAuth, the client, Roles)."
    ),
    NotFoundError: (
        "It was deleted or has expired, was made by another OAuth client, or the connection leads to another "
        "organisation or to a gateway that does not offer this path."
    ),
    RequestRefusedError: "Genesys will not accept this request as it is: correct the arguments that it complains of.",
    CloudUnavailableError: "Genesys Cloud may answer later: the task's retries try again.",
    ForeignAnswerError: (
        "Genesys' API does not answer in this way, so something else may have: check the connection's region or host, "
        "and whether a proxy (HTTPS_PROXY on the worker), a gateway or a captive portal is in between. The task's "
        "retries try again."
    ),
}


def is_of_one(error: CloudError) -> bool:
    """Whether Genesys may answer so for ever for a single entity, while it answers for all others."""
    return error.of_one or (error.status in _OF_ONE and not isinstance(error, ForeignAnswerError))


@dataclass(frozen=True)
class Refusal:
    """What an error response says. Read from Genesys' ErrorBody or the token endpoint's; members may be missing."""

    status: int
    code: str | None
    message: str
    """One line of at most 300 characters; never a page of HTML."""
    correlation_id: str | None
    permissions: tuple[str, ...]
    """Permissions that the client lacks, e.g. ``recording:recording:view``."""
    retry_after: float | None
    """Seconds."""


def read_refusal(response: httpx.Response) -> Refusal:
    """Read an error response of any shape."""
    body = _body(response)
    message = "; ".join(_messages(body)) or _describe(response)
    return Refusal(
        status=response.status_code,
        code=_line(body.get("code") or body.get("error")) or None,
        message=shown(message),
        correlation_id=_line(response.headers.get("ININ-Correlation-Id") or body.get("contextId")) or None,
        permissions=_permissions(body, message),
        retry_after=retry_after(response.headers, message),
    )


def error_from(response: httpx.Response, what: str) -> CloudError:
    """Return the exception for a response that is not 2xx.

    :param what: the request, e.g. ``GET /api/v2/recordings/exports/<id>``; begins the message.
    """
    kind, foreign = _kind_of(response.status_code), is_foreign(response)
    advice = _ADVICE[kind]
    if foreign and kind is NotFoundError:  # a gateway that does not have it may say so in its own words
        advice = f"{advice} {_ADVICE[ForeignAnswerError]}"
    elif foreign:
        kind, advice = ForeignAnswerError, _ADVICE[ForeignAnswerError]
    error = make_error(kind, read_refusal(response), what, advice)
    error.foreign = foreign
    return error


def is_foreign(response: httpx.Response) -> bool:
    """Whether a response that is not 2xx cannot be Genesys' own: its status is none of the API's, or its body no JSON.

    A 5xx may be of a gateway of Genesys', with a page of that.
    """
    kind = _kind_of(response.status_code)
    body = response.content.removeprefix(BOM_UTF8).strip()
    return kind is ForeignAnswerError or (not issubclass(kind, CloudUnavailableError) and body[:1] not in (b"", b"{"))


def _kind_of(status: int) -> type[CloudError]:
    """Return what a status means that is not 2xx."""
    if status in _KINDS:
        return _KINDS[status]
    if status in _ABOUT_ARGUMENTS:
        return RequestRefusedError
    return CloudUnavailableError if _SERVER_ERRORS <= status < _NO_STATUS else ForeignAnswerError


_SERVER_ERRORS, _NO_STATUS = 500, 600


def make_error(kind: type[CloudError], refusal: Refusal, what: str, advice: str) -> CloudError:
    """Return a ``kind`` error. Its message says what happened, where, what to do; attributes hold facts."""
    parts = [f"{what} was answered {' '.join(filter(None, [str(refusal.status), refusal.code]))}: {refusal.message}."]
    if refusal.permissions and kind is PermissionDeniedError:
        parts.append(f"The OAuth client lacks the permission {', '.join(refusal.permissions)}.")
    parts.append(advice)
    if refusal.correlation_id:
        parts.append(f"Correlation id for Genesys' support: {refusal.correlation_id}.")
    error = kind(" ".join(parts), status=refusal.status, code=refusal.code, correlation_id=refusal.correlation_id)
    if isinstance(error, CloudUnavailableError):
        error.retry_after = refusal.retry_after
    return error


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = decode(response.content)
    except (ValueError, RecursionError):
        return {}
    return members(body)


def _messages(body: dict[str, Any], nested: int = _NESTED) -> Iterator[str]:
    """Yield the message; then, for each nested error and detail, the field that it is about."""
    said = _line(body.get("message") or body.get("description") or body.get("error_description"))
    if said:
        yield said.rstrip(".")
    for error in _objects(body.get("errors")) if nested else ():
        yield from _messages(error, nested - 1)
    for detail in _objects(body.get("details")):
        about = [_line(detail.get("fieldName")), _line(detail.get("errorCode"))]
        if any(about):
            yield " ".join(filter(None, about))
    limit = body.get("limit")
    if isinstance(limit, dict) and (key := _line(limit.get("key"))):
        yield f"the limit is {key} = {shown(limit.get('value'), 40)}"


def _objects(value: Any) -> list[dict[str, Any]]:
    few = 3
    return [one for one in value[:few] if isinstance(one, dict)] if isinstance(value, list) else []


def _permissions(body: dict[str, Any], message: str) -> tuple[str, ...]:
    params = body.get("messageParams")
    params = [shown(one) for one in list(params.values())[:_FEW]] if isinstance(params, dict) else []
    texts = [shown(message), *params]
    return tuple(dict.fromkeys(found for text in texts for found in _PERMISSION.findall(text)))[:_FEW]


def _describe(response: httpx.Response) -> str:
    """Describe a response that is not JSON. Its text stays out: a proxy's HTML page would fill the log."""
    media = _line(response.headers.get("Content-Type", "")).partition(";")[0] or "no content type"
    if response.has_redirect_location:
        target = redact(response.headers["Location"])
        return f"a redirect to {_line(target)}, which is not followed: the connection's host may be wrong"
    return f"{len(response.content)} bytes of {media} instead of Genesys' JSON, perhaps from a proxy or gateway"


def _line(value: Any) -> str:
    return shown(value) if isinstance(value, str) else ""
