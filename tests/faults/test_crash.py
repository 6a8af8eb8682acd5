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
from tests.faults.kills import EVERYWHERE, LARGE, OF_ICEBERG, OF_OBJECTS, SINKS, STEPS, taken_up

PAGED = ("local", "postgres")
"""An object store takes whole pages, a table pieces of them."""
IN_PAGES = {failpoints.SPLIT: 4, failpoints.WRITING: 4, failpoints.GATHERED: 4}
"""A folder takes four pages, each as a part: at the fourth the first is durable."""
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
    "sqs": {failpoints.OPENED, failpoints.SENT, failpoints.COMMITTED, failpoints.CHECKED},
}
"""At which steps these sinks meet their end without --long, each once. The others meet it at all steps."""
LAST = {(sink, step): nth for sink, step, nth in STEPS}
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
    return pytest.param(sink, step, nth, marks=[] if step in OF_PAGES[sink] else [pytest.mark.long])


@pytest.fixture(scope="module")
def whole_day(running: tuple[FakeGenesys, Loader], places: Places) -> Scene:
    genesys, children = running
    source = make_source(genesys, records=700, broken=20, duplicates=30)
    return Scene(children, places, source, batch_size=80)


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
    killed, resumed = scene.killed_and_taken_up(sink, {"step": step, "nth": nth})
    assert killed["signal"] == signal.SIGKILL, f"{step} is not reached {nth} times"
    assert scene.way_of(sink, resumed) == taken_up(sink, step, nth)


@pytest.mark.parametrize(("step", "nth"), [(failpoints.COMMITTING, 3), (failpoints.COMMITTED, 3)])
def test_killed_where_no_batch_goes_straight_into_the_table(whole_day: Scene, step: str, nth: int) -> None:
    killed, _ = whole_day.killed_and_taken_up("postgres-upsert", {"step": step, "nth": nth})
    assert killed["signal"] == signal.SIGKILL
    upserted, straight = (whole_day.perfect_run(sink, PROCESSED_AT[0])[1] for sink in ("postgres-upsert", "postgres"))
    assert upserted == straight


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
    killed, resumed = scene.killed_and_taken_up(sink, {"step": step, "nth": nth})
    assert killed["signal"] == signal.SIGKILL, f"{step} is not reached {nth} times"
    assert scene.way_of(sink, resumed) == taken_up(sink, step, nth)


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
    assert named == {step for _, step, _ in (*STEPS, *LARGE, *OF_ICEBERG)}


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
        for sink in SINKS
        for seed in range(300)
    ],
)
def test_killed_anywhere(scene: Scene, sink: str, seed: int) -> None:
    certificate, _ = scene.perfect_run(sink, PROCESSED_AT[0])
    whole = {"bytes": scene.source.size, "seconds": certificate["took"]}
    kills = [{of: share * whole[of] for of, share in kill.items()} for kill in random_kills(seed)]
    scene.killed_and_taken_up(sink, *kills)
