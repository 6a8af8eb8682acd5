"""OAuth tokens: had from the token endpoint, kept, and renewed before they die.

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
from airflow_provider_genesys.cloud.http.errors import make_error, read_refusal
from airflow_provider_genesys.cloud.http.transport import fetch, open_http, unreachable
from airflow_provider_genesys.exceptions import AuthenticationError, CloudError, CloudUnavailableError, GenesysError

log = logging.getLogger(__name__)

SHORTEST_LIFETIME = 300.0
"""Seconds: the shortest that Genesys can be set to; assumed where the answer does not say."""
LONGEST_LIFETIME = 172_800.0
"""Seconds: the longest, but for clients that may only use SCIM."""
EARLY_RETRY = 15.0
"""Seconds between attempts to renew a token that still serves, unless the endpoint asks for more."""
REFUSED_RETRY = 300.0
"""The same, where the last attempt failed in a way that does not heal by itself."""


@dataclass(frozen=True)
class Grant:
    """A token and for how many seconds it is good."""

    token: str = field(repr=False)
    lifetime: float


@dataclass(frozen=True)
class _HeldToken:
    token: str = field(repr=False)
    renew_from: float
    """From when the refresher renews it."""
    overdue_from: float
    """From when anyone who asks for a token renews it: the refresher has not managed to, or there is none."""
    expires: float

    @classmethod
    def of(cls, grant: Grant, asked: float) -> _HeldToken:
        """Return what to hold of a grant, whose life is counted from when it was asked for."""
        margin = min(max(60.0, grant.lifetime / 10), grant.lifetime / 2)
        expires = asked + grant.lifetime
        return cls(grant.token, expires - margin, expires - margin / 2, expires)

    def later(self, now: float, delay: float) -> _HeldToken:
        """Return the same with the next early renewal ``delay`` seconds from now, the refresher's before others'."""
        return replace(self, renew_from=now + delay, overdue_from=max(self.overdue_from, now + 2 * delay))


class TokenSource:
    """Gives out tokens. Thread-safe; one thread asks Genesys while those that have no token wait for it.

    :param ask: gets a new token from Genesys.
    :param clock: monotonic seconds, so that a corrected wall clock neither kills a token nor keeps a dead one.
    """

    def __init__(
        self, ask: Callable[[], Grant], *, clock: Callable[[], float] = time.monotonic, circuit: Circuit | None = None
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._circuit = circuit or Circuit("Genesys Cloud's token endpoint", clock=clock)
        self._asking = threading.Lock()
        self._held: _HeldToken | None = None
        self._last_use = clock()

    def token(self) -> str:
        """Return a token that is still good, renewing it first when very little of its life remains.

        :raises AuthenticationError: client id, secret or region are wrong.
        :raises CircuitOpenError: there is no token, and the endpoint failed too often to be asked now.
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
        """Return another token than ``stale``, which the API has refused. Raises as :meth:`token` does."""
        return self._replace(stale)

    def refresh(self) -> None:
        """Renew the token if it is time. A failure is logged, and when to try again is in :meth:`due_in`."""
        with self._asking:
            held = self._held
            if held and self._clock() >= held.renew_from:
                self._renew_early(held)

    def due_in(self) -> float:
        """Return the seconds until :meth:`refresh` has something to do: 0 for now, infinity without a token."""
        held = self._held
        return max(0.0, held.renew_from - self._clock()) if held else math.inf

    def idle(self) -> float:
        """Return the seconds since somebody asked for a token."""
        return self._clock() - self._last_use

    def _replace(self, stale: str | None) -> str:
        with self._asking:
            # While we waited for the lock, its holder may have done our work.
            held = self._held
            return held.token if held and held.token != stale else self._new().token

    def _renew_early(self, held: _HeldToken) -> str:
        if self._held and self._held is not held:  # anyone who held the lock before us did it
            return self._held.token
        try:
            return self._new().token
        except Exception as error:  # noqa: BLE001 -- a thread may end by none; who finds no token meets it in clear
            self._put_off(held, error)
            return held.token

    def _put_off(self, held: _HeldToken, error: Exception) -> None:
        now = self._clock()
        delay = max(_delay(error), self._circuit.wait())
        self._held = held.later(now, delay)
        log.warning(
            "The token could not be renewed. The one at hand is good for another %.0f s; the next attempt is in "
            "%.0f s. %s",
            max(0.0, held.expires - now),
            delay,
            # Our own errors hold no secret; of others only the class is known to be harmless.
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
    """Ask the token endpoint, once, with the client credentials grant.

    :raises AuthenticationError: it refuses the client.
    :raises CloudUnavailableError: no answer, 429 (which this endpoint sends as 400), 5xx, or not a token.
    """
    url = f"{config.login_url}/oauth/token"
    try:
        with open_http(config) as http:
            response = fetch(
                http,
                "POST",
                url,
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
            CloudUnavailableError, replace(refusal, status=int(status)), f"POST {url}", "No token can be had now."
        )
    return make_error(
        AuthenticationError,
        refusal,
        f"POST {url}",
        "Check the connection's OAuth client id (login), client secret (password) AND region: a client exists in its "
        "own region only. Its grant type must be Client Credentials.",
    )


def _read_grant(response: httpx.Response, url: str) -> Grant:
    try:
        body = response.json()
        token = body["access_token"]
    except (ValueError, RecursionError, KeyError, TypeError):
        token = None
    # Visible ASCII only: it goes into a header.
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise CloudUnavailableError(
            f"POST {url} was answered {response.status_code} without a token ({len(response.content)} bytes of "
            f"{response.headers.get('Content-Type', 'no content type')}). Something other than Genesys may be "
            "answering: check the connection's region or login_url, and the proxy.",
            status=response.status_code,
        )
    return Grant(token, _lifetime(body.get("expires_in")))


def _lifetime(expires_in: Any) -> float:
    try:
        seconds = math.nan if isinstance(expires_in, bool) else float(expires_in)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    return min(seconds, LONGEST_LIFETIME) if seconds > 0 else SHORTEST_LIFETIME
