"""Loads of listings that are killed: the next one goes on, and the snapshot is the same."""

from __future__ import annotations

import gzip
import json
from functools import partial
from random import Random
from typing import Any

import pytest

from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.services import S3Server
from airflow_provider_genesys.transfers.genesys_entities_to_postgres import GenesysEntitiesToPostgresOperator
from airflow_provider_genesys.transfers.genesys_entities_to_s3 import GenesysEntitiesToS3Operator
from tests.sinks.lake import client_for
from tests.support.task_context import run
from tests.unit.transfers.listings import Rows, genesys, killed, members, on, rows

__all__ = ["genesys", "rows"]

MEMBERS: dict[str, Any] = {
    "task_id": "load",
    "entity": "queue_members",
    "page_size": 12,
    "dead_letter_raw": "drop",
    "drift_alias": None,
    "on_clear": "resume",
}


def into_postgres() -> GenesysEntitiesToPostgresOperator:
    return GenesysEntitiesToPostgresOperator(**MEMBERS, history=True)


def check_table(genesys: FakeGenesys, rows: Rows) -> None:
    expected = members(genesys)
    assert {row["key"] for row in rows("SELECT key FROM queue_members WHERE _deleted_at IS NULL")} == expected
    assert len(rows("SELECT key FROM queue_members_history WHERE _valid_to IS NULL")) == len(expected)
    assert len(rows("SELECT key FROM queue_members_history")) == len(expected)


def test_killed_at_steps_all_along_a_walk_below_parents_the_snapshot_is_the_same(
    genesys: FakeGenesys, rows: Rows
) -> None:
    organisation = genesys.listings.organisation
    moved = organisation.table("queue_members", next(iter(organisation.table("queues"))).id)
    day = 0
    while True:
        moved.create(f"Member {day}")
        if not killed(into_postgres, day, 5 * day):
            break
        run(into_postgres(), on(day))
        check_table(genesys, rows)
        day += 1
    assert day > 3


def test_killed_again_and_again_at_random_a_walk_below_parents_comes_to_its_end(
    genesys: FakeGenesys, rows: Rows
) -> None:
    random = Random(15)  # noqa: S311 - a seed, not a secret
    tries = 0
    while killed(into_postgres, 0, random.randrange(3, 14)):
        tries += 1
    check_table(genesys, rows)
    assert tries > 2


def _snapshot(client: Any, bucket: str) -> list[str]:
    """Return the keys of all rows that the newest complete snapshot has."""

    def get(key: str) -> bytes:
        return bytes(client.get_object(Bucket=bucket, Key=key.removeprefix(f"s3://{bucket}/"))["Body"].read())

    pointer = json.loads(get("raw/queue_members/_latest.json"))
    manifest = json.loads(get(pointer["manifest"]))
    lines = [line for part in manifest["parts"] for line in gzip.decompress(get(part["key"])).splitlines()]
    assert len(lines) == pointer["rows"] == manifest["counts"]["written"]
    return [json.loads(line)["key"] for line in lines]


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=[pytest.mark.long] if step % 18 else []) for step in range(38)]
)
def test_killed_at_any_step_of_a_walk_into_s3_the_snapshot_is_the_same(
    genesys: FakeGenesys, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(s3.connection()))
    into_s3 = partial(GenesysEntitiesToS3Operator, **MEMBERS, s3_bucket=bucket, s3_prefix="raw", part_size=2000)

    assert killed(into_s3, 0, step)
    summary = run(into_s3(), on(0))
    assert summary["counts"]["duplicates"] == 0
    assert sorted(_snapshot(client_for(s3.endpoint_url), bucket)) == sorted(members(genesys))
