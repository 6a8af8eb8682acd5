"""The life of tokens in long runs: refreshed in the background, on a clock that the tests move."""

from __future__ import annotations

import gc
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from fake_clock import Clock
from forking import Forked
from scripted_server import TOKEN_PATH, Received, Reply, ScriptedServer

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http import shared as shared_module
from airflow_provider_genesys.cloud.http import token_refresh
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.cloud.http.token_refresh import Refresher
from airflow_provider_genesys.cloud.http.tokens import Grant, TokenSource, request_token
from airflow_provider_genesys.exceptions import AuthenticationError, CircuitOpenError, CloudUnavailableError

ASK = f"POST {TOKEN_PATH}"
PATH = "/api/v2/thing"
GET = f"GET {PATH}"
HALF_HOUR = 1800.0
DOWN = Reply(503, {"message": "down"})

forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == token_refresh.THREAD]


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.0005)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the refresher see at once that a test moved the clock, and leave no thread to the next test.

    Threads of other tests' hooks have another name; they end when those are collected as garbage.
    """
    monkeypatch.setattr(token_refresh, "LOOK", 0.001)
    monkeypatch.setattr(token_refresh, "THREAD", __name__)
    yield
    if threads():
        gc.collect()
    until(lambda: not threads())


class Organisation(ScriptedServer):
    """Refuses tokens that are dead by the test's clock, and all while ``refusing``; gives none while ``broken``."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.expires_in: Any = HALF_HOUR
        self.lifetime = HALF_HOUR
        self.broken: Reply | None = None
        self.refusing = False
        self.died: dict[str, float] = {}
        super().__init__()

    def take(self, received: Received) -> Reply:
        reply = super().take(received)
        if received.path == TOKEN_PATH:
            return self.broken or self._grant(reply.body["access_token"])
        died = self.died[received.headers["Authorization"]]
        return Reply(401) if self.refusing or self.clock() >= died else reply

    def _grant(self, token: str) -> Reply:
        self.died[f"Bearer {token}"] = self.clock() + self.lifetime
        return Reply(body={"access_token": token, "expires_in": self.expires_in})


@pytest.fixture
def server(clock: Clock) -> Iterator[Organisation]:
    server = Organisation(clock)
    server.on(GET, Reply(body={"ok": True}))
    yield server
    server.close()


@pytest.fixture
def askers(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> list[str]:
    """Which threads asked for a token."""
    names: list[str] = []

    def noted(config: CloudConfig) -> Grant:
        names.append(threading.current_thread().name)
        return request_token(config)

    monkeypatch.setattr(shared_module, "request_token", noted)
    monkeypatch.setattr(shared_module, "TokenSource", partial(TokenSource, clock=clock))
    return names


@pytest.fixture
def client(askers: list[str], config: CloudConfig) -> Iterator[CloudClient]:
    with CloudClient(config, patience=0.0) as client:
        yield client


def tokens_of(client: CloudClient) -> TokenSource:
    return client._shared.tokens


def settle(source: TokenSource) -> None:
    """Let the refresher have its turn."""
    until(lambda: source.due_in() > 0)


def stream(client: CloudClient, clock: Clock, *, seconds: float, step: float = 60.0) -> int:
    """Make a request every ``step`` seconds, for ``seconds``; return how many."""
    count = int(seconds / step)
    for _ in range(count):
        assert client.request("GET", PATH) == {"ok": True}
        clock.now += step
        settle(tokens_of(client))
    return count


# Long runs.


@pytest.mark.outcome("tokens", "a load takes longer than its token lives", "recovers")
def test_a_run_of_hours_never_meets_an_expired_token(
    client: CloudClient, server: Organisation, clock: Clock, askers: list[str]
) -> None:
    count = stream(client, clock, seconds=6 * 3600)
    assert server.count(GET) == count == 360, "a 401 would have been followed by another request"
    # A token of 30 minutes is replaced after 27.
    assert server.count(ASK) == 1 + 6 * 60 // 27
    assert askers == [threading.current_thread().name] + [token_refresh.THREAD] * 13


def test_a_stream_that_needs_no_token_for_hours_finds_a_good_one(
    client: CloudClient, server: Organisation, clock: Clock
) -> None:
    client.request("GET", PATH)
    for _ in range(5 * 60):
        clock.now += 60.0
        settle(tokens_of(client))
    server.broken = DOWN
    assert client.request("GET", PATH) == {"ok": True}
    assert server.count(GET) == 2


@pytest.mark.outcome("tokens", "`expires_in` is missing, zero, negative, huge or no number", "recovers")
@pytest.mark.parametrize(
    ("expires_in", "lifetime", "renewed_after"),
    [(None, 300.0, 240.0), (-5, 300.0, 240.0), (0, 300.0, 240.0), (10**12, 172_800.0, 155_520.0)],
)
def test_a_lifetime_that_makes_no_sense_neither_kills_nor_storms(
    client: CloudClient, server: Organisation, clock: Clock, expires_in: Any, lifetime: float, renewed_after: float
) -> None:
    server.expires_in, server.lifetime = expires_in, lifetime
    count = stream(client, clock, seconds=10 * renewed_after, step=renewed_after / 8)
    assert (count, server.count(GET), server.count(ASK)) == (80, 80, 11)


def test_a_token_that_is_replaced_by_one_that_dies_sooner_is_refreshed_in_time(
    client: CloudClient, server: Organisation, clock: Clock
) -> None:
    server.expires_in = server.lifetime = 86_400.0
    client.request("GET", PATH)
    server.expires_in = server.lifetime = 300.0
    server.died.clear()
    server.died["Bearer token-1"] = clock()  # somebody revoked it
    assert client.request("GET", PATH) == {"ok": True}
    asked = server.count(GET)
    stream(client, clock, seconds=1200, step=60.0)
    assert server.count(GET) == asked + 20


# Several at once.


def test_threads_and_the_refresher_ask_once(client: CloudClient, server: Organisation, clock: Clock) -> None:
    client.request("GET", PATH)
    begin = threading.Barrier(5)
    trouble: list[Exception] = []

    def work() -> None:
        try:
            begin.wait(10)
            for _ in range(10):
                client.request("GET", PATH)
        except Exception as error:  # noqa: BLE001 -- the test's own thread tells
            trouble.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    clock.now += HALF_HOUR - 10  # due for the refresher, and overdue for everybody else
    begin.wait(10)
    for worker in workers:
        worker.join(20)
    assert trouble == []
    assert (server.count(GET), server.count(ASK)) == (41, 2)


@pytest.mark.outcome("tokens", "two workers refresh their tokens at once", "recovers")
@forks
def test_processes_that_refresh_at_once_do_not_disturb_each_other(
    client: CloudClient, server: Organisation, clock: Clock
) -> None:
    client.request("GET", PATH)
    waiting, start = os.pipe()

    def work() -> list[str]:
        clock.now += HALF_HOUR + 5  # three processes whose copies of the token die at the same moment
        os.write(start, b"12")
        return [client.token() for _ in range(3) if client.request("GET", PATH)]

    # The server goes by the clock of this process, which has to have moved when the others ask.
    children = [Forked(lambda: work() if os.read(waiting, 1) else []) for _ in range(2)]
    ours = work()
    theirs = [child.result() for child in children]
    os.close(waiting)
    os.close(start)
    found = [*theirs, ours]
    assert all(len(set(one)) == 1 for one in found)
    assert len({one[0] for one in found}) == 3, "each has a token of its own"
    assert server.count(GET) == 1 + 3 * 3, "and none was refused"


# Outages.


def test_nobody_waits_for_the_refresher() -> None:
    entered, go_on = threading.Event(), threading.Event()
    clock = Clock()

    def endpoint() -> Grant:
        if threading.current_thread().name != token_refresh.THREAD:
            return Grant("old", 1000.0)
        entered.set()
        assert go_on.wait(10)
        return Grant("new", 1000.0)

    refresher = Refresher(TokenSource(endpoint, clock=clock))
    refresher.token()
    clock.now += 901.0
    assert entered.wait(10)
    clock.now += 60.0
    assert [refresher.token() for _ in range(100)] == ["old"] * 100
    go_on.set()
    until(lambda: refresher.token() == "new")


@pytest.mark.outcome("tokens", "the token endpoint is down for less than the rest of the token's life", "recovers")
def test_an_outage_that_ends_before_the_token_does_is_not_noticed(
    client: CloudClient, server: Organisation, clock: Clock, askers: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    stream(client, clock, seconds=26 * 60)
    server.broken = DOWN
    with caplog.at_level(logging.WARNING):
        count = stream(client, clock, seconds=150, step=5.0)
    server.broken = None
    stream(client, clock, seconds=3600)
    assert server.count(GET) == 26 + count + 60
    assert set(askers[1:]) == {token_refresh.THREAD}, "no request was held up to ask a dead endpoint"
    failures = [one.getMessage() for one in caplog.records if one.name.endswith("tokens")]
    # The fifth opens the circuit; the sixth is its probe, and the seventh finds the endpoint well again.
    assert [re.findall(r"another (\d+) s; the next attempt is in (\d+) s", one) for one in failures] == [
        [(left, pause)]
        for left, pause in zip(
            ("180", "165", "150", "135", "120", "90"), ("15", "15", "15", "15", "30", "60"), strict=True
        )
    ]


@pytest.mark.outcome("tokens", "the token endpoint is down for longer", "CircuitOpenError")
def test_an_outage_that_outlives_the_token_fails_clearly_and_heals_by_itself(
    client: CloudClient, server: Organisation, clock: Clock
) -> None:
    stream(client, clock, seconds=26 * 60)
    server.broken = DOWN
    served = stream(client, clock, seconds=4 * 60, step=5.0)
    assert server.count(GET) == 26 + served
    for _ in range(720):  # an hour more
        with pytest.raises(CloudUnavailableError):
            client.request("GET", PATH)
        clock.now += 5.0
        settle(tokens_of(client))
    assert server.count(GET) == 26 + served, "a dead token is never sent"
    assert server.count(ASK) < 25, "the circuit paused for 30 s, 60 s, ... 600 s"
    with pytest.raises(CircuitOpenError) as caught:
        client.request("GET", PATH)
    assert caught.value.retry_after is not None
    server.broken = None
    asked = server.count(ASK)
    clock.now += caught.value.retry_after + 1
    until(lambda: server.count(ASK) > asked)
    settle(tokens_of(client))
    assert client.request("GET", PATH) == {"ok": True}
    assert server.count(ASK) == asked + 1, "one probe, by the refresher, closed it"


@pytest.mark.outcome(
    "tokens", '400 "rate limit exceeded" from the token endpoint, while a token still lives', "recovers"
)
def test_the_refresher_waits_as_long_as_the_endpoint_asks(
    client: CloudClient, server: Organisation, clock: Clock
) -> None:
    stream(client, clock, seconds=26 * 60)
    server.broken = Reply(400, {"error": "rate limit exceeded"}, {"Retry-After": "120"})
    stream(client, clock, seconds=170, step=10.0)
    assert server.count(ASK) == 2


@pytest.mark.outcome("tokens", "a 401 that no new token heals", "AuthenticationError")
def test_a_401_that_never_heals_fails_and_does_not_storm(
    client: CloudClient, server: Organisation, clock: Clock
) -> None:
    stream(client, clock, seconds=600)
    server.refusing = True
    for _ in range(5):
        with pytest.raises(AuthenticationError):
            client.request("GET", PATH)
    assert server.count(GET) == 10 + 5 * 2
    assert server.count(ASK) == 1 + 5
    server.refusing = False
    assert client.request("GET", PATH) == {"ok": True}


@pytest.mark.outcome("tokens", "the secret is rotated while a token still lives", "recovers")
def test_a_secret_that_is_rotated_in_the_run_tells_so_while_the_token_serves_on(
    client: CloudClient, server: Organisation, clock: Clock, config: CloudConfig, caplog: pytest.LogCaptureFixture
) -> None:
    server.expires_in = server.lifetime = 36_000.0  # due after 9 h
    stream(client, clock, seconds=32_000, step=1000.0)
    server.broken = Reply(401, {"error": "invalid_client", "error_description": f"not {config.client_secret[:3]}"})
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="httpx"):
        stream(client, clock, seconds=4000, step=50.0)
    assert "valid for another 3600 s; the next attempt is in 300 s" in caplog.text
    assert "client secret (password) AND region" in caplog.text
    for secret in (config.client_secret, "Basic ", "token-1"):
        assert secret not in caplog.text
    # From 32400 on every 300 s the refresher; in the second half of the hour nobody else had to.
    assert server.count(ASK) == 1 + 13
    with pytest.raises(AuthenticationError, match="invalid_client"):
        client.request("GET", PATH)


# Clocks.


@pytest.mark.outcome("tokens", "the clock leaps ahead", "recovers")
def test_a_clock_that_leaps_ahead_gives_no_dead_token(client: CloudClient, server: Organisation, clock: Clock) -> None:
    client.request("GET", PATH)
    for leap in (1e4, 1e6, 1e9):
        clock.now += leap
        assert client.request("GET", PATH) == {"ok": True}
    assert (server.count(GET), server.count(ASK)) == (4, 4)


@pytest.mark.outcome("tokens", "the clock falls back", "recovers")
def test_a_clock_that_falls_back_does_not_end_or_storm_anything(
    client: CloudClient, server: Organisation, clock: Clock
) -> None:
    client.request("GET", PATH)
    clock.now -= 900.0
    stream(client, clock, seconds=900)
    assert server.count(ASK) == 1
    server.died["Bearer token-1"] = clock()  # for Genesys it is old by now
    assert client.request("GET", PATH) == {"ok": True}
    assert server.count(ASK) == 2
    assert len(threads()) == 1


# The thread.


def test_the_thread_begins_with_the_first_token_and_ends_with_the_last_client(
    askers: list[str], make_config: Callable[..., CloudConfig], server: Organisation
) -> None:
    one, two = CloudClient(make_config()), CloudClient(make_config(timeout=6.0))
    assert not threads()
    one.request("GET", PATH)
    two.request("GET", PATH)
    (thread,) = threads()
    assert thread.daemon
    one.close()
    thread.join(0.02)
    assert thread.is_alive()
    two.close()
    thread.join(10)
    assert not thread.is_alive()
    assert one.request("GET", PATH) == {"ok": True}
    assert len(threads()) == 1, "a client that is used again opens again"
    assert server.count(ASK) == 1


def test_each_oauth_client_has_a_thread_of_its_own(askers: list[str], make_config: Callable[..., CloudConfig]) -> None:
    with CloudClient(make_config(client_id="1")) as one, CloudClient(make_config(client_id="2")) as two:
        one.token()
        two.token()
        assert len(threads()) == 2


def test_the_thread_ends_with_a_client_that_nobody_closed(askers: list[str], config: CloudConfig) -> None:
    client = CloudClient(config)
    client.token()
    cycle: dict[str, Any] = {"client": client}
    cycle["cycle"] = cycle
    (thread,) = threads()
    del client, cycle
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_the_thread_ends_when_nobody_asks_and_begins_again_when_somebody_does(
    client: CloudClient, server: Organisation, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_refresh, "IDLE", 7200.0)
    client.request("GET", PATH)
    (thread,) = threads()
    for _ in range(119):
        clock.now += 60.0
        settle(tokens_of(client))
    assert server.count(ASK) == 1 + 7140 // 1620
    clock.now += 60.0
    thread.join(10)
    assert not thread.is_alive()
    clock.now += 7200.0
    assert client.request("GET", PATH) == {"ok": True}
    assert len(threads()) == 1
    assert server.count(GET) == 2


def test_without_a_token_there_is_no_thread(client: CloudClient, server: Organisation) -> None:
    server.broken = Reply(401, {"error": "invalid_client"})
    with pytest.raises(AuthenticationError):
        client.token()
    assert not threads()


def test_where_no_thread_can_be_had_tokens_are_renewed_when_they_are_needed(
    client: CloudClient, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    source = TokenSource(lambda: Grant(f"token at {clock():.0f}", 1000.0), clock=clock)
    refresher = Refresher(source)
    assert refresher.token() == "token at 1000"
    assert "could not start: can't start new thread. Tokens are renewed when needed" in caplog.text
    clock.now += 955
    assert refresher.token() == "token at 1955"


def test_nothing_that_goes_wrong_ends_the_thread_or_shows_a_secret(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    escaped: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", escaped.append)
    troubles: list[Exception] = [RuntimeError("s3cret"), OSError("s3cret"), KeyError("s3cret"), MemoryError("s3cret")]
    asked = []

    def endpoint() -> Grant:
        asked.append(threading.current_thread().name)
        if len(asked) > 1 and troubles:
            raise troubles.pop()
        return Grant(f"token {len(asked)}", 86_400.0)

    source = TokenSource(endpoint, clock=clock)
    refresher = Refresher(source)
    assert refresher.token() == "token 1"
    clock.now += 80_000
    for _ in range(5):
        settle(source)
        assert refresher.token() == ("token 1" if len(asked) < 6 else "token 6")
        clock.now += 301
    settle(source)
    assert refresher.token() == "token 6"
    assert set(asked[1:]) == {token_refresh.THREAD}
    assert not escaped
    assert [one for one in ("RuntimeError", "OSError", "KeyError", "MemoryError") if one not in caplog.text] == []
    assert "s3cret" not in caplog.text


STUCK = """
import threading, time
from airflow_provider_genesys.cloud.http import token_refresh
from airflow_provider_genesys.cloud.http.tokens import Grant, TokenSource

token_refresh.LOOK = 0.001
entered = threading.Event()
now = [0.0]

def endpoint():
    if threading.current_thread() is not threading.main_thread():
        entered.set()
        time.sleep(60)
    return Grant("t", 1000.0)

refresher = token_refresh.Refresher(TokenSource(endpoint, clock=lambda: now[0]))
refresher.token()
now[0] = 950.0
assert entered.wait(10)
print("done")
"""


def test_it_does_not_keep_a_process_alive() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", STUCK], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


# Forks.


@forks
def test_a_forked_child_shares_no_socket_token_or_thread_with_its_parent(
    client: CloudClient, server: Organisation, clock: Clock
) -> None:
    client.request("GET", PATH)
    assert client._pool is not None
    parents = client._pool.http

    def in_child() -> list[Any]:
        inherited = len(threads())
        first = client.token() if client.request("GET", PATH) else ""
        assert client._pool is not None
        apart = client._pool.http is not parents and not parents.is_closed
        clock.now += HALF_HOUR - 100
        settle(tokens_of(client))
        second = client.token()
        client.close()
        until(lambda: not threads())
        return [inherited, first, apart, second]

    assert Forked(in_child).result() == [0, "token-2", True, "token-3"]
    assert client.request("GET", PATH) == {"ok": True}
    assert client.token() == "token-1", "the parent's stays as it is"
    assert len(threads()) == 1
    clock.now += HALF_HOUR - 100
    settle(tokens_of(client))
    assert client.token() == "token-4", "and is kept fresh"
    assert server.count(ASK) == 4


@forks
def test_a_lock_that_is_held_at_the_fork_does_not_block_the_child(
    client: CloudClient, server: Organisation, config: CloudConfig
) -> None:
    client.token()
    source, refresher, pacer = tokens_of(client), client._refresher, client._shared.pacer
    assert refresher is not None

    def in_child() -> str:
        with CloudClient(config) as another:
            client.request("GET", PATH)
            return client.token() + another._shared.tokens.renew(client.token()) * (another._shared is client._shared)

    with source._asking, refresher._starting, pacer._lock, shared_module._lock:
        child = Forked(in_child)
    assert child.result() == "token-2token-3"
