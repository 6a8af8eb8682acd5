"""Requests to the Genesys Cloud API: paced, retried where that is safe, with errors that say what to do."""

from __future__ import annotations

import logging
import os
import weakref
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

import httpx
import tenacity

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http.errors import error_from
from airflow_provider_genesys.cloud.http.no_answer import is_error
from airflow_provider_genesys.cloud.http.shapes import decode
from airflow_provider_genesys.cloud.http.shared import Pool, forget, pool, refresher, shared
from airflow_provider_genesys.cloud.http.token_refresh import Refresher
from airflow_provider_genesys.cloud.http.transport import NOT_SENT, fetch, unreachable
from airflow_provider_genesys.cloud.presigned import signatures
from airflow_provider_genesys.exceptions import (
    CircuitOpenError,
    CloudError,
    CloudUnavailableError,
    ConfigurationError,
    ForeignAnswerError,
)
from airflow_provider_genesys.limits import LONGEST_PAGE
from airflow_provider_genesys.outside import shown

log = logging.getLogger(__name__)
REPEATABLE = frozenset({"GET", "HEAD", "DELETE"})
_REFUSED = frozenset(range(300, 500)) - {408}
"""Status codes after which nothing was done, whatever answered."""
ATTEMPTS = 6
T = TypeVar("T")

PATIENCE = 120.0
"""Seconds. After this time, no further attempt starts."""


@dataclass
class _Call:
    method: str
    path: str
    options: dict[str, Any]
    reads: bool
    """Whether it may be sent twice although Genesys acts each time."""
    maybe_done: bool = False
    """Whether Genesys may have acted on the last attempt although no response says so."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class CloudClient:
    """A client of one Genesys Cloud organisation. Thread-safe. After :meth:`close`, the next use opens it again.

    :param config: what the connection says.
    :param on_secret: called with each token and URL signature as soon as it is known, so that logs can mask it.
    :param patience: seconds during which a request is retried. If Genesys asks for a longer wait, the error is raised
        at once, with ``retry_after``.
    """

    def __init__(
        self,
        config: CloudConfig,
        *,
        on_secret: Callable[[str], None] = lambda _secret: None,
        patience: float = PATIENCE,
    ) -> None:
        self.config = config
        self._on_secret = on_secret
        self._patience = patience
        self._begin()
        _clients.add(self)

    def _begin(self) -> None:
        self._shared = shared(self.config)
        self._pool: Pool | None = pool(self.config)
        self._refresher: Refresher | None = None
        self._token = ""

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str | int | bool] | None = None,
        reads: bool = False,
        is_answer: Callable[[Any], object] = lambda _: True,
    ) -> Any:
        """Send a request and return the response's decoded JSON; None if the response has no body.

        GET, HEAD and DELETE are repeated after 408, 429, 5xx, lost connections, and responses that are none of
        Genesys'. Another method is repeated only if Genesys cannot have acted: no connection could be opened, there
        was no token, the response is 429, or something else than Genesys refused it.

        :param path: below the API's base URL; begins with ``/``.
        :param reads: the method changes nothing, or nothing that matters, so it is repeated like GET.
        :param is_answer: whether the JSON can be the answer; if not, the response is none of Genesys'.
        :raises CloudError: the subclass that fits the response; see :mod:`airflow_provider_genesys.exceptions`.
        """
        method = method.upper()
        call = _Call(method, path, {"json": json, "params": params}, reads or method in REPEATABLE)
        return self._repeated(call, lambda response: self._decoded(call, response, is_answer))

    def decode(
        self, path: str, read: Callable[[bytes], T], *, params: Mapping[str, str | int | bool] | None = None
    ) -> T:
        """GET a response and return what ``read`` makes of its bytes; repeat it if that raises a temporary error."""
        return self._repeated(
            _Call("GET", path, {"params": params, "longest": LONGEST_PAGE}, reads=True),
            lambda response: read(response.content.removeprefix(BOM_UTF8)),
        )

    def token(self) -> str:
        """Return a valid token. From now until :meth:`close`, a thread renews it in the background.

        :raises AuthenticationError: client id, secret or region are wrong.
        :raises CloudUnavailableError: there is no token, and the token endpoint gives none.
        """
        tokens = self._refresher or self._started()
        return self._noted(tokens.token())

    def note_url(self, url: str) -> None:
        """Give the signature in a presigned URL to ``on_secret``."""
        for secret in signatures(url):
            self._on_secret(secret)

    def close(self) -> None:
        """Give up this client's share of connections and refresh thread. The process's last client ends both.

        The token stays for the next client.
        """
        self._pool = self._refresher = None

    def __enter__(self) -> CloudClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _retrying(self, call: _Call) -> tenacity.Retrying:
        def again(error: BaseException) -> bool:
            temporary = isinstance(error, CloudUnavailableError) and not isinstance(error, CircuitOpenError)
            foreign = isinstance(error, CloudError) and error.foreign
            return (temporary or foreign) and (call.reads or not call.maybe_done)

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(again),
            wait=_wait,
            stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_before_delay(self._patience),
            before_sleep=_warn,
            reraise=True,
        )

    def _repeated(self, call: _Call, read: Callable[[httpx.Response], T]) -> T:
        if not call.path.startswith("/"):
            raise ConfigurationError(f"The API path must begin with '/': {call.path!r}.")
        return self._retrying(call)(lambda: read(self._attempt(call)))

    def _attempt(self, call: _Call) -> httpx.Response:
        self._shared.pacer.acquire(self._patience)
        token = self.token()
        response = self._send(call, token)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            response = self._send(call, self._noted(self._shared.tokens.renew(token)))
        self._check(call, response)
        return response

    def _noted(self, token: str) -> str:
        if token != self._token:
            self._on_secret(token)
            self._token = token
        return token

    def _send(self, call: _Call, token: str) -> httpx.Response:
        url = f"{self.config.api_url}{call.path}"
        connections = self._pool or self._reopened()
        headers = {"Authorization": f"Bearer {token}"}
        try:
            response = fetch(connections.http, call.method, url, headers=headers, **call.options)
        except httpx.RequestError as error:
            call.maybe_done = not isinstance(error, NOT_SENT)
            raise unreachable(f"{call.method} {url}", error, self.config) from error
        call.maybe_done = response.status_code not in _REFUSED
        self._shared.pacer.observe(response.headers)
        return response

    def _started(self) -> Refresher:
        self._refresher = refresher(self._shared.tokens)
        return self._refresher

    def _reopened(self) -> Pool:
        self._pool = pool(self.config)
        return self._pool

    def _check(self, call: _Call, response: httpx.Response) -> None:
        if not response.is_success:
            error = error_from(response, str(call))
            if response.status_code == httpx.codes.TOO_MANY_REQUESTS and isinstance(error, CloudUnavailableError):
                self._shared.pacer.pause(error.retry_after or 0.0)
            raise error

    def _decoded(self, call: _Call, response: httpx.Response, is_answer: Callable[[Any], object]) -> Any:
        try:
            answer = decode(response.content) if response.content.removeprefix(BOM_UTF8).strip() else None
        except (ValueError, RecursionError):
            raise ForeignAnswerError(
                f"{call} was answered {response.status_code} with {len(response.content)} bytes of "
                f"{shown(response.headers.get('Content-Type', 'no content type'), 80)} instead of JSON. If this "
                f"happens again, check the connection's host ({self.config.api_url}) and the proxy.",
                status=response.status_code,
            ) from None
        if is_error(answer) or not is_answer(answer):
            what = "an error" if is_error(answer) else "something else than was asked for"
            raise ForeignAnswerError(
                f"{call} was answered {response.status_code} with {what}: {shown(response.content) or 'nothing'}. If "
                f"this happens again, check whether a proxy answers in place of Genesys ({self.config.api_url}).",
                status=response.status_code,
            )
        return answer


_clients: weakref.WeakSet[CloudClient] = weakref.WeakSet()


def _forked() -> None:
    forget()
    for client in list(_clients):
        client._begin()  # noqa: SLF001 -- its own module


os.register_at_fork(after_in_child=_forked)

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 30.0


def _warn(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0
    log.warning("%s Attempt %s of %s follows in %.1f s.", error, state.attempt_number + 1, ATTEMPTS, wait)


def _backoff(state: tenacity.RetryCallState) -> float:
    return tenacity.wait_random_exponential(_FIRST_WAIT, max=_LONGEST_WAIT)(state)


def _wait(state: tenacity.RetryCallState) -> float:
    """Return the seconds that Genesys asks for, else an exponential backoff with full jitter."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, CloudUnavailableError) else None
    return _backoff(state) if asked is None else asked
