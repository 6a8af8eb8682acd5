"""A load of media that is killed at any step, or anywhere, and taken up again leaves what one perfect run leaves.

As :mod:`.test_crash`, every attempt is a process of its own, ended by SIGKILL. Compared are the bucket, object by
object, the table and its dead letters. What was there whole when the process died is not fetched again.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.media.fetch import MEDIA_DESCRIBED, MEDIA_STORED
from airflow_provider_genesys.media.store import PIECE
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.services import AzuriteServer, GCSServer, PostgresServer, S3Server
from tests.faults.crash_scene import Contents, Loader, Source, make_source, tables
from tests.sinks.lake import Bucket

MEDIA = "/archive/media/"
STEPS = {
    failpoints.CLAIMING: (1,),
    failpoints.OPENED: (1,),
    MEDIA_STORED: (4,),
    MEDIA_DESCRIBED: (4,),
    failpoints.PUTTING: (2, 7),
    failpoints.SPLIT: (3,),
    failpoints.WRITING: (2,),
    failpoints.LANDED: (2,),
    failpoints.COMMITTING: (2,),
    failpoints.COMMITTED: (2,),
    failpoints.REPORTED: (1,),
    failpoints.FINISHING: (1,),
    failpoints.CHECKED: (1,),
    failpoints.COMPLETE: (1,),
}
"""At which of the times that it is reached a step is deadly."""
ELSEWHERE = (MEDIA_STORED, MEDIA_DESCRIBED, failpoints.PUTTING, failpoints.COMMITTED)
"""At which of them a load with its media in Azure or Google meets its end: where store and table differ."""
BETWEEN = (MEDIA_STORED, failpoints.COMMITTED)
"""Of these without --long: a file is there and not described, and all of a batch is known."""
OF_LARGE_FILES = {failpoints.PIECE_SENT: (2,), failpoints.COMPLETING: (2,)}
RESUMED = {failpoints.COMMITTED, failpoints.REPORTED, failpoints.FINISHING, failpoints.CHECKED}
"""After these there is a checkpoint to go on from, and the next attempt has to."""


def cases(deadly: dict[str, tuple[int, ...]]) -> list[tuple[str, int]]:
    return [(step, nth) for step, times in deadly.items() for nth in times]


class Container:
    """What an Azure container holds, asked as :class:`.lake.Bucket` is."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def listed(self, prefix: str = "") -> list[str]:
        return [blob.name for blob in self._client.list_blobs(name_starts_with=prefix)]

    def read(self, key: str) -> bytes:
        return bytes(self._client.download_blob(key).readall())

    def uploads(self) -> list[str]:
        staged = [blob.name for blob in self._client.list_blobs(include=["uncommittedblobs"])]
        return sorted(set(staged) - set(self.listed()))


class GoogleBucket:
    """What a bucket of Google Cloud Storage holds, asked as :class:`.lake.Bucket` is."""

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket

    def listed(self, prefix: str = "") -> list[str]:
        return [blob.name for blob in self._bucket.list_blobs(prefix=prefix)]

    def read(self, key: str) -> bytes:
        return bytes(self._bucket.blob(key).download_as_bytes())

    def uploads(self) -> list[str]:
        return []  # nobody can see them


Asked = Bucket | Container | GoogleBucket


@dataclass
class Places:
    """Makes places for the media and the rows of one load."""

    dsn: str
    store: S3Server | AzuriteServer | GCSServer
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def new(self) -> tuple[dict[str, Any], Asked]:
        """Return how the child finds an empty place, and what is in it."""
        number = next(self.numbers)
        schema, name = f"s{number}", f"media-crash-{os.getpid()}-{number}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        place = {"dsn": self.dsn, "schema": schema, "publish": "batches", "write_mode": "upsert", "media_bucket": name}
        if isinstance(self.store, AzuriteServer):
            self.store.create_container(name)
            client = self.store.client().get_container_client(name)
            return {**place, "account_url": self.store.account_url}, Container(client)
        self.store.create_bucket(name)
        if isinstance(self.store, GCSServer):
            return {**place, "gcs_url": self.store.endpoint_url}, GoogleBucket(self.store.client().bucket(name))
        return {**place, "endpoint_url": self.store.endpoint_url}, Bucket(self.store.client(), name)


@dataclass
class Scene:
    """One export of conversations with recordings, and what a perfect run leaves of it."""

    loader: Loader
    places: Places
    genesys: FakeGenesys
    source: Source
    batch_size: int = 2
    perfect: Contents = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    took: float = 0.0

    def __post_init__(self) -> None:
        attempt, read, _ = self.place()
        done = attempt()
        assert "counts" in done, done
        self.perfect, self.steps, self.took = read(), done["steps"], done["took"]

    def place(self) -> tuple[Callable[..., dict[str, Any]], Callable[[], Contents], Asked]:
        """Return what makes an attempt at a new place, what reads all that it holds, and its bucket."""
        place, bucket = self.places.new()

        def attempt(**kill: Any) -> dict[str, Any]:
            job = {**self.source.job(), "page_size": 4, "batch_size": self.batch_size, **kill}
            return self.loader.load(sink="postgres", place=place, processed_at="2026-11-23T01:00:00+00:00", **job)

        def read() -> Contents:
            assert bucket.uploads() == []
            return {
                **tables(place["dsn"], place["schema"]),
                "objects": {key: bucket.read(key) for key in bucket.listed("media/")},
            }

        return attempt, read, bucket

    def killed_and_taken_up(self, *kills: dict[str, Any]) -> list[dict[str, Any]]:
        """Load with these kills, one for each attempt, then without; compare what is there; return all answers."""
        attempt, read, bucket = self.place()
        before, answers, there = self.fetched(), [], dict[str, int]()
        for kill in kills:
            answers.append(attempt(**kill))
            so_far = self.fetched() - before
            there |= {name: so_far[name] for name in self.described(bucket) - there.keys()}
        answers.append(attempt())
        assert "counts" in answers[-1], answers[-1]
        assert read() == self.perfect
        fetched = self.fetched() - before
        assert {name: fetched[name] for name in there} == there, "what was there is fetched again"
        assert all(number <= len(answers) for number in fetched.values())
        return answers

    def fetched(self) -> Counter[str]:
        """Return how often each file was asked for."""
        return Counter(seen.path.removeprefix(MEDIA) for seen in self.genesys.requests if seen.path.startswith(MEDIA))

    @staticmethod
    def described(bucket: Asked) -> set[str]:
        """Return the names of the files that are there, and of which the store says so."""
        keys = [key for key in bucket.listed("media/") if key.endswith(".metadata.json")]
        return {file["key"].rpartition("/")[2] for key in keys for file in json.loads(bucket.read(key))["files"]}


@pytest.fixture(scope="module")
def places(postgres: PostgresServer, s3: S3Server) -> Places:
    return Places(postgres.create_database("media_crashes"), s3)


@pytest.fixture(scope="module")
def scene(children: Loader, places: Places) -> Iterator[Scene]:
    """Three pages of four conversations, of which each has two recordings at most; tables take them in twos."""
    with FakeGenesys(requests_per_minute=1_000_000, media_bytes=(100, 2_000), sensitive=0.2) as genesys:
        source = make_source(genesys, "recording_media", conversations=10)
        yield Scene(children, places, genesys, source)


@pytest.fixture(scope="module", params=["azurite", "gcs"])
def elsewhere(request: pytest.FixtureRequest, postgres: PostgresServer) -> Places:
    return Places(postgres.create_database(f"media_crashes_{request.param}"), request.getfixturevalue(request.param))


@pytest.fixture(scope="module")
def scene_elsewhere(children: Loader, elsewhere: Places) -> Iterator[Scene]:
    with FakeGenesys(requests_per_minute=1_000_000, media_bytes=(100, 2_000), sensitive=0.2) as genesys:
        source = make_source(genesys, "recording_media", conversations=10)
        yield Scene(children, elsewhere, genesys, source)


@contextmanager
def _large(children: Loader, places: Places) -> Iterator[Scene]:
    """Yield a load of files that are sent in three pieces."""
    size = 2 * PIECE + 1
    with FakeGenesys(requests_per_minute=1_000_000, media_bytes=(size, size), recordings_each=1) as genesys:
        yield Scene(children, places, genesys, make_source(genesys, "recording_media", conversations=2))


@pytest.fixture(scope="module")
def large_files(children: Loader, places: Places) -> Iterator[Scene]:
    with _large(children, places) as made:
        yield made


@pytest.fixture(scope="module")
def large_files_elsewhere(children: Loader, elsewhere: Places) -> Iterator[Scene]:
    with _large(children, elsewhere) as made:
        yield made


@pytest.mark.outcome("processes", "SIGKILL at every named step of a load of media", "recovers")
@pytest.mark.parametrize(("step", "nth"), cases(STEPS))
def test_media_killed_at_a_step(scene: Scene, step: str, nth: int) -> None:
    killed, resumed = scene.killed_and_taken_up({"step": step, "nth": nth})
    assert killed["signal"] == signal.SIGKILL, f"{step} is not reached {nth} times"
    if step in RESUMED:
        assert resumed["attempts"] == 2


@pytest.mark.outcome("processes", "SIGKILL at every named step of a load of media", "recovers")
@pytest.mark.parametrize(("step", "nth"), cases(OF_LARGE_FILES))
def test_media_killed_within_a_large_file(large_files: Scene, step: str, nth: int) -> None:
    killed, _ = large_files.killed_and_taken_up({"step": step, "nth": nth})
    assert killed["signal"] == signal.SIGKILL, f"{step} is not reached {nth} times"


@pytest.mark.outcome("processes", "SIGKILL at a step of a load of media, with the media in Azure or Google", "recovers")
@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=[] if step in BETWEEN else [pytest.mark.long]) for step in ELSEWHERE]
)
def test_media_elsewhere_killed_at_a_step(scene_elsewhere: Scene, step: str) -> None:
    killed, resumed = scene_elsewhere.killed_and_taken_up({"step": step, "nth": STEPS[step][0]})
    assert killed["signal"] == signal.SIGKILL, f"{step} is not reached"
    if step in RESUMED:
        assert resumed["attempts"] == 2


@pytest.mark.outcome("processes", "SIGKILL at a step of a load of media, with the media in Azure or Google", "recovers")
@pytest.mark.parametrize(("step", "nth"), cases(OF_LARGE_FILES))
def test_media_elsewhere_killed_within_a_large_file(large_files_elsewhere: Scene, step: str, nth: int) -> None:
    killed, _ = large_files_elsewhere.killed_and_taken_up({"step": step, "nth": nth})
    assert killed["signal"] == signal.SIGKILL, f"{step} is not reached {nth} times"


def test_every_step_of_media_is_killed_at(scene: Scene, large_files: Scene) -> None:
    assert scene.steps.keys() == STEPS.keys()
    assert large_files.steps.keys() - STEPS.keys() == OF_LARGE_FILES.keys()
    assert scene.perfect["letters"], "something is rejected, too"


@pytest.mark.outcome("processes", "SIGKILL once or twice in a load of media, at random times", "recovers")
@pytest.mark.parametrize("seed", [pytest.param(n, marks=[pytest.mark.long] if n else []) for n in range(100)])
def test_media_killed_anywhere(scene: Scene, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same each time
    scene.killed_and_taken_up(*({"seconds": chance.random() * scene.took} for _ in range(chance.randint(1, 2))))
