"""Failures on demand."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from airflow_provider_genesys.testing.fake_genesys.messages import (
    Response,
    api_error,
    json_response,
    missing_permissions,
    oauth_error,
    s3_error,
)

TOKEN_PATH, STORE_PREFIX = "/oauth/token", "/archive/"
"""Where the token endpoint and the object store answer; all other paths belong to the API."""

_TOKEN_ERRORS = {400: ("rate limit exceeded", "rate limit exceeded"), 401: ("invalid_client", "client not found")}


@dataclass
class Fault:
    """``times`` answers with ``status`` to whatever begins with ``path_prefix``."""

    path_prefix: str
    status: int
    times: int
    headers: Mapping[str, str]
    body: Any


class Script:
    """The faults that are still to come, in the order they were asked for."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Let ``fault`` happen when those before it have."""
        with self._lock:
            self._faults.append(fault)

    def next(self, path: str) -> Response | None:
        """Return the failure that is due for ``path``; None if none is."""
        with self._lock:
            fault = next((fault for fault in self._faults if path.startswith(fault.path_prefix)), None)
            if fault is None:
                return None
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
        return _failure(path, fault)


def _failure(path: str, fault: Fault) -> Response:
    if fault.body is None:
        response = _usual_failure(path, fault.status)
    elif isinstance(fault.body, bytes):
        response = Response(fault.status, {}, fault.body)
    else:
        response = json_response(fault.status, fault.body)
    response.headers |= fault.headers
    return response


def _usual_failure(path: str, status: int) -> Response:
    """Return what the service behind ``path`` says with ``status``."""
    if path == TOKEN_PATH:
        return oauth_error(status, *_TOKEN_ERRORS.get(status, ("server_error", "internal error")))
    if path.startswith(STORE_PREFIX):
        return s3_error(status, "Scripted by the test.")
    if status == HTTPStatus.FORBIDDEN:
        return json_response(status, missing_permissions("recording:recording:view"))
    return api_error(status, "Scripted by the test.")
