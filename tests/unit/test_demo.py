"""What ./run demo can show, and what it makes of accounts that do not close."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.bulk import Bulk, Job
from demo.dailies import DAILIES
from demo.loads import SINKS, Loads
from demo.media import File, Media

DAGS = Path(__file__).parents[2] / "dags"


def certificate(**counts: int) -> dict[str, Any]:
    return {"counts": {"read": 10, "written": 9, "dead_letters": 1, "duplicates": 0, **counts}}


def loads(*certificates: dict[str, Any]) -> Loads:
    xcoms = {(task, "return_value"): list(certificates) for task in SINKS.values()}
    return Loads(xcoms, rows=18, dead_letters=2, sample=[], children={"t_segments": 40}, keys=[], lines=18)


def media(**facts: Any) -> Media:
    files = {"a.ogg": File(7, "seven"), "b.ogg": File(9, "nine")}
    xcoms = {("fetch_media", "return_value"): [certificate(read=3, written=2)]}
    return replace(Media(xcoms, files, files, files, dead_letters=1, requests=Counter()), **facts)


def bulk(**facts: Any) -> Bulk:
    job = Job("job", "FULFILLED", (10, 6, 3, 1))
    xcoms = {("report", "return_value"): [certificate(read=2, written=1)]}
    return replace(Bulk(xcoms, [job], [""], [job], ["lost"], ["lost"], Counter()), **facts)


def bulk_of(job: Job) -> Bulk:
    return bulk(rows=[job], jobs=[job])


GOOD = loads(certificate(), certificate())


def test_every_daily_dag_has_its_demo() -> None:
    assert set(DAILIES) == {path.stem for path in DAGS.glob("*_daily.py")} | {
        "genesys_recording_bulk_export",
        "genesys_recordings_iceberg",
    }


def test_accounts_that_close_and_are_held_have_no_problem() -> None:
    assert list(GOOD.problems(10)) == list(media().problems(3)) == list(bulk().problems(10)) == []


@pytest.mark.parametrize(
    ("report", "problem"),
    [
        (replace(GOOD, rows=17), "PostgreSQL: 18 written by the certificates, but it holds 17"),
        (replace(GOOD, lines=19), "S3: 18 written by the certificates, but it holds 19"),
        (replace(GOOD, dead_letters=3), "PostgreSQL: 3 dead letters in the table"),
        (replace(GOOD, children={"t_segments": 0}), "PostgreSQL: t_segments is empty"),
        (loads(certificate(), certificate(duplicates=1)), "PostgreSQL: the account does not close"),
        (loads(certificate(), certificate(read=11, written=10)), "S3: 11 records read, but the export has 10"),
    ],
)
def test_what_does_not_agree_is_said(report: Loads, problem: str) -> None:
    assert any(found.startswith(problem) for found in report.problems(10))


@pytest.mark.parametrize(
    ("report", "problem"),
    [
        (media(rows={"a.ogg": File(7, "seven")}), "PostgreSQL: 2 written by the certificate, but it holds 1"),
        (media(dead_letters=0), "PostgreSQL: 0 dead letters in the table"),
        (media(objects={"a.ogg": File(7, "seven")}), "S3: b.ogg has None, its row File(bytes=9, sha256='nine')"),
        (media(objects={**media().objects, "a.ogg": File(7, "other")}), "S3: a.ogg has File(bytes=7, sha256='other')"),
        (media(objects={**media().objects, "c.ogg": File(1, "one")}), "S3: c.ogg has File(bytes=1, sha256='one')"),
        (media(described={"a.ogg": File(7, "seven")}), "S3: b.ogg has File(bytes=9, sha256='nine'), its metadata None"),
        (media(xcoms={("fetch_media", "return_value"): [certificate(read=2, written=2)]}), "PostgreSQL: 2 records"),
    ],
)
def test_media_that_is_not_what_its_row_says_is_said(report: Media, problem: str) -> None:
    assert next(report.problems(3)).startswith(problem)


@pytest.mark.parametrize(
    ("report", "problem"),
    [
        (bulk(rows=[]), "PostgreSQL: it tells of []"),
        (bulk(dead_letters=["other"]), "PostgreSQL: ['other'] rejected, but Genesys could not export ['lost']"),
        (bulk(failed=["lost", "and lost"]), "PostgreSQL: 2 records read, but the export has 3"),
        (bulk_of(Job("job", "READY", (10, 6, 3, 1))), "Genesys: Job(id='job', state='READY'"),
        (bulk_of(Job("job", "FULFILLED", (10, 6, 2, 1))), "Genesys: Job("),
        (bulk_of(Job("job", "FULFILLED", (9, 6, 2, 1))), "Genesys: Job("),
    ],
)
def test_a_job_that_does_not_account_for_each_recording_is_said(report: Bulk, problem: str) -> None:
    assert next(report.problems(10)).startswith(problem)
