"""The archive export of recordings: one big file of records behind a presigned URL."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.cloud.config import ArchiveApi
from airflow_provider_genesys.cloud.exports.base import ExportRequest, ExportState, ExportStatus, delete
from airflow_provider_genesys.cloud.http.no_answer import is_no_answer
from airflow_provider_genesys.cloud.http.paths import new_id, path_step
from airflow_provider_genesys.cloud.http.shapes import members
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    ForeignAnswerError,
)
from airflow_provider_genesys.limits import LONGEST_URL
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.times import api_time, parse_time

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient

OTHER_MEMBER = (
    "If its URL is in another member of the answer, name that as 'uri_field' in the connection's extra 'archive'."
)
"""What an error advises where the answer of an export that is COMPLETED has no URL."""

_STATES = {state.value: state for state in ExportState} | {"CANCELED": ExportState.CANCELLED}
_NOTHING_TO_CANCEL = frozenset({405, 409})
"""Status codes: the API cannot cancel (405), or the export has ended already (409)."""


class Recordings:
    """``POST``, ``GET`` and ``DELETE`` below :attr:`ArchiveApi.path`."""

    kind = "recordings"

    def __init__(self, api: ArchiveApi) -> None:
        self._api = api

    def create(self, client: CloudClient, request: ExportRequest) -> str:
        """Create an export and return its id.

        :raises ConfigurationError: filters or options repeat what the window says, or the answer has no id.
        :raises ForeignAnswerError: the answer is none of an export, although its status says so.
        """
        answer = client.request("POST", self._api.path, json=self._body(request))
        found = _text(members(answer).get(self._api.id_field)) or self._missing(self._api.id_field, "id_field", answer)
        return new_id(found, self._api.path)

    def status(self, client: CloudClient, export_id: str) -> ExportStatus:
        """Ask for the state of the export, and note its URL as a secret."""
        found = client.request("GET", self._path(export_id), is_answer=self._is_answer)
        answer = members(found)
        raw_state = _text(answer.get(self._api.state_field)) or self._missing(
            self._api.state_field, "state_field", found
        )
        file_uri = _uri(answer.get(self._api.uri_field))
        if file_uri:
            client.note_url(file_uri)
        window = {**answer, **members(answer.get(self._api.filter_field))}
        return ExportStatus(
            export_id=export_id,
            kind=self.kind,
            state=_STATES.get(raw_state.upper(), ExportState.UNKNOWN),
            raw_state=raw_state,
            file_uri=file_uri,
            expires_at=parse_time(answer.get(self._api.expires_field)),
            size=_count(answer.get(self._api.size_field)),
            etag=_text(answer.get(self._api.etag_field)),
            records=_count(answer.get(self._api.records_field)),
            submitted_at=parse_time(answer.get(self._api.submitted_field)),
            window_start=parse_time(window.get(self._api.from_field)),
            window_end=parse_time(window.get(self._api.to_field)),
            progress=answer.get(self._api.progress_field),
            message=answer.get(self._api.message_field) or None,
        )

    def cancel(self, client: CloudClient, export_id: str) -> bool:
        """Delete the export. Return False if it is gone or has ended, or if the API has no DELETE."""
        return delete(client, self._path(export_id), _NOTHING_TO_CANCEL)

    def _body(self, request: ExportRequest) -> dict[str, Any]:
        api = self._api
        window = {api.from_field: api_time(request.window_start), api.to_field: api_time(request.window_end)}
        _refuse_overlap("filters", request.filters, window, "window_start and window_end")
        _refuse_overlap("options", request.options, {api.filter_field: window}, "filters, window_start and window_end")
        return {
            api.type_field: api.export_type,
            api.filter_field: {**window, **request.filters},
            api.format_field: request.file_format,
            **({api.include_field: list(request.include)} if request.include else {}),
            **request.options,
        }

    def _path(self, export_id: str) -> str:
        return f"{self._api.path}/{path_step(export_id, 'an export')}"

    def _is_answer(self, answer: Any) -> bool:
        return not is_no_answer(answer) or bool(members(answer).get(self._api.state_field))

    def _missing(self, name: str, setting: str, answer: Any) -> str:
        if is_no_answer(answer):
            raise ForeignAnswerError(
                f"The answer from {self._api.path} is none of an export; it {_described(answer)}. If this happens "
                "again, check whether a proxy answers in place of Genesys.",
                status=200,
            )
        if name in members(answer):
            raise ConfigurationError(
                f"The answer from {self._api.path} has no text in the member {name!r}, but "
                f"{shown(json.dumps(members(answer)[name]), 80)}. Ask those who run that API, or name another member "
                f"in the connection's extra 'archive' ({setting!r})."
            )
        raise ConfigurationError(
            f"The answer from {self._api.path} has no member {name!r}; it {_described(answer)}. "
            f'If your API calls it otherwise, set extra \'archive\' of the connection, e.g. {{"{setting}": "id"}}.'
        )


def _refuse_overlap(name: str, given: dict[str, Any], ours: dict[str, Any], instead: str) -> None:
    if overlap := sorted(set(given) & set(ours)):
        raise ConfigurationError(f"{name} must not hold {', '.join(overlap)}: use {instead}.")


def _described(answer: Any) -> str:
    """Say what an answer is; after "it"."""
    if answer is None:
        return "is empty, or null"
    if not isinstance(answer, dict):
        return f"is no object but a {_JSON_NAMES.get(type(answer), 'number')}"
    return f"has {shown(', '.join(sorted(answer)[:_FEW]))}" if answer else "is an object without members"


_JSON_NAMES: dict[type, str] = {list: "list", str: "text", bool: "boolean"}
_FEW = 20


def _text(value: Any) -> str | None:
    """Return a text, or a number as text; None for anything else."""
    return str(value) if value and isinstance(value, (str, int)) and not isinstance(value, bool) else None


def _uri(value: Any) -> str | None:
    """Return a URL. For anything else, return a text that :func:`.presigned.check_host` refuses."""
    if isinstance(value, str) and len(value) > LONGEST_URL:
        return f"(a text of {len(value):,} characters)"
    return value if isinstance(value, str) or value is None else shown(value, 80)


def _count(value: Any) -> int | None:
    text = "" if isinstance(value, bool) else str(value)
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
