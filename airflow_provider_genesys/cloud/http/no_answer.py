"""Tells an error, or nothing, from the answer that was asked for, where the status is 200."""

from __future__ import annotations

from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import ForeignAnswerError
from airflow_provider_genesys.outside import shown

_OF_ERRORS = {"message", "Message", "error", "errors", "code", "fault", "title"}
_BESIDE = {"contextId", "details", "entityId", "entityName", "error_description", "messageParams", "messageWithParams"}
_BESIDE |= {"path", "status", "timestamp", "detail", "instance", "requestId", "type"}
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


def has_state(answer: Any) -> bool:
    """Whether a decoded answer is of a job: an object with a ``state``, which may be a new one."""
    return isinstance(answer, dict) and answer.get("state") is not None


class Doubt:
    """Lets an answer without records be believed when it comes a second time."""

    def __init__(self) -> None:
        self._raised = False

    def check(self, body: bytes, member: str, what: str) -> None:
        """Raise an error the first time that ``body`` has no ``member``, so that the client asks again at once.

        :param what: names the answer, for the error.
        """
        if self._raised or member.encode() in body or body.lstrip()[:1] not in (b"", b"{"):
            return
        self._raised = True
        error = ForeignAnswerError(f"{what} has no {member}: {shown(body) or 'nothing'}.", status=200)
        error.retry_after = 0.0
        raise error


def check_answer(body: bytes, member: str, what: str) -> None:
    """Check a page without records.

    :param member: where its records would be.
    :param what: names the page, for the error.
    :raises ForeignAnswerError: it is an error, although its status is 200; or it has something under other names only.
    """
    try:
        members = msgspec.json.decode(body or b"{}", type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return  # that says itself that it is no page
    if not members.keys().isdisjoint(_OF_ERRORS):
        raise ForeignAnswerError(
            f"{what} is an error with status 200: {shown(body)}. The next try asks again. If the error repeats, check "
            "whether a proxy answers in place of Genesys.",
            status=200,
        )
    held = [name for name, raw in members.items() if bytes(raw)[:1] in (b"[", b"{") and bytes(raw) not in _HOLD_NOTHING]
    if held and member not in members:
        raise ForeignAnswerError(
            f"{what} has no {member}, but {shown(', '.join(held), 80)}: its records may be there, so it does not count "
            "as empty. Check whether a gateway or a proxy changes what Genesys answers.",
            status=200,
        )


_HOLD_NOTHING = (b"[]", b"{}")
