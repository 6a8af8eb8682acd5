"""A load whose records worker processes read and pack is killed, or its workers are, at each step.

What is there in the end is what a load in one process leaves, byte by byte; no worker and no shared memory is left.
"""

from __future__ import annotations

import signal
import uuid
from typing import Any

import pytest

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.faults.crash_scene import Loader, Places, Scene, make_source
from tests.faults.dying_workers import Moment, marked
from tests.faults.kills import EVERYWHERE, OF_OBJECTS, taken_up
from tests.support.watching import until

WAYS = ("local-gzip", "local-parquet", "s3-gzip")
THIRD = {failpoints.SPLIT, failpoints.WRITING, failpoints.GATHERED}
"""Slices are parts here. At the third, a second commit has begun, so the first is durable."""
STEPS = [(step, 3 if step in THIRD else times[-1]) for step, times in {**EVERYWHERE, **OF_OBJECTS}.items()]
SHORT = {
    ("local-gzip", failpoints.PART_UPLOADED),
    ("local-parquet", failpoints.SPLIT),
    ("s3-gzip", failpoints.LEDGER_WRITTEN),
}
"""Where a load is killed without --long. Then one process takes it up."""
MOMENTS: tuple[tuple[Moment, bool], ...] = (
    ("works", True),
    ("works", False),
    ("has answered", True),
    ("has answered", False),
    ("begins", True),
    ("begins", False),
)
"""When one worker, or all, end. Each kind of sink meets another one without --long."""


@pytest.fixture(scope="module")
def scenes(running: tuple[FakeGenesys, Loader], places: Places) -> dict[str, Scene]:
    """Two of nine slices have a broken record, so that the task's process reads them."""
    genesys, children = running
    source = make_source(genesys, records=700, broken=2, duplicates=30)
    settings = {"part_size": 100_000}
    forms = {"gzip": settings, "parquet": {**settings, "output_format": "parquet"}}
    return {form: Scene(children, places, source, 80, of_form) for form, of_form in forms.items()}


@pytest.fixture
def scene(scenes: dict[str, Scene], way: str) -> Scene:
    return scenes[way.partition("-")[2]]


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex


def assert_nothing_is_left(answer: dict[str, Any], mark: str) -> None:
    assert answer["left"] == []
    until(lambda: not marked(mark), seconds=60, what="the end of the workers")


@pytest.mark.outcome("processes", "SIGKILL at every named step of a load with `processes=2`", "recovers")
@pytest.mark.parametrize(
    ("way", "step", "nth", "workers_after"),
    [
        pytest.param(way, *step, after, marks=[] if (way, step[0]) in SHORT and not after else [pytest.mark.long])
        for way in WAYS
        for step in STEPS
        for after in (False, True)
    ],
)
def test_killed_at_a_step(scene: Scene, way: str, step: str, nth: int, workers_after: bool, mark: str) -> None:
    shared = {"mark": mark}
    killed, resumed = scene.loaded(
        way.partition("-")[0], {"step": step, "nth": nth, **shared}, shared if workers_after else {}
    )
    assert killed["signal"] == signal.SIGKILL, f"{step} is not reached {nth} times"
    begins_again = taken_up(way.partition("-")[0], step, nth) == "begins again"
    assert resumed["attempts"] == (1 if begins_again else 2)
    assert_nothing_is_left(resumed, mark)


@pytest.mark.outcome(
    "processes", "one worker of `processes=2` is killed, or both are, while they hold slices", "recovers"
)
@pytest.mark.parametrize(
    ("way", "moment", "all_die"),
    [
        pytest.param(way, *ends, marks=[] if number == turn else [pytest.mark.long])
        for number, way in enumerate(WAYS)
        for turn, ends in enumerate(MOMENTS)
    ],
)
def test_workers_are_killed(scene: Scene, way: str, moment: Moment, all_die: bool, mark: str) -> None:
    [loaded] = scene.loaded(way.partition("-")[0], {"mark": mark, "worker": [moment, all_die]})
    assert loaded["dead_workers"] == (2 if all_die else 1)
    assert_nothing_is_left(loaded, mark)
