"""Tells an error, or nothing, from the answer that was asked for, where the status is 200."""

from __future__ import annotations

from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import CloudUnavailableError
from airflow_provider_genesys.outside import shown

_OF_ERRORS = {"message", "error", "errors", "code"}
_BESIDE = {"contextId", "details", "entityId", "entityName", "error_description", "messageParams", "messageWithParams"}
_BESIDE |= {"path", "status", "timestamp"}
"""What errors of Genesys and of proxies have beside it."""


def is_no_answer(answer: Any) -> bool:
    """Whether an answer with status 200 is empty, no object, or an error: the next one may be right."""
    return not answer or not isinstance(answer, dict) or not answer.keys().isdisjoint(_OF_ERRORS)


def is_error(answer: Any) -> bool:
    """Whether a decoded answer with status 200 tells of an error, and of nothing else.

    A status in words is that of an export, not of HTTP.
    """
    if not isinstance(answer, dict) or isinstance(answer.get("status"), str):
        return False
    return not _OF_ERRORS.isdisjoint(answer) and answer.keys() <= _OF_ERRORS | _BESIDE


def check_answer(body: bytes, what: str) -> None:
    """Check a page without records.

    :param what: names the page, for the error.
    :raises CloudUnavailableError: it is an error, although its status is 200.
    """
    try:
        members = msgspec.json.decode(body or b"{}", type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return  # that says itself that it is no page
    if not members.keys().isdisjoint(_OF_ERRORS):
        raise CloudUnavailableError(
            f"{what} is an error with status 200: {shown(body)}. The next try asks again. If the error repeats, check "
            "whether a proxy answers in place of Genesys.",
            status=200,
        )
