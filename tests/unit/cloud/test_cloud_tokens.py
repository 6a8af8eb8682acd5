from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fake_clock import Clock
from scripted_server import TOKEN_PATH, Reply, ScriptedServer

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http.tokens import Grant, TokenSource, request_token
from airflow_provider_genesys.exceptions import (
    AuthenticationError,
    CircuitOpenError,
    CloudUnavailableError,
    ForeignAnswerError,
)

ASK = f"POST {TOKEN_PATH}"


class Endpoint:
    """Gives token 1, 2, 3..., or raises what the test put into ``broken``."""

    def __init__(self, lifetime: float = 1000.0) -> None:
        self.lifetime = lifetime
        self.asked = 0
        self.broken: Exception | None = None

    def __call__(self) -> Grant:
        self.asked += 1
        if self.broken:
            raise self.broken
        return Grant(f"token {self.asked}", self.lifetime)


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def source(endpoint: Endpoint, clock: Clock) -> TokenSource:
    return TokenSource(endpoint, clock=clock)


def down() -> CloudUnavailableError:
    return CloudUnavailableError("down", status=503)


def test_a_token_is_kept_until_very_little_of_its_life_remains(
    source: TokenSource, endpoint: Endpoint, clock: Clock
) -> None:
    assert source.token() == "token 1"
    clock.now += 949.0  # a twentieth of 1000 s remains from 950 on
    assert source.token() == "token 1"
    clock.now += 1.0
    assert source.token() == "token 2"
    assert endpoint.asked == 2


@pytest.mark.parametrize(("lifetime", "renewed_after"), [(86_400.0, 82_080.0), (300.0, 270.0), (40.0, 30.0)])
def test_who_asks_renews_in_the_second_half_of_the_margin(
    endpoint: Endpoint, clock: Clock, lifetime: float, renewed_after: float
) -> None:
    endpoint.lifetime = lifetime
    source = TokenSource(endpoint, clock=clock)
    source.token()
    clock.now += renewed_after - 0.1
    source.token()
    assert endpoint.asked == 1
    clock.now += 0.2
    source.token()
    assert endpoint.asked == 2


@pytest.mark.parametrize(("lifetime", "refreshed_after"), [(86_400.0, 77_760.0), (300.0, 240.0), (40.0, 20.0)])
def test_a_refresh_comes_in_the_last_tenth_or_minute_but_not_in_the_first_half(
    endpoint: Endpoint, clock: Clock, lifetime: float, refreshed_after: float
) -> None:
    endpoint.lifetime = lifetime
    source = TokenSource(endpoint, clock=clock)
    source.token()
    assert source.due_in() == pytest.approx(refreshed_after)
    clock.now += refreshed_after - 0.1
    source.refresh()
    assert endpoint.asked == 1
    clock.now += 0.2
    assert source.due_in() == 0.0
    source.refresh()
    assert endpoint.asked == 2
    assert source.due_in() == pytest.approx(refreshed_after)


def test_a_source_without_a_token_has_nothing_to_refresh(source: TokenSource, endpoint: Endpoint) -> None:
    assert source.due_in() == float("inf")
    source.refresh()
    assert endpoint.asked == 0


def test_a_token_that_still_lives_serves_while_the_endpoint_is_down(
    source: TokenSource, endpoint: Endpoint, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.lifetime = 2000.0
    source.token()
    endpoint.broken = down()
    clock.now += 1900.0
    with caplog.at_level(logging.WARNING):
        assert [source.token() for _ in range(20)] == ["token 1"] * 20
    assert endpoint.asked == 2, "the endpoint is not asked again with every request"
    assert "is valid for another 100 s; the next attempt is in 15 s. down" in caplog.text
    clock.now += 31.0
    assert source.token() == "token 1"
    assert endpoint.asked == 3
    endpoint.broken = None
    clock.now += 31.0
    assert source.token() == "token 4"


def test_a_token_that_still_lives_serves_even_when_the_secret_was_rotated(
    source: TokenSource, endpoint: Endpoint, clock: Clock
) -> None:
    source.token()
    endpoint.broken = AuthenticationError("wrong secret")
    clock.now += 950.0
    assert source.token() == "token 1"
    clock.now += 50.0
    with pytest.raises(AuthenticationError):
        source.token()


def test_who_comes_late_to_an_early_renewal_takes_the_new_token(
    source: TokenSource, endpoint: Endpoint, clock: Clock
) -> None:
    source.token()
    seen = source._held
    clock.now += 950.0
    source.token()
    assert seen is not None
    assert source._renew_early(seen) == "token 2"
    assert endpoint.asked == 2


@pytest.mark.outcome("tokens", "the clock leaps ahead", "recovers")
@pytest.mark.outcome("tokens", "the clock falls back", "recovers")
@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_wall_clock_that_jumps_changes_nothing(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    source = TokenSource(endpoint)
    source.token()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + jump)
    assert source.token() == "token 1"


def test_a_dead_token_is_never_given_out(source: TokenSource, endpoint: Endpoint, clock: Clock) -> None:
    source.token()
    clock.now += 1000.0
    endpoint.broken = down()
    with pytest.raises(CloudUnavailableError):
        source.token()


def test_a_refused_token_is_replaced_once(source: TokenSource, endpoint: Endpoint) -> None:
    stale = source.token()
    assert source.renew(stale) == "token 2"
    assert source.renew(stale) == "token 2", "somebody renewed it already"
    assert source.token() == "token 2"
    assert endpoint.asked == 2


def test_a_failed_early_renewal_does_not_pass_for_a_new_token(
    source: TokenSource, endpoint: Endpoint, clock: Clock
) -> None:
    stale = source.token()
    clock.now += 950.0
    endpoint.broken = down()
    source.token()
    endpoint.broken = None
    assert source.renew(stale) == "token 3"


def together(count: int, work: Callable[[], Any]) -> list[Any]:
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return results


def test_many_threads_ask_once() -> None:
    entered, go_on = threading.Event(), threading.Event()
    asked = []

    def slow_endpoint() -> Grant:
        asked.append(1)
        entered.set()
        assert go_on.wait(10)
        return Grant("the token", 1000.0)

    source = TokenSource(slow_endpoint)
    threading.Thread(target=lambda: (entered.wait(10), go_on.set())).start()
    assert together(8, source.token) == ["the token"] * 8
    assert len(asked) == 1


def test_two_threads_whose_token_was_refused_ask_once() -> None:
    endpoint = Endpoint()
    source = TokenSource(endpoint)
    stale = source.token()
    assert together(8, lambda: source.renew(stale)) == ["token 2"] * 8
    assert endpoint.asked == 2


def test_nobody_waits_for_an_early_renewal(clock: Clock) -> None:
    entered, go_on = threading.Event(), threading.Event()
    tokens = iter(["old", "new"])

    def endpoint() -> Grant:
        token = next(tokens)
        if token == "new":  # noqa: S105 -- not a secret
            entered.set()
            assert go_on.wait(10)
        return Grant(token, 1000.0)

    source = TokenSource(endpoint, clock=clock)
    source.token()
    clock.now += 950.0
    renewed: list[str] = []
    renewer = threading.Thread(target=lambda: renewed.append(source.token()))
    renewer.start()
    assert entered.wait(10)
    assert source.token() == "old"
    go_on.set()
    renewer.join(10)
    assert renewed == ["new"]


def test_after_five_failures_the_endpoint_is_left_alone_for_a_while(
    source: TokenSource, endpoint: Endpoint, clock: Clock
) -> None:
    endpoint.broken = down()
    for _ in range(5):
        with pytest.raises(CloudUnavailableError, match="down"):
            source.token()
    with pytest.raises(
        CircuitOpenError,
        match=r"failed 5 times in a row.*tried again in 30 s, at \d{4}-.* UTC\. The last failure: down",
    ) as caught:
        source.token()
    assert caught.value.retry_after == 30.0
    assert caught.value.retryable
    assert endpoint.asked == 5
    clock.now += 30.0
    endpoint.broken = None
    assert source.token() == "token 6"


def test_each_probe_that_fails_doubles_the_pause_up_to_ten_minutes(
    source: TokenSource, endpoint: Endpoint, clock: Clock
) -> None:
    endpoint.broken = down()
    pauses = []
    for _ in range(20):
        with pytest.raises(CloudUnavailableError) as caught:
            source.token()
        if isinstance(caught.value, CircuitOpenError):
            pauses.append(caught.value.retry_after or 0.0)
            clock.now += pauses[-1]
    assert pauses == [30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0, 600.0]


def test_one_success_closes_the_circuit(source: TokenSource, endpoint: Endpoint, clock: Clock) -> None:
    endpoint.broken = down()
    for _ in range(4):
        with pytest.raises(CloudUnavailableError):
            source.token()
    endpoint.broken = None
    source.token()
    clock.now += 1000.0
    endpoint.broken = down()
    for _ in range(4):
        with pytest.raises(CloudUnavailableError, match="down"):
            source.token()


def test_a_wrong_secret_does_not_open_the_circuit(source: TokenSource, endpoint: Endpoint) -> None:
    endpoint.broken = AuthenticationError("wrong secret")
    for _ in range(10):
        with pytest.raises(AuthenticationError):
            source.token()


# The endpoint itself, over HTTP.


def test_the_token_endpoint_is_asked_as_oauth_wants(config: CloudConfig, server: ScriptedServer) -> None:
    grant = request_token(config)
    assert grant == Grant("token-1", 86399.0)
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", TOKEN_PATH, b"grant_type=client_credentials")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"client:s3cret-of-the-client").decode()


@pytest.mark.outcome("tokens", "`expires_in` is missing, zero, negative, huge or no number", "recovers")
@pytest.mark.parametrize(
    ("expires_in", "lifetime"),
    [
        (7200, 7200.0),
        ("7200", 7200.0),
        (None, 300.0),
        ("soon", 300.0),
        ([], 300.0),
        (True, 300.0),
        (0, 300.0),
        (-5, 300.0),
        (float("nan"), 300.0),
        (10**12, 172_800.0),
        (10**400, 300.0),
        (float("inf"), 172_800.0),
    ],
)
def test_bad_lifetimes_are_bounded(
    config: CloudConfig, server: ScriptedServer, expires_in: Any, lifetime: float
) -> None:
    server.on(ASK, Reply(body={"access_token": "t", "expires_in": expires_in}))
    assert request_token(config).lifetime == lifetime


@pytest.mark.outcome("tokens", "`expires_in` is missing, zero, negative, huge or no number", "recovers")
def test_a_missing_lifetime_is_the_shortest(config: CloudConfig, server: ScriptedServer) -> None:
    server.on(ASK, Reply(body={"access_token": "t"}))
    assert request_token(config).lifetime == 300.0


@pytest.mark.outcome("tokens", "a wrong client, secret or region", "AuthenticationError")
@pytest.mark.parametrize(
    "reply",
    [
        Reply(401, {"error": "invalid_client", "description": "client not found", "error_description": "not found"}),
        Reply(400, {"error": "unauthorized_client", "error_description": "grant type not allowed"}),
        Reply(404, {"message": "no such path"}),
    ],
)
def test_a_refused_client_is_told_what_to_check(config: CloudConfig, server: ScriptedServer, reply: Reply) -> None:
    server.on(ASK, reply)
    with pytest.raises(AuthenticationError, match=r"client id \(login\).*secret \(password\) AND region") as caught:
        request_token(config)
    message = str(caught.value)
    assert caught.value.status == reply.status
    assert f"{server.url}{TOKEN_PATH}" in message
    assert config.client_secret not in message


@pytest.mark.outcome("tokens", "a page or a redirect in place of a token", "ForeignAnswerError")
@pytest.mark.parametrize(
    "reply",
    [
        Reply(403, b"<html>no such page</html>", {"Content-Type": "text/html"}),
        Reply(302, b"", {"Location": "https://sso.example.com/login?session=abc"}),
        Reply(299, b"", {"Location": "https://sso.example.com/login?session=abc"}),
        Reply(418, {"message": "teapot"}),
    ],
)
def test_what_is_not_of_genesys_does_not_blame_the_client(
    config: CloudConfig, server: ScriptedServer, reply: Reply
) -> None:
    server.on(ASK, reply)
    with pytest.raises(ForeignAnswerError, match=r"region or login_url, and whether a proxy") as caught:
        request_token(config)
    message = str(caught.value)
    assert f"{server.url}{TOKEN_PATH}" in message
    assert "<html>" not in message
    assert "session=abc" not in message


@pytest.mark.outcome(
    "tokens", '400 "rate limit exceeded" from the token endpoint, without a token', "CloudUnavailableError"
)
@pytest.mark.parametrize(
    "body", [{"error": "rate limit exceeded"}, {"error": "x", "description": "Rate limit exceeded the maximum"}]
)
def test_the_endpoints_400_for_too_many_requests_counts_as_429(
    config: CloudConfig, server: ScriptedServer, body: dict[str, str]
) -> None:
    server.on(ASK, Reply(400, body, {"Retry-After": "7"}))
    with pytest.raises(CloudUnavailableError) as caught:
        request_token(config)
    assert (caught.value.status, caught.value.retry_after) == (429, 7.0)


@pytest.mark.outcome(
    "tokens", "408, 429 or 5xx with an HTML page from the token endpoint, without a token", "CloudUnavailableError"
)
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_weak_endpoint_is_unavailable(config: CloudConfig, server: ScriptedServer, status: int) -> None:
    server.on(ASK, Reply(status, b"<html>" + b"x" * 5000, {"Content-Type": "text/html"}))
    with pytest.raises(CloudUnavailableError) as caught:
        request_token(config)
    assert caught.value.status == status
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "body",
    [b"<html>hotel wifi</html>", b"[]", b"{}", {"access_token": 5}, {"access_token": "a b"}, {"access_token": ""}],
)
def test_an_answer_without_a_token_is_no_token(config: CloudConfig, server: ScriptedServer, body: Any) -> None:
    server.on(ASK, Reply(200, body))
    with pytest.raises(CloudUnavailableError, match=r"without a token.*login_url"):
        request_token(config)


def test_an_endpoint_that_hangs_up_is_unavailable(config: CloudConfig, server: ScriptedServer) -> None:
    server.on(ASK, Reply(cut=True))
    with pytest.raises(CloudUnavailableError, match="got no answer"):
        request_token(config)


def test_tokens_show_in_no_representation(source: TokenSource) -> None:
    source.token()
    assert "token 1" not in repr([Grant("token 1", 1.0), source._held])
