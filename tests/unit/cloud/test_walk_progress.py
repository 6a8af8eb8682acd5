"""What a walk over pages may do, and what ends it, page by page."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from airflow_provider_genesys.cloud.exports import progress
from airflow_provider_genesys.cloud.exports.progress import Progress, check_number
from airflow_provider_genesys.exceptions import SourceChangedError, SourceRefusedError
from airflow_provider_genesys.limits import MOST_EMPTY, MOST_PAGES

MANY = list(map(str, range(12)))
Page = list[str]


def walk(pages: Iterable[Page], walked: Progress | None = None) -> None:
    """Walk over these pages and then over a last, empty one."""
    walked, asked = walked or Progress("job 1", "Clear the task."), None
    for number, ids in enumerate(pages, 1):
        walked.check(ids, asked, f"c{number}")
        asked = f"c{number}"
    walked.check([], asked, None)


def test_a_few_empty_pages_are_none_too_many() -> None:
    walk([[]] * MOST_EMPTY)
    walk([*[[]] * MOST_EMPTY, ["a"], *[[]] * MOST_EMPTY])
    with pytest.raises(SourceChangedError, match=f"{MOST_EMPTY} pages of job 1 in a row .* Clear the task"):
        walk([[]] * (MOST_EMPTY + 1))


@pytest.mark.parametrize("following", ["c1", "c2"])
def test_a_cursor_that_leads_back_is_met_at_once(following: str) -> None:
    walked = Progress("job 1", "")
    walked.check(["a"], None, "c1")
    walked.check(["b"], "c1", "c2")
    with pytest.raises(SourceChangedError, match="leads back"):
        walked.check(["c"], "c2", following)


def test_a_small_page_that_comes_again_is_met_at_once() -> None:
    with pytest.raises(SourceChangedError, match="the same records as a page before"):
        walk([["a", "b"], ["c"], ["a", "b"]])


def test_a_page_that_comes_again_after_very_many_is_met_by_its_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_MOST_MET", 0)
    with pytest.raises(SourceChangedError, match="came again on later pages"):
        walk([MANY, MANY])


def test_a_circle_that_is_cut_in_another_way_each_time_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_MOST_MET", 0)
    starts = [sum(range(10, number)) for number in range(10, 60)]
    with pytest.raises(SourceChangedError, match="came again on later pages"):
        walk([str((start + one) % 200) for one in range(number)] for number, start in enumerate(starts, 10))


def test_a_few_records_that_come_again_are_duplicates() -> None:
    walk([MANY[:4], [*MANY[:4], "more"], ["another"]])
    with pytest.raises(SourceChangedError, match="came again on later pages"):
        walk([MANY, [*MANY, "more"]])


def test_a_walk_that_begins_again_meets_what_it_has_met() -> None:
    walked = Progress("job 1", "")
    for _ in range(3):
        walk([MANY, ["more"]], walked)


def test_a_walk_has_as_many_pages_as_the_limit_says() -> None:
    check_number(MOST_PAGES, "job 1")
    with pytest.raises(SourceRefusedError, match="pages of job 1"):
        check_number(MOST_PAGES + 1, "job 1")
