"""Whether an answer is what was asked for, by its first bytes: a proxy's page or an error can come with status 200."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import msgspec

from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.source.records import BOM

_ERROR = 8 * 1024
"""Bytes that an error in JSON has at most."""
_BLANK = b" \t\r\n"
_MEMBER = re.compile(rb'"([^"\\]{1,60})"\s{0,20}:')
_SAID = frozenset(b"message error errors error_description errormessage errorcode code fault title detail".split())
_BESIDE = frozenset(
    b"status statuscode details contextid correlationid requestid messagewithparams messageparams entityid entityname "
    b"timestamp path type instance description reason success fieldname limit trace exception".split()
)


class Fault(Protocol):
    """Tells what an answer is."""

    def __call__(self, head: bytes, *, ended: bool) -> str | None:
        """Return what ``head`` is in place of what is asked for; empty where it can be that.

        :param head: the first bytes of the answer.
        :param ended: whether they are all of it.
        :return: None where more bytes are needed.
        """


@dataclass(frozen=True)
class Expected:
    """What is asked for.

    :param fault: tells what else comes.
    :param pages: whether HTML or XML can be what is asked for.
    """

    fault: Fault
    pages: bool = False


def archive_fault(head: bytes, *, ended: bool) -> str | None:
    """Tell a page, or an error of an API, from an archive, which may begin with anything else."""
    body = head.removeprefix(BOM).lstrip(_BLANK)
    if not body:
        return "" if ended or len(head) > _ERROR else None
    if body.startswith(b"<"):
        return f"HTML or XML, not an archive; it begins {shown(body, 80)!r}"
    return json_error(body, ended=ended) if body.startswith(b"{") else ""


def json_error(body: bytes, *, ended: bool) -> str | None:
    """Tell an error of an API from a record: it is one object, and all its members are those that errors have."""
    names = {name.lower() for name in _MEMBER.findall(body[:_ERROR])}
    if len(body) > _ERROR or names - _SAID - _BESIDE:
        return ""
    if not ended:
        return None
    try:
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return f"an error of an API, {shown(body, 200)}" if names & _SAID else ""


ARCHIVE = Expected(archive_fault)
