"""OAuth tokens: requested from the token endpoint, kept, and renewed before they expire.

A process has one :class:`TokenSource` per OAuth client (:mod:`.shared`). While clients use it, a thread keeps its
token fresh (:mod:`.token_refresh`).
"""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http.circuit import Circuit
from airflow_provider_genesys.cloud.http.errors import is_foreign, make_error, read_refusal
from airflow_provider_genesys.cloud.http.shapes import decode
from airflow_provider_genesys.cloud.http.transport import fetch, open_http, unreachable
from airflow_provider_genesys.exceptions import (
    AuthenticationError,
    CloudError,
    CloudUnavailableError,
    ForeignAnswerError,
    GenesysError,
)
from airflow_provider_genesys.limits import LONGEST_ERROR, LONGEST_TOKEN
from airflow_provider_genesys.outside import shown

log = logging.getLogger(__name__)

SHORTEST_LIFETIME = 300.0
"""Seconds: the shortest lifetime that Genesys lets an administrator set. Assumed if the response does not say."""
LONGEST_LIFETIME = 172_800.0
"""Seconds: the longest lifetime. Only clients with SCIM rights alone may have longer ones."""
EARLY_RETRY = 15.0
"""Seconds between attempts to renew a token that is still valid, unless the endpoint asks for a longer wait."""
REFUSED_RETRY = 300.0
"""The same, if the last attempt failed with an error that a person has to correct."""


@dataclass(frozen=True)
class Grant:
    """A token and its lifetime in seconds."""

    token: str = field(repr=False)
    lifetime: float


@dataclass(frozen=True)
class _HeldToken:
    token: str = field(repr=False)
    renew_from: float
    """When the refresh thread starts to renew it (monotonic seconds, as the two below)."""
    overdue_from: float
    """When any caller that asks for a token renews it: the refresh thread has failed to, or does not run."""
    expires: float

    @classmethod
    def of(cls, grant: Grant, asked: float) -> _HeldToken:
        """Return what to hold of a grant. Its lifetime counts from ``asked``, when the request was sent."""
        margin = min(max(60.0, grant.lifetime / 10), grant.lifetime / 2)
        expires = asked + grant.lifetime
        return cls(grant.token, expires - margin, expires - margin / 2, expires)

    def later(self, now: float, delay: float) -> _HeldToken:
        """Return a copy to renew later: by the refresh thread in ``delay`` seconds, by callers in twice that."""
        return replace(self, renew_from=now + delay, overdue_from=max(self.overdue_from, now + 2 * delay))


class TokenSource:
    """Gives out tokens. Thread-safe: one thread asks Genesys, and the threads without a token wait for it.

    :param ask: gets a new token from Genesys.
    :param clock: monotonic seconds, so that a change of the wall clock does not change when a token expires.
    """

    def __init__(self, ask: Callable[[], Grant], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._circuit = Circuit(clock)
        self._asking = threading.Lock()
        self._held: _HeldToken | None = None
        self._last_use = clock()

    def token(self) -> str:
        """Return a valid token. If it expires soon, renew it first.

        :raises AuthenticationError: client id, secret or region are wrong.
        :raises CircuitOpenError: there is no token, and the endpoint has failed too often to ask it now.
        :raises CloudUnavailableError: there is no token, and the endpoint gives none.
        """
        held, now = self._held, self._clock()
        self._last_use = now
        if held is None or now >= held.expires:
            return self._replace(held.token if held else None)
        if now >= held.overdue_from and self._asking.acquire(blocking=False):
            try:
                return self._renew_early(held)
            finally:
                self._asking.release()
        return held.token

    def renew(self, stale: str) -> str:
        """Return a new token in place of ``stale``, which the API has refused. Raises as :meth:`token` does."""
        return self._replace(stale)

    def refresh(self) -> None:
        """Renew the token if it is time. A failure is only logged; :meth:`due_in` says when to try again."""
        with self._asking:
            held = self._held
            if held and self._clock() >= held.renew_from:
                self._renew_early(held)

    def due_in(self) -> float:
        """Return the seconds until :meth:`refresh` has something to do: 0 means now, infinity means no token."""
        held = self._held
        return max(0.0, held.renew_from - self._clock()) if held else math.inf

    def idle(self) -> float:
        """Return the seconds since the last request for a token."""
        return self._clock() - self._last_use

    def _replace(self, stale: str | None) -> str:
        with self._asking:
            # Another thread may have renewed the token while this one waited for the lock.
            held = self._held
            return held.token if held and held.token != stale else self._new().token

    def _renew_early(self, held: _HeldToken) -> str:
        if self._held and self._held is not held:  # another thread has renewed it
            return self._held.token
        try:
            return self._new().token
        except Exception as error:  # noqa: BLE001 -- must not end the thread; a caller without a token gets it
            self._put_off(held, error)
            return held.token

    def _put_off(self, held: _HeldToken, error: Exception) -> None:
        now = self._clock()
        delay = max(_delay(error), self._circuit.wait())
        self._held = held.later(now, delay)
        log.warning(
            "The token could not be renewed. The present one is valid for another %.0f s; the next attempt is in "
            "%.0f s. %s",
            max(0.0, held.expires - now),
            delay,
            # Our own errors hold no secret. Others might, so only their class is logged.
            error if isinstance(error, GenesysError) else type(error).__name__,
        )

    def _new(self) -> _HeldToken:
        self._circuit.check()
        asked = self._clock()
        try:
            grant = self._ask()
        except CloudUnavailableError as error:
            self._circuit.failed(error)
            raise
        self._circuit.succeeded()
        self._held = _HeldToken.of(grant, asked)
        return self._held


def _delay(error: Exception) -> float:
    if isinstance(error, CloudUnavailableError):
        return max(EARLY_RETRY, error.retry_after or 0.0)
    return REFUSED_RETRY


def request_token(config: CloudConfig) -> Grant:
    """Ask the token endpoint once, with the client credentials grant.

    :raises AuthenticationError: it refuses the client.
    :raises CloudUnavailableError: no response, 429 (which this endpoint sends as 400), 5xx, or no token in it.
    """
    url = f"{config.login_url}/oauth/token"
    try:
        with open_http(config) as http:
            response = fetch(
                http,
                "POST",
                url,
                longest=LONGEST_ERROR,
                auth=(config.client_id, config.client_secret),
                data={"grant_type": "client_credentials"},
            )
    except httpx.RequestError as error:
        raise unreachable(f"POST {url}", error, config) from error
    if response.status_code != httpx.codes.OK:
        raise _refused(response, url)
    return _read_grant(response, url)


def _refused(response: httpx.Response, url: str) -> CloudError:
    refusal = read_refusal(response)
    throttled = "rate limit" in f"{refusal.code} {refusal.message}".lower()
    if throttled or refusal.status in {408, 425, 429} or refusal.status >= httpx.codes.INTERNAL_SERVER_ERROR:
        status = httpx.codes.TOO_MANY_REQUESTS if throttled else refusal.status
        return make_error(
            CloudUnavailableError, replace(refusal, status=int(status)), f"POST {url}", "There is no token now."
        )
    if is_foreign(response):
        return make_error(ForeignAnswerError, refusal, f"POST {url}", _NOT_GENESYS)
    return make_error(
        AuthenticationError,
        refusal,
        f"POST {url}",
        "Check the connection's OAuth client id (login), client secret (password) AND region: a client exists in its "
        "own region only. Its grant type must be Client Credentials.",
    )


_NOT_GENESYS = (
    "Something other than Genesys may be answering: check the connection's region or login_url, and whether a proxy "
    "(HTTPS_PROXY on the worker), a gateway or a captive portal is in between. The task's retries try again."
)
_TOKEN = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_TOKEN}}}")


def _read_grant(response: httpx.Response, url: str) -> Grant:
    try:
        body = decode(response.content)
        token = body["access_token"]
    except (ValueError, RecursionError, KeyError, TypeError):
        token = None
    # Visible ASCII only: it goes into a header.
    if not isinstance(token, str) or not _TOKEN.fullmatch(token[: LONGEST_TOKEN + 1]):
        raise ForeignAnswerError(
            f"POST {url} was answered {response.status_code} without a token ({len(response.content)} bytes of "
            f"{shown(response.headers.get('Content-Type', 'no content type'), 80)}). {_NOT_GENESYS}",
            status=response.status_code,
        )
    return Grant(token, _lifetime(body.get("expires_in")))


def _lifetime(expires_in: Any) -> float:
    try:
        seconds = math.nan if isinstance(expires_in, bool) else float(expires_in)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    return min(seconds, LONGEST_LIFETIME) if seconds > 0 else SHORTEST_LIFETIME
