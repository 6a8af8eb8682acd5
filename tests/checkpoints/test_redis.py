"""What is Redis' own: eviction, expiry, rights, crashes. The promise itself is tested in tests/conformance."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from airflow_provider_genesys.checkpoints.base import Key
from airflow_provider_genesys.checkpoints.redis import RedisCheckpointStore
from airflow_provider_genesys.exceptions import (
    CheckpointError,
    ConfigurationError,
    SinkRefusedError,
    SinkUnavailableError,
)
from airflow_provider_genesys.testing.services import RedisServer, free_port
from airflow_provider_genesys.testing.sink_conformance.source import make_checkpoint, make_load
from tests.checkpoints.places import RedisPlace, redis_client

LOAD = make_load()
KEY = Key(LOAD.load_id, "queue")
EXPORT = LOAD.export_id
DOCS = Path(__file__).parents[2] / "docs" / "checkpoints.md"


def store_on(server: RedisServer, *, retries: int = 3, **settings: Any) -> RedisCheckpointStore:
    return RedisCheckpointStore(lambda: redis_client(server, **settings), retries=retries, retry_wait=0.01)


@pytest.mark.parametrize(
    ("policy", "ttl", "refused"),
    [
        ("noeviction", timedelta(days=90), False),
        ("allkeys-lru", None, True),
        ("allkeys-random", timedelta(days=90), True),
        ("volatile-ttl", timedelta(days=90), True),
        ("volatile-lru", None, False),
    ],
)
def test_a_server_that_throws_entries_away_is_refused(
    own: RedisServer, policy: str, ttl: timedelta | None, *, refused: bool
) -> None:
    client = redis_client(own)
    client.config_set("maxmemory-policy", policy)
    store = RedisCheckpointStore(lambda: redis_client(own), ttl=ttl)
    store.claim(KEY, EXPORT, restart=False)  # without a limit nothing is evicted
    client.config_set("maxmemory", "1gb")
    if not refused:
        assert store.claim(KEY, EXPORT, restart=False).fence == 2
        return
    with pytest.raises(SinkRefusedError, match=rf"maxmemory-policy {policy}.*noeviction"):
        store.claim(KEY, EXPORT, restart=False)


def test_an_entry_stays_for_ever_or_as_long_as_it_was_told_since_the_last_write(place: RedisPlace) -> None:
    name = f"{place.prefix}{KEY}"
    place.make_store().claim(KEY, EXPORT, restart=False)
    assert place.client.ttl(name) == -1
    store = place.make_store(ttl=timedelta(days=90))
    mine = store.claim(KEY, EXPORT, restart=False)
    place.client.expire(name, 5)
    store.commit(mine, make_checkpoint(LOAD, 500))
    assert 7775990 < place.client.ttl(name) <= 7776000
    place.make_store().claim(KEY, EXPORT, restart=False)
    assert place.client.ttl(name) == -1


def test_a_ttl_of_less_than_a_second_is_no_ttl() -> None:
    with pytest.raises(ConfigurationError, match="ttl is 0:00:00"):
        RedisCheckpointStore(redis.Redis, ttl=timedelta())
    with pytest.raises(ConfigurationError, match="retries is -1"):
        RedisCheckpointStore(redis.Redis, retries=-1)


def test_wrong_credentials_are_refused_at_once_and_not_told(server: RedisServer) -> None:
    store = store_on(server, password="not-the-password")  # noqa: S106 - it is not one
    store._retry_wait = 600
    with pytest.raises(SinkRefusedError, match="Correct the connection to Redis") as refused:
        store.claim(KEY, EXPORT, restart=False)
    assert "not-the-password" not in str(refused.value)


def test_no_server_is_unavailable_once_retries_are_spent(server: RedisServer) -> None:
    store = store_on(server, retries=1, port=free_port())
    with pytest.raises(SinkUnavailableError, match=r"the claim of export export-1\. Tried 2 times"):
        store.claim(KEY, EXPORT, restart=False)


def test_a_user_with_the_documented_rights_can_do_everything_and_without_them_nothing(own: RedisServer) -> None:
    admin = redis_client(own)
    (rights,) = re.findall("ACL SETUSER loader on >… (.+)", DOCS.read_text())
    admin.execute_command(f"ACL SETUSER loader on >loader-password {rights}")
    store = store_on(own, username="loader", password="loader-password")  # noqa: S106 - of this test's server
    mine = store.claim(KEY, EXPORT, restart=False)
    store.commit(mine, make_checkpoint(LOAD, 500))

    admin.execute_command("ACL SETUSER loader -info")
    assert store.claim(KEY, EXPORT, restart=False).fence == 2

    admin.execute_command("ACL SETUSER loader -hset")
    with pytest.raises(SinkRefusedError, match=r"docs/checkpoints\.md"):
        store.claim(KEY, EXPORT, restart=False)


def test_what_was_confirmed_survives_a_crash_of_the_server(own: RedisServer) -> None:
    store = store_on(own)
    mine = store.claim(KEY, EXPORT, restart=False)
    store.commit(mine, make_checkpoint(LOAD, 500))
    own.kill()
    own.restart()
    # The same attempt goes on, over the connection that died and the script that is forgotten.
    store.commit(mine, make_checkpoint(LOAD, 1000))
    resumed = store_on(own).claim(KEY, EXPORT, restart=False)
    assert resumed.checkpoint is not None
    assert resumed.checkpoint.digest == 1000


def test_a_server_that_is_out_of_memory_keeps_the_former_checkpoint_whole(own: RedisServer) -> None:
    store = store_on(own, retries=1)
    mine = store.claim(KEY, EXPORT, restart=False)
    store.commit(mine, make_checkpoint(LOAD, 500))
    client = redis_client(own)
    client.config_set("maxmemory", "1")
    with pytest.raises(SinkUnavailableError, match="maxmemory"):
        store.commit(mine, make_checkpoint(LOAD, 1000))
    client.config_set("maxmemory", "0")
    resumed = store.claim(KEY, EXPORT, restart=False)
    assert resumed.checkpoint is not None
    assert resumed.checkpoint.digest == 500


def test_a_replica_that_is_not_yet_promoted_is_waited_for(own: RedisServer) -> None:
    store = store_on(own, retries=1)
    mine = store.claim(KEY, EXPORT, restart=False)
    client = redis_client(own)
    client.replicaof("127.0.0.1", free_port())
    with pytest.raises(SinkUnavailableError, match=r"(?i)read.?only"):
        store.commit(mine, make_checkpoint(LOAD, 500))
    client.replicaof("NO", "ONE")
    store.commit(mine, make_checkpoint(LOAD, 500))


def test_a_client_may_decode_answers_and_retry_by_itself(place: RedisPlace) -> None:
    through = f"redis://:{place.server.password}@127.0.0.1:{place.proxy.port}/0"
    store = RedisCheckpointStore(lambda: redis.Redis.from_url(through, decode_responses=True), prefix=place.prefix)
    place.proxy.times = 1
    mine = store.claim(KEY, EXPORT, restart=False)
    place.proxy.times = 1
    store.commit(mine, make_checkpoint(LOAD, 500))
    assert (place.proxy.times, mine.fence) == (0, 1)
    assert store.claim(KEY, EXPORT, restart=False).checkpoint is not None


def test_a_key_that_holds_something_else_is_left_alone(place: RedisPlace) -> None:
    name = f"{place.prefix}{KEY}"
    place.client.set(name, "mine")
    with pytest.raises(SinkRefusedError, match=r"WRONGTYPE.*choose another prefix"):
        place.make_store().claim(KEY, EXPORT, restart=True)
    assert place.client.get(name) == "mine"
    place.client.delete(name)
    place.client.hset(name, "cart", b"\xff\x00")
    with pytest.raises(CheckpointError, match="cannot be read"):
        place.make_store().claim(KEY, EXPORT, restart=True)
    assert place.client.hlen(name) == 1


def test_the_docs_name_every_field(place: RedisPlace) -> None:
    place.make_store().claim(KEY, EXPORT, restart=False)
    table = DOCS.read_text().partition("## What an entry holds")[2].partition("\n## ")[0]
    named = {name for cell in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall("`(.+?)`", cell)}
    assert named == place.fields(KEY).keys()


def test_without_the_client_package_the_error_names_the_command() -> None:
    program = (
        "import sys; sys.modules['redis'] = None\n"
        "from airflow_provider_genesys.exceptions import MissingExtraError\n"
        "try:\n    import airflow_provider_genesys.checkpoints.redis\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "pip install 'airflow-provider-genesys[redis]'" in printed
