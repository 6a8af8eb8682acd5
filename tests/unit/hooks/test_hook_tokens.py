"""Tokens for tasks of the user's own, and the end of a hook."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from scripted_server import TOKEN_PATH, Reply, ScriptedServer

from airflow_provider_genesys.cloud.http import shared as shared_module
from airflow_provider_genesys.cloud.http import token_refresh
from airflow_provider_genesys.exceptions import AuthenticationError
from airflow_provider_genesys.hooks import genesys as hook_module
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

ASK = f"POST {TOKEN_PATH}"
ONE = "GET /api/v2/recordings/exports/export-1"

pytestmark = pytest.mark.usefixtures("connect")


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == token_refresh.THREAD]


def gone() -> bool:
    end = time.monotonic() + 60
    while threads() and time.monotonic() < end:
        time.sleep(0.001)
    return not threads()


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(hook_module, "mask_secret", told.append)
    return told


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Name the threads of these tests: those of other tests' hooks end when they are collected as garbage."""
    monkeypatch.setattr(token_refresh, "THREAD", __name__)
    assert gone(), "the test before left a refresher"
    yield
    assert gone()


def test_a_token_is_given_masked_and_the_same_as_the_hooks_own(server: ScriptedServer, masked: list[str]) -> None:
    server.on(ONE, Reply(200, {"status": "RUNNING"}))
    with GenesysCloudHook() as hook:
        assert hook.get_token() == "token-1"
        hook.get_export("export-1", "recordings")
    assert masked == ["token-1"]
    assert server.count(ASK) == 1
    assert server.requests[-1].headers["Authorization"] == "Bearer token-1"


def test_a_provider_gives_the_token_of_the_moment(server: ScriptedServer, masked: list[str]) -> None:
    server.on("GET /api/v2/users/me", Reply(200, {"id": "u"}))

    class ProvidedToken(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:
            request.headers["Authorization"] = f"Bearer {provide()}"
            yield request

    with GenesysCloudHook() as hook, httpx.Client(base_url=server.url, auth=ProvidedToken()) as http:
        provide = hook.token_provider()
        assert http.get("/api/v2/users/me").json() == {"id": "u"}
        shared_module.shared(hook.config).tokens.renew("token-1")
        assert http.get("/api/v2/users/me").json() == {"id": "u"}
    sent = [one.headers["Authorization"] for one in server.requests if one.method == "GET"]
    assert sent == ["Bearer token-1", "Bearer token-2"]
    assert masked == ["token-1", "token-2"]


def test_no_token_is_told_as_any_request_tells_it(server: ScriptedServer) -> None:
    server.on(ASK, Reply(401, {"error": "invalid_client"}))
    with GenesysCloudHook() as hook, pytest.raises(AuthenticationError, match="invalid_client"):
        hook.get_token()


def test_a_hook_in_use_keeps_its_token_fresh_until_it_is_closed() -> None:
    hook = GenesysCloudHook()
    _ = hook.config
    assert not threads()
    hook.get_token()
    assert len(threads()) == 1
    hook.close()
    assert gone()


def test_a_closed_hook_holds_no_connection_and_opens_again_when_it_is_used(server: ScriptedServer) -> None:
    server.on(ONE, Reply(200, {"status": "RUNNING"}))
    hook = GenesysCloudHook()
    for _ in range(2):
        with hook as same:
            assert same is hook
            hook.get_export("export-1", "recordings")
            (connections,) = shared_module._pools.values()
            http = connections.http
            del connections
        assert http.is_closed
        assert not shared_module._pools
    provide = hook.token_provider()
    assert provide() == "token-1"
    hook.close()
    assert server.count(ASK) == 1


def test_a_hook_that_was_never_used_is_closed_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_GENESYS_DEFAULT")
    hook = GenesysCloudHook("nowhere")
    hook.close()
    with hook:
        pass


def test_an_error_inside_is_not_swallowed_and_closes() -> None:
    with pytest.raises(ZeroDivisionError), GenesysCloudHook() as hook:
        assert 1 / (len(hook.get_token()) - len("token-1"))
    assert gone()
    assert not shared_module._pools
