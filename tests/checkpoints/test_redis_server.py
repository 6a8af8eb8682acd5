"""The embedded server itself."""

from __future__ import annotations

import pytest
import redis

from airflow_provider_genesys.testing.services import RedisServer
from tests.checkpoints.places import redis_client


def test_it_takes_who_has_the_password_and_nobody_else(server: RedisServer) -> None:
    assert server.client().ping()
    with pytest.raises(redis.AuthenticationError):
        redis_client(server, password=None).ping()


def test_it_keeps_what_it_took_over_a_restart_and_a_crash_and_leaves_nothing(flavour: str) -> None:
    with RedisServer(flavour=flavour) as server:
        folder, client = server._folder, redis_client(server)
        client.set("kept", 1)
        server.restart()
        client.connection_pool.disconnect()
        assert client.incr("kept") == 2
        server.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        server.restart()
        client.connection_pool.disconnect()
        assert client.get("kept") == b"2"
    assert not folder.exists()


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(flavour: str) -> None:
    server = RedisServer(flavour=flavour, settings={"maxmemory-policy": "sometimes"})
    with pytest.raises(RuntimeError, match="maxmemory-policy"):
        server.start()
    assert not server._folder.exists()
