"""What a sink cannot do is refused when it is made or opened, and what it just can is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS, built_in
from airflow_provider_genesys.exceptions import ConfigurationError, ContractError, GenesysError, SinkRefusedError
from airflow_provider_genesys.sinks.objects.settings import LARGEST_PART_SIZE, ObjectSettings, check_retries
from airflow_provider_genesys.sinks.postgres.shards import check_options
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from airflow_provider_genesys.sinks.postgres.snapshots import Snapshots
from airflow_provider_genesys.sinks.postgres.tables.children import children_of
from airflow_provider_genesys.sinks.postgres.tables.columns import child_name
from airflow_provider_genesys.sinks.postgres.tables.partitions import Partitions
from airflow_provider_genesys.sinks.sqs.messages import LARGEST_BATCH
from airflow_provider_genesys.sinks.sqs.settings import MOST_IN_FLIGHT, SMALLEST_LIMIT, SqsSettings
from airflow_provider_genesys.stores.folder import FolderStore
from tests.sinks.batches import make_load

Make = Callable[[], object]
URLS = {"queue_url": "https://sqs.example.com/1/a", "dead_letter_queue_url": "https://sqs.example.com/1/b"}
DETAILS = built_in("conversation_details")
LOAD = make_load()
UNTIMED = replace(
    RECORDINGS,
    columns=tuple(replace(one, required=one.name == RECORDINGS.key) for one in RECORDINGS.columns),
)


def objects(**given: Any) -> Make:
    chosen = {"output_format": "ndjson", "part_size": 1, "dead_letter_raw": "keep", "prefix": "raw", **given}
    return lambda: ObjectSettings(**chosen)


def queues(**given: Any) -> Make:
    return lambda: SqsSettings(**{**URLS, "dead_letter_raw": "keep", **given})


def table(**given: Any) -> Make:
    return lambda: PostgresSink(lambda: pytest.fail("it connects"), "t", dead_letter_raw="keep", **given)


REFUSED: list[tuple[Make, type[GenesysError], str]] = [
    (objects(output_format="csv"), ConfigurationError, "output_format is 'csv'"),
    (objects(fencing="perhaps"), ConfigurationError, "fencing is 'perhaps'"),
    (objects(part_size=0), ConfigurationError, "part_size is 0"),
    (objects(part_size=LARGEST_PART_SIZE + 1), ConfigurationError, "part_size is"),
    (objects(dead_letter_raw="perhaps"), ConfigurationError, "dead_letter_raw is 'perhaps'"),
    (objects(dead_letter_raw="encrypt"), ConfigurationError, "needs the function that encrypts"),
    (objects(publisher=object()), ConfigurationError, "needs output_format='parquet'"),
    (lambda: check_retries(-1), ConfigurationError, "retries is -1"),
    (lambda: FolderStore(Path("/nowhere")), SinkRefusedError, "There is no folder /nowhere"),
    *((queues(**{name: "a"}), ConfigurationError, f"{name} is 'a'; it has to be the URL") for name in URLS),
    (queues(queue_url=URLS["dead_letter_queue_url"]), ConfigurationError, "need a separate queue"),
    *((queues(message_group_id=one), ConfigurationError, "printable ASCII") for one in ("", "a b", "ä", "x" * 129)),
    (queues(max_message_bytes=SMALLEST_LIMIT - 1), ConfigurationError, "max_message_bytes is"),
    (queues(max_message_bytes=LARGEST_BATCH + 1), ConfigurationError, "max_message_bytes is"),
    (queues(max_in_flight=0), ConfigurationError, "max_in_flight is 0"),
    (queues(max_in_flight=MOST_IN_FLIGHT + 1), ConfigurationError, "max_in_flight is"),
    (queues(retries=-1), ConfigurationError, "retries is -1"),
    (queues(dead_letter_raw="encrypt"), ConfigurationError, "needs the function that encrypts"),
    (table(write_mode="append"), ConfigurationError, "write_mode is one of"),
    (table(publish="later"), ConfigurationError, "publish is one of"),
    (lambda: check_options(replace(LOAD, shard=1), "atomic"), ConfigurationError, "shards complete one by one"),
    (lambda: Snapshots(deletes="forget"), ConfigurationError, "deletes is one of"),  # type: ignore[arg-type]
    (lambda: Snapshots(max_deleted_ratio=1.1), ConfigurationError, "max_deleted_ratio is a share"),
    (lambda: Snapshots(max_deleted_ratio=-0.1), ConfigurationError, "max_deleted_ratio is a share"),
    *(
        (
            lambda modes=modes: children_of("s", "t", replace(LOAD, contract=DETAILS), modes),  # type: ignore[misc]
            ConfigurationError,
            "has child tables, which are written batch by batch",
        )
        for modes in (("replace_window", "batches"), ("upsert", "atomic"))
    ),
    (lambda: child_name("t" * 60, DETAILS.children[0], DETAILS), ContractError, "that is too long"),
    (lambda: Partitions("s", "t", "hour"), ConfigurationError, "partition_by is one of"),  # type: ignore[arg-type]
    (lambda: Partitions("s", "t" * 55, "day"), ConfigurationError, "longer name than PostgreSQL takes"),
    (lambda: Partitions("s", "t", "day").create_target(UNTIMED), ContractError, "needs a required timestamp"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED, ids=[f"{n} {one[2]}" for n, one in enumerate(REFUSED)])
def test_what_a_sink_cannot_do_is_refused(make: Make, error: type[GenesysError], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


ALLOWED: list[Make] = [
    objects(part_size=LARGEST_PART_SIZE, fencing="none"),
    objects(dead_letter_raw="encrypt", encrypt=bytes),
    objects(output_format="parquet", publisher=object()),
    lambda: check_retries(0),
    queues(message_group_id="x" * 128, max_message_bytes=SMALLEST_LIMIT, max_in_flight=1, retries=0),
    queues(max_message_bytes=LARGEST_BATCH, max_in_flight=MOST_IN_FLIGHT),
    table(write_mode="replace_window", publish="atomic"),
    lambda: check_options(LOAD, "atomic"),
    lambda: check_options(replace(LOAD, shard=1), "batches"),
    lambda: Snapshots(deletes="keep", max_deleted_ratio=0),
    lambda: Snapshots(max_deleted_ratio=1),
    lambda: children_of("s", "t", LOAD, ("upsert", "atomic")),
    lambda: children_of("s", "t", replace(LOAD, contract=DETAILS), None),
    lambda: Partitions("s", "t" * 54, "month").create_target(RECORDINGS),
]


@pytest.mark.parametrize("make", ALLOWED)
def test_what_a_sink_just_can_is_not_refused(make: Make) -> None:
    make()
