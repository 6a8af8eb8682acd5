"""A load that is killed at any step, or anywhere, and taken up again leaves what one perfect run leaves.

Every attempt is a process of its own, ended by SIGKILL. What the sink holds in the end is compared row by row, and
part by part in bytes, with what a run without a crash has left in another place. A queue is compared by what is
in it at least once: the ids of its messages, and what each of them says.
"""

from __future__ import annotations

import gzip
import random
import signal
from functools import cache
from typing import Any

import pytest

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.faults.crash_child import DAY
from tests.faults.crash_scene import PROCESSED_AT, Contents, Loader, Places, Scene, difference, make_source
from tests.faults.kills import (
    EVERYWHERE,
    LARGE,
    MET_KEYS,
    OF_ICEBERG,
    OF_OBJECTS,
    SINKS,
    STEPS,
    UPSERTED,
    UPSERTED_STEPS,
    taken_up,
)

PAGED = ("local", "postgres")
"""An object store takes whole pages, a table pieces of them."""
IN_PAGES = {failpoints.SPLIT: 4, failpoints.WRITING: 4, failpoints.GATHERED: 4}
"""A folder takes four pages, each as a part: at the fourth the first is durable."""
KEYS_GONE = 60
"""Records of an earlier export that come behind the last one of the later export. What is broken there is gone, too."""
WAITING = 2
"""How many loads wait at random moments without --long."""
OF_PAGES = {
    "local": {*EVERYWHERE, *OF_OBJECTS},
    "postgres": {failpoints.CLAIMING, failpoints.SPLIT, failpoints.COMMITTING, failpoints.COMMITTED},
    "postgres-atomic": {failpoints.PUBLISHED},
    "s3": {failpoints.LEDGER_WRITTEN},
    "azure": {failpoints.PART_UPLOADED},
    "gcs": {failpoints.MANIFEST_WRITTEN},
    "sqs": {failpoints.COMMITTED},
}
"""At which steps pages meet their end without --long: each step once, and elsewhere what the sink differs in."""
BETWEEN = {
    failpoints.PUBLISHED,
    failpoints.SENT,
    failpoints.PART_UPLOADED,
    failpoints.LEDGER_WRITTEN,
    failpoints.COMMITTED,
    failpoints.MANIFEST_WRITTEN,
}
"""Where what a sink has and what it knows differ."""
AT_THE_STORE = {
    failpoints.CLAIMED,
    failpoints.PUTTING,
    failpoints.PART_UPLOADED,
    failpoints.LEDGER_WRITTEN,
    failpoints.MANIFEST_WRITTEN,
    failpoints.CLEANED,
}
"""Where the sink asks the store. All else is the same code for each of them, and a folder is the cheapest."""
SHORT = {
    "postgres-atomic": {
        failpoints.CLAIMING,
        failpoints.COMMITTED,
        failpoints.FINISHING,
        failpoints.CHECKED,
        failpoints.PUBLISHED,
        failpoints.COMPLETE,
    },
    "s3": {*AT_THE_STORE, failpoints.COMMITTED, failpoints.CHECKED},
    "azure": AT_THE_STORE,
    "gcs": AT_THE_STORE,
    "postgres-upsert": {failpoints.LANDED, failpoints.COMMITTING, failpoints.COMMITTED},
    "postgres-atomic-upsert": {failpoints.LANDED, failpoints.PUBLISHED},
    "postgres-window-upsert": {failpoints.COMMITTING, failpoints.CHECKED, failpoints.COMPLETE},
    "sqs": {failpoints.OPENED, failpoints.SENT, failpoints.COMMITTED, failpoints.CHECKED},
}
"""At which steps these sinks meet their end without --long, each once. The others meet it at all steps."""
MET_SHORT = {
    ("postgres", failpoints.TAKEN_BACK, 1),
    ("postgres", failpoints.LANDED, 2),
    ("postgres-atomic", failpoints.TAKEN_BACK, 1),
}
"""Where a batch that meets a key is killed without --long."""
LAST = {(sink, step): nth for sink, step, nth in (*STEPS, *UPSERTED_STEPS)}
"""Of each step of a sink the last time that it is deadly."""
LEAVES = (
    ("SIGTERM", failpoints.SPLIT),
    ("MemoryError", failpoints.COMMITTED),
    ("SIGTERM", failpoints.COMMITTING),
    ("MemoryError", failpoints.WRITING),
)
"""How an attempt ends that takes its leave, and where. Without --long the first sinks meet one each."""
ANYWHERE = ("postgres", "local", "s3")
"""Sinks that meet without --long what strikes anywhere."""


def case(sink: str, step: str, nth: int) -> Any:
    short = sink not in SHORT or (step in SHORT[sink] and nth == LAST[sink, step])
    return pytest.param(sink, step, nth, marks=[] if short else [pytest.mark.long])


def case_of_pages(sink: str, step: str) -> Any:
    nth = IN_PAGES.get(step, LAST[sink, step] if sink in PAGED else 1)
    return pytest.param(sink, step, nth, marks=[] if step in OF_PAGES.get(sink, ()) else [pytest.mark.long])


@pytest.fixture(scope="module")
def whole_day(running: tuple[FakeGenesys, Loader], places: Places) -> Scene:
    genesys, children = running
    earlier = make_source(genesys, records=700 + KEYS_GONE, broken=5, duplicates=0)
    source = make_source(genesys, records=700, broken=20, duplicates=30)
    return Scene(children, places, source, batch_size=80, earlier=earlier)


@pytest.fixture(scope="module")
def met_keys(running: tuple[FakeGenesys, Loader], places: Places) -> Scene:
    """Each key twice, in neighbours. A batch, and a commit of three, has the first of a pair at its end."""
    source = make_source(running[0], records=700, broken=20, duplicates=350)
    return Scene(running[1], places, source, batch_size=75)


@pytest.fixture(scope="module")
def few_records(running: tuple[FakeGenesys, Loader], places: Places) -> Scene:
    """For queues: moto takes the longer to find a message the more of them there are."""
    genesys, children = running
    source = make_source(genesys, records=36, broken=3, duplicates=3)
    return Scene(children, places, source, batch_size=4)


@pytest.fixture
def scene(sink: str, whole_day: Scene, few_records: Scene) -> Scene:
    return few_records if sink == "sqs" else whole_day


@pytest.fixture(scope="module")
def pages(running: tuple[FakeGenesys, Loader], places: Places) -> Scene:
    """Pages of twelve conversations, which tables take in batches of five: most kills are in the middle of a page."""
    genesys, children = running
    source = make_source(genesys, "conversation_details", conversations=44, available_until=DAY[1])
    return Scene(children, places, source, 5, {"part_size": 100_000})


@pytest.fixture(scope="module")
def large_parts(running: tuple[FakeGenesys, Loader], places: Places) -> Scene:
    """One part of some pieces."""
    source = make_source(running[0], records=700, broken=20, duplicates=30)
    return Scene(running[1], places, source, 80, {"part_size": 2**30, "output_format": "ndjson", "piece": 2**18})


@pytest.fixture(scope="module")
def large_parts_in_s3(running: tuple[FakeGenesys, Loader], places: Places) -> Scene:
    """S3 takes no piece below 5 MiB, except the last."""
    source = make_source(running[0], records=4700, broken=20, duplicates=30)
    return Scene(running[1], places, source, 2000, {"part_size": 2**30, "output_format": "ndjson"})


@pytest.fixture(scope="module")
def parquet(running: tuple[FakeGenesys, Loader], places: Places) -> Scene:
    genesys, children = running
    source = make_source(genesys, records=700, broken=20, duplicates=30)
    return Scene(children, places, source, 80, {"output_format": "parquet"})


@pytest.mark.outcome("processes", "SIGKILL at every named step of the pipeline, each sink", "recovers")
@pytest.mark.parametrize(("sink", "step", "nth"), [case(*step) for step in STEPS])
def test_killed_at_a_step(scene: Scene, sink: str, step: str, nth: int) -> None:
    killed_and_taken_up(scene, sink, step, nth)


def killed_and_taken_up(scene: Scene, sink: str, step: str, nth: int) -> None:
    killed, resumed = scene.killed_and_taken_up(sink, {"step": step, "nth": nth})
    assert killed["signal"] == signal.SIGKILL, f"{step} is not reached {nth} times"
    assert scene.way_of(sink, resumed) == taken_up(sink, step, nth)


def assert_both_ways_agree(scene: Scene, sink: str) -> None:
    """What a load leaves by which no batch goes straight into the table is what one leaves that tries it."""
    tried, upserted = (scene.perfect_run(way, PROCESSED_AT[0]) for way in (sink, f"{sink}-upsert"))
    assert upserted[1] == tried[1]
    assert upserted[0]["counts"] == tried[0]["counts"]
    removed = [one["parts"][0].get("removed", 0) for one, _ in (tried, upserted)]
    assert removed[0] == removed[1]
    assert (removed[0] >= KEYS_GONE) == ("window" in sink)


@pytest.mark.outcome(
    "processes", "SIGKILL at every named step of PostgreSQL, where every batch is upserted", "recovers"
)
@pytest.mark.parametrize(("sink", "step", "nth"), [case(*step) for step in UPSERTED_STEPS])
def test_killed_where_no_batch_goes_straight_into_the_table(whole_day: Scene, sink: str, step: str, nth: int) -> None:
    killed_and_taken_up(whole_day, sink, step, nth)
    assert_both_ways_agree(whole_day, sink.removesuffix("-upsert"))


@pytest.mark.outcome(
    "processes", "SIGKILL while rows that meet a key of the table are taken back and upserted", "recovers"
)
@pytest.mark.parametrize(
    ("sink", "step", "nth"),
    [pytest.param(*step, marks=[] if step in MET_SHORT else [pytest.mark.long]) for step in MET_KEYS],
)
def test_killed_where_a_batch_meets_a_key_of_the_table(met_keys: Scene, sink: str, step: str, nth: int) -> None:
    killed_and_taken_up(met_keys, sink, step, nth)
    assert_both_ways_agree(met_keys, sink)


@pytest.mark.outcome("processes", "SIGKILL at every named step of the pipeline, each sink", "recovers")
@pytest.mark.parametrize(
    ("sink", "step"),
    [
        *(("local", step) for step in OF_OBJECTS),
        *(
            pytest.param("s3", step, marks=[] if step == failpoints.PART_UPLOADED else [pytest.mark.long])
            for step in OF_OBJECTS
        ),
    ],
)
def test_killed_at_a_step_of_parquet(parquet: Scene, sink: str, step: str) -> None:
    killed, _ = parquet.killed_and_taken_up(sink, {"step": step, "nth": OF_OBJECTS[step][-1]})
    assert killed["signal"] == signal.SIGKILL, f"{step} is not reached"


@pytest.mark.outcome("processes", "SIGKILL at every named step of a load from cursor pages", "recovers")
@pytest.mark.parametrize(
    ("sink", "step", "nth"),
    [case_of_pages(sink, step) for sink, step in LAST if sink in PAGED or step in BETWEEN],
)
def test_killed_at_a_step_of_pages(pages: Scene, sink: str, step: str, nth: int) -> None:
    killed, resumed = pages.killed_and_taken_up(sink, {"step": step, "nth": nth})
    assert killed["signal"] == signal.SIGKILL, f"{step} is not reached {nth} times"
    # The first part of pages and its children are more objects than six.
    if step != failpoints.PUTTING and taken_up(sink, step, nth) != "begins again":
        assert resumed["attempts"] == 2


@pytest.mark.outcome("processes", "SIGKILL once or twice in a load from cursor pages, at random times", "recovers")
@pytest.mark.parametrize(
    ("sink", "seed"),
    [pytest.param(sink, seed, marks=[pytest.mark.long] if seed >= 1 else []) for sink in PAGED for seed in range(100)],
)
def test_killed_anywhere_in_pages(pages: Scene, sink: str, seed: int) -> None:
    took = pages.perfect_run(sink, PROCESSED_AT[0])[0]["took"]
    chance = random.Random(seed)  # noqa: S311 - the same each time
    pages.killed_and_taken_up(sink, *({"seconds": chance.random() * took} for _ in range(chance.randint(1, 2))))


@pytest.mark.outcome("processes", "a load is stopped and continued, and its bytes come in drops", "recovers")
@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.long] if seed >= WAITING else []) for seed in range(200)]
)
@pytest.mark.parametrize("name", ["pages", "whole_day", "parquet"])
def test_equal_loads_leave_equal_bytes_however_long_anything_takes(
    request: pytest.FixtureRequest, name: str, seed: int
) -> None:
    scene: Scene = request.getfixturevalue(name)
    scene.loaded("local", {"waits": seed})


@pytest.mark.outcome("processes", "SIGKILL at every named step of the pipeline, each sink", "recovers")
@pytest.mark.parametrize(("sink", "step", "nth"), LARGE)
def test_killed_within_a_large_part(request: pytest.FixtureRequest, sink: str, step: str, nth: int) -> None:
    scene: Scene = request.getfixturevalue("large_parts_in_s3" if sink == "s3" else "large_parts")
    killed_and_taken_up(scene, sink, step, nth)


@pytest.mark.outcome("processes", "SIGTERM, or no memory is left (`MemoryError`)", "recovers")
@pytest.mark.parametrize(
    ("sink", "way", "step"),
    [
        pytest.param(sink, *way, marks=[] if number == turn else [pytest.mark.long])
        for number, sink in enumerate(SINKS)
        for turn, way in enumerate(LEAVES)
    ],
)
def test_ended_with_its_leave_taken(scene: Scene, sink: str, way: str, step: str) -> None:
    ended, _ = scene.killed_and_taken_up(sink, {"step": step, "nth": 3, "way": way})
    assert way in ended["error"]


@pytest.mark.outcome("processes", "no temporary file can be written", "recovers")
@pytest.mark.parametrize(
    "sink", [pytest.param(sink, marks=[] if sink in ANYWHERE else [pytest.mark.long]) for sink in SINKS]
)
def test_loads_need_no_temporary_files(scene: Scene, sink: str) -> None:
    loaded, _ = scene.killed_and_taken_up(sink, {"temporary": "/no/such/folder"})
    assert "counts" in loaded, loaded


def test_a_difference_is_named_by_its_object_and_its_first_row() -> None:
    def held(*rows: str, level: int = 9) -> Contents:
        lines = "".join(f'{{"id": "{row}"}}\n' for row in rows)
        return {"parts": {"a.ndjson.gz": gzip.compress(lines.encode(), level, mtime=0)}, "rows": len(rows)}

    assert difference(held("x", "y", "z"), held("x", "w", "z")) == (
        "parts, a.ndjson.gz: row 1: {'id': 'y'} in place of {'id': 'w'}"
    )
    assert difference(held("x", level=1), held("x")) == "parts, a.ndjson.gz: equal rows in other bytes"
    assert difference({"parts": {}}, held()) == "parts: not on both sides: ['a.ndjson.gz']"


def test_every_step_is_killed_at() -> None:
    """A step that somebody adds is one more to be killed at."""
    named = {value for name, value in vars(failpoints).items() if name.isupper()}
    assert named == {step for _, step, _ in (*STEPS, *MET_KEYS, *LARGE, *OF_ICEBERG)}


@cache
def random_kills(seed: int) -> list[dict[str, Any]]:
    """Return one or two kills: after a share of the archive's bytes, or of the time that a perfect run takes."""
    chance = random.Random(seed)  # noqa: S311 - the same each time
    return [{chance.choice(["bytes", "seconds"]): chance.random()} for _ in range(chance.randint(1, 2))]


@pytest.mark.outcome("processes", "SIGKILL once or twice at random bytes and times, each sink", "recovers")
@pytest.mark.parametrize(
    ("sink", "seed"),
    [
        pytest.param(sink, seed, marks=[pytest.mark.long] if seed or sink not in ANYWHERE else [])
        for sink in (*SINKS, *UPSERTED)
        for seed in range(300)
    ],
)
def test_killed_anywhere(scene: Scene, sink: str, seed: int) -> None:
    certificate, _ = scene.perfect_run(sink, PROCESSED_AT[0])
    whole = {"bytes": scene.source.size, "seconds": certificate["took"]}
    kills = [{of: share * whole[of] for of, share in kill.items()} for kill in random_kills(seed)]
    scene.killed_and_taken_up(sink, *kills)
