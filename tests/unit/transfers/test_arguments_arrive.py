"""Every argument of every loading operator reaches the place where it works.

Each row gives one argument another value than its default, and says where to look. The look has to find that value, and
something else without the argument: an argument that is dropped on the way fails its row.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.operators.finish_loads import (
    GenesysFinishAzureBlobLoadsOperator,
    GenesysFinishGCSLoadsOperator,
    GenesysFinishPostgresLoadsOperator,
    GenesysFinishS3LoadsOperator,
)
from airflow_provider_genesys.transfers.genesys_entities_to_azure_blob import GenesysEntitiesToAzureBlobOperator
from airflow_provider_genesys.transfers.genesys_entities_to_gcs import GenesysEntitiesToGCSOperator
from airflow_provider_genesys.transfers.genesys_entities_to_postgres import GenesysEntitiesToPostgresOperator
from airflow_provider_genesys.transfers.genesys_entities_to_s3 import GenesysEntitiesToS3Operator
from airflow_provider_genesys.transfers.genesys_media_to_azure_blob import GenesysRecordingMediaToAzureBlobOperator
from airflow_provider_genesys.transfers.genesys_media_to_gcs import GenesysRecordingMediaToGCSOperator
from airflow_provider_genesys.transfers.genesys_media_to_s3 import GenesysRecordingMediaToS3Operator
from airflow_provider_genesys.transfers.genesys_to_azure_blob import GenesysExportToAzureBlobOperator
from airflow_provider_genesys.transfers.genesys_to_gcs import GenesysExportToGCSOperator
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator
from airflow_provider_genesys.transfers.genesys_to_sqs import GenesysExportToSqsOperator
from tests.unit.transfers.boundary import HANDLE, Boundary, observe

DIFFERENT = object()
"""The value itself cannot be seen, but that it makes a difference."""

HASHING = replace(
    RECORDINGS,
    pii_key="variable:own",
    columns=tuple(replace(c, pii="hash" if c.name == "queueName" else c.pii) for c in RECORDINGS.columns),
)
STRICT = {"unknown": "freeze", "type": "quarantine", "missing": "quarantine"}
SHARD = {"number": 1, "count": 2, "start": 0, "end": 9, "planned_at": "2026-11-23T01:00:00+00:00"}


@dataclass(frozen=True)
class Row:
    """One argument: its value, where it is seen, and what is seen there unless that is the value."""

    value: Any
    look: Callable[[Boundary], Any]
    expected: Any = None
    given: dict[str, Any] = field(default_factory=dict)
    """Arguments without which it has no effect."""
    outage: bool = False
    lost: bool = False


def raised(seen: Boundary) -> str:
    return type(seen.raised).__name__


def of_sink(name: str) -> Callable[[Boundary], Any]:
    def look(seen: Boundary) -> Any:
        sinks = ("PostgresSink", "SnapshotSink", "S3Sink", "AzureBlobSink", "GCSSink")
        made = [arguments for called, arguments in seen.calls if called in sinks]  # a second one reads it back
        return made[0][name]

    return look


def option(name: str) -> Callable[[Boundary], Any]:
    return lambda seen: getattr(seen.options, name)


def aliases(seen: Boundary) -> list[str]:
    return [key.name for key in seen.context["outlet_events"]._dict if hasattr(key, "name")]


COMMON: dict[str, Row] = {
    "kind": Row("user_details", lambda seen: seen.load.kind),
    "window_start": Row(
        "2026-11-20",
        lambda seen: seen.load.window_start.isoformat(),
        "2026-11-20T00:00:00+00:00",
        {"window_end": "2026-11-21"},
    ),
    "window_end": Row(
        "2026-11-21",
        lambda seen: seen.load.window_end.isoformat(),
        "2026-11-21T00:00:00+00:00",
        {"window_start": "2026-11-20"},
    ),
    "filters": Row({"queueId": "q"}, lambda seen: seen.load.load_id, DIFFERENT),
    "contract": Row(replace(RECORDINGS, name="mine"), lambda seen: seen.load.contract.name, "mine"),
    "contract_modes": Row({"unknown": "freeze"}, lambda seen: seen.load.contract.modes.unknown, "freeze"),
    "pii_key": Row("variable:other", option("pii_key"), b"another random text of 32 characters", {"contract": HASHING}),
    "drift_alias": Row("mine", aliases, ["mine"]),
    "batch_size": Row(7, option("batch_size")),
    "flush_interval": Row(0.7, option("flush_interval")),
    "page_size": Row(7, lambda seen: seen.of("open_pages")["page_size"]),
    "max_dead_letters": Row("7", option("max_dead_letters"), 7),
    "max_dead_letter_ratio": Row("0.7", option("max_dead_letter_ratio"), 0.7),
    "dead_letter_raw": Row("drop", of_sink("dead_letter_raw")),
    "allow_empty": Row(value=True, look=option("allow_empty")),
    "allow_unused_protected": Row(value=True, look=option("allow_unused_protected")),
    "expect_records": Row("fail", lambda seen: seen.options.completeness.expect),
    "reconcile": Row("fail", lambda seen: seen.of("reconciled")["mode"]),
    "max_memory_mb": Row(700, option("max_memory_mb")),
    "processes": Row(2, option("processes")),
    "genesys_conn_id": Row("mine", lambda seen: seen.of("open_pages")["client"], "client of mine"),
    "checkpoint_mirror_conn_id": Row("mine", lambda seen: [a for c, a in seen.calls if c == "open_store"], DIFFERENT),
}
OF_ONE: dict[str, Row] = {
    "handle": Row("export-7", lambda seen: seen.load.export_id),
    "submitted_at": Row("2026-11-25", lambda seen: seen.load.submitted_at.isoformat(), "2026-11-25T00:00:00+00:00"),
    "shard": Row(SHARD, lambda seen: (seen.load.shard, seen.load.range.end), (1, 9), {"contract_modes": STRICT}),
    "on_clear": Row("resume", option("restart"), expected=False),
    "deferrable": Row(value=True, look=raised, expected="TaskDeferred", outage=True),
    "max_outage": Row(timedelta(), raised, "SourceUnavailableError", outage=True),
    "source_conn_id": Row(
        "mine",
        lambda seen: [arguments["conn_id"] for called, arguments in seen.calls if called == "open_folder"],
        ["mine", "mine"],
        {"handle": "s3://lake/raw/load/"},
    ),
    "source_prefix": Row(
        "s3://lake/",
        lambda seen: [arguments["url"] for called, arguments in seen.calls if called == "open_folder"][:1],
        ["s3://lake/raw/load/"],
        {"handle": {"contract": "raw", "location": "s3://lake/raw/load/"}},
    ),
}
POSTGRES: dict[str, Row] = {
    "table": Row("mine", of_sink("table")),
    "schema": Row("mine", of_sink("schema")),
    "create_table": Row(value=False, look=of_sink("create_table"), expected=False),
    "create_schema": Row(value=True, look=of_sink("create_schema")),
    "partition_by": Row("month", of_sink("partition_by")),
    "write_mode": Row("replace_window", of_sink("write_mode")),
    "publish": Row("atomic", of_sink("publish")),
    "raw_column": Row(value=True, look=of_sink("raw_column")),
    "allow_raw_pii": Row(value=True, look=of_sink("allow_raw_pii")),
    "child_tables": Row(value=False, look=of_sink("child_tables"), expected=False),
    "postgres_conn_id": Row("mine", of_sink("connect"), "connection mine"),
}
LOOKING_BACK: dict[str, Row] = {
    "look_back_days": Row(
        "7",
        lambda seen: seen.raised is None,
        expected=True,
        given={
            "write_mode": "replace_window",
            "handle": {**HANDLE, "window_start": "2026-11-15", "window_end": "2026-11-16"},
        },
    )
}
OBJECTS: dict[str, Row] = {
    "output_format": Row("ndjson", of_sink("output_format")),
    "part_size": Row(7_000_000, of_sink("part_size")),
    "child_files": Row(value=False, look=of_sink("child_files"), expected=False),
    "partition_format": Row("month=%m", of_sink("partition_format")),
    "lists": Row(("snowflake",), of_sink("lists")),
    "publish_to_iceberg": Row(
        {"namespace": "mine", "table": "t"},
        lambda seen: of_sink("publisher")(seen)._target.namespace,
        "mine",
        {"output_format": "parquet"},
    ),
    "extra_args": Row({"Metadata": {"a": "b"}}, of_sink("extra_args")),
}
S3: dict[str, Row] = {
    **OBJECTS,
    "s3_bucket": Row("mine", of_sink("bucket")),
    "s3_prefix": Row("mine", of_sink("prefix")),
    "fencing": Row("none", of_sink("fencing")),
    "aws_conn_id": Row("mine", of_sink("client"), ("s3", "mine")),
}
AZURE: dict[str, Row] = {
    **OBJECTS,
    "container_name": Row("mine", of_sink("container"), ("wasb_default", "mine")),
    "blob_prefix": Row("mine", of_sink("prefix")),
    "wasb_conn_id": Row("mine", of_sink("container"), ("mine", "lake")),
}

GCS: dict[str, Row] = {
    **{name: row for name, row in OBJECTS.items() if name != "publish_to_iceberg"},
    "gcs_bucket": Row("mine", of_sink("bucket"), ("google_cloud_default", "mine")),
    "gcs_prefix": Row("mine", of_sink("prefix")),
    "gcp_conn_id": Row("mine", of_sink("bucket"), ("mine", "lake")),
}


def of_queue(name: str) -> Callable[[Boundary], Any]:
    return lambda seen: getattr(seen.of("SqsSink")["settings"], name)


SQS: dict[str, Row] = {
    "dead_letter_raw": Row("drop", of_queue("dead_letter_raw")),
    "queue_url": Row("https://sqs.us-east-1.amazonaws.com/1/mine", of_queue("queue_url")),
    "dead_letter_queue_url": Row("https://sqs.us-east-1.amazonaws.com/1/mine", of_queue("dead_letter_queue_url")),
    "message_group_id": Row("mine", of_queue("message_group_id")),
    "max_message_bytes": Row(7_000, of_queue("max_message_bytes")),
    "max_in_flight": Row(
        7,
        lambda seen: (of_queue("max_in_flight")(seen), seen.of("SqsSink")["client"][2]["max_pool_connections"]),
        (7, 7),
    ),
    "checkpoint_conn_id": Row("mine", lambda seen: seen.of("SqsSink")["store"][0]),
    "checkpoint_table": Row("mine", lambda seen: seen.of("SqsSink")["store"][1]),
    "aws_conn_id": Row("mine", lambda seen: seen.of("SqsSink")["client"][1]),
}


def of_media(name: str) -> Callable[[Boundary], Any]:
    return lambda seen: seen.of("open_media")[name]


SQL = {"handle": None, "conversations_sql": "SELECT 1 AS conversation_id"}
MEDIA: dict[str, Row] = {
    **POSTGRES,
    **LOOKING_BACK,
    "kind": Row("recording_bulk", lambda seen: seen.load.kind, given={"contract": RECORDINGS}),
    "page_size": Row(7, of_media("page_size")),
    "source_conn_id": Row(
        "mine", lambda seen: seen.of("open_folder")["conn_id"], given={"handle": "s3://lake/raw/load/"}
    ),
    "source_prefix": OF_ONE["source_prefix"],
    "genesys_conn_id": Row("mine", of_media("client"), "client of mine"),
    "conversations_sql": Row(
        "SELECT 2 AS conversation_id", lambda seen: seen.of("QueryIndex")["query"], given={"handle": None}
    ),
    "conversations_parameters": Row({"a": 1}, lambda seen: seen.of("QueryIndex")["parameters"], given=SQL),
    "sql_conn_id": Row("mine", lambda seen: seen.of("QueryIndex")["connect"], "connection mine", SQL),
    "retention_threshold_days": Row("7", lambda seen: seen.of("of_retention")["days"], 7, given={"handle": None}),
    "media_at_once": Row(7, of_media("at_once")),
    "batch_poll_interval": Row(0.7, lambda seen: of_media("patience")(seen).first),
    "conversations_timeout": Row(7.0, lambda seen: seen.of("QueryIndex")["timeout"], given=SQL),
    "batch_timeout": Row(7.0, lambda seen: of_media("patience")(seen).whole),
}
MEDIA_S3: dict[str, Row] = {
    **MEDIA,
    "media_at_once": Row(
        7, lambda seen: (of_media("at_once")(seen), seen.of("s3_media")["client"][2]["max_pool_connections"]), (7, 8)
    ),
    "s3_bucket": Row("mine", lambda seen: seen.of("s3_media")["bucket"]),
    "s3_prefix": Row("mine", lambda seen: seen.of("s3_media")["prefix"]),
    "extra_args": Row({"StorageClass": "GLACIER"}, lambda seen: seen.of("s3_media")["extra_args"]),
    "aws_conn_id": Row("mine", lambda seen: seen.of("s3_media")["client"][1]),
}
MEDIA_AZURE: dict[str, Row] = {
    **MEDIA,
    "container_name": Row("mine", lambda seen: seen.of("azure_media")["container"][1]),
    "blob_prefix": Row("mine", lambda seen: seen.of("azure_media")["prefix"]),
    "extra_args": Row({"tags": {"a": "b"}}, lambda seen: seen.of("azure_media")["extra_args"]),
    "wasb_conn_id": Row("mine", lambda seen: seen.of("azure_media")["container"][0]),
}

MEDIA_GCS: dict[str, Row] = {
    **MEDIA,
    "gcs_bucket": Row("mine", lambda seen: seen.of("gcs_media")["bucket"][1]),
    "gcs_prefix": Row("mine", lambda seen: seen.of("gcs_media")["prefix"]),
    "extra_args": Row({"metadata": {"a": "b"}}, lambda seen: seen.of("gcs_media")["extra_args"]),
    "gcp_conn_id": Row("mine", lambda seen: seen.of("gcs_media")["bucket"][0]),
}


def request(name: str) -> Callable[[Boundary], Any]:
    return lambda seen: getattr(seen.of("create_export")["request"], name)


def pause(seen: Boundary) -> Any:
    return seen.raised.args[0] if seen.raised else None


NO_EFFECT = {"shard", "on_clear", "max_outage", "source_conn_id"}
"""Of an operator that finishes loads: it goes on with whole loads, which the next run takes up after an outage."""

FINISH: dict[str, Row] = {
    **COMMON,
    "include": Row(("media",), request("include"), lost=True),
    "file_format": Row("json", request("file_format"), lost=True),
    "filters": Row({"queueId": "q"}, request("filters"), lost=True),
    "options": Row({"a": "b"}, request("options"), lost=True),
    "poll_interval": Row(7, pause, lost=True),
    "timeout": Row(timedelta(), raised, "ExportTimeoutError", lost=True),
    "deferrable": Row(value=True, look=raised, expected="TaskDeferred", lost=True),
}

NO_LISTING = {
    *("handle", "kind", "window_start", "window_end", "filters", "contract", "shard", "expect_records"),  # refused
    *("submitted_at", "source_conn_id", "source_prefix", "reconcile"),
}
"""A listing is no export, and its window no window of conversations."""

LISTING: dict[str, Row] = {
    **{name: row for name, row in {**COMMON, **OF_ONE}.items() if name not in NO_LISTING},
    "entity": Row("queues", lambda seen: seen.load.kind),
    "page_size": Row(7, lambda seen: seen.of("ListingWalk")["page_size"]),
    "allow_empty": Row(value=False, look=option("allow_empty"), expected=False),
    "pii_key": replace(COMMON["pii_key"], given={"entity": str(Path(__file__).with_name("hashed_listing.yaml"))}),
    "genesys_conn_id": Row("mine", lambda seen: seen.of("ListingWalk")["client"], "client of mine"),
}
LISTED_IN_S3: dict[str, Row] = {
    "s3_prefix": Row(
        "mine", lambda seen: (of_sink("prefix")(seen), seen.of("point_to")["prefix"]), ("mine/users",) * 2
    ),
}
LISTED_IN_AZURE: dict[str, Row] = {
    "blob_prefix": replace(LISTED_IN_S3["s3_prefix"]),
}
LISTED_IN_GCS: dict[str, Row] = {
    "gcs_prefix": replace(LISTED_IN_S3["s3_prefix"]),
}
SNAPSHOTS: dict[str, Row] = {
    **POSTGRES,
    "deletes": Row("keep", lambda seen: of_sink("snapshots")(seen).deletes),
    "history": Row(value=True, look=lambda seen: of_sink("snapshots")(seen).history),
    "max_deleted_ratio": Row("0.7", lambda seen: of_sink("snapshots")(seen).max_deleted_ratio, 0.7),
}

Table = tuple[type, dict[str, Any], dict[str, Row], set[str]]
POSTGRES_PLACE: dict[str, Any] = {"table": "t"}
S3_PLACE = {"s3_bucket": "lake", "s3_prefix": "raw"}
AZURE_PLACE = {"container_name": "lake", "blob_prefix": "raw"}
GCS_PLACE = {"gcs_bucket": "lake", "gcs_prefix": "raw"}
QUEUES = {
    "queue_url": "https://sqs.us-east-1.amazonaws.com/1/records",
    "dead_letter_queue_url": "https://sqs.us-east-1.amazonaws.com/1/letters",
    "checkpoint_conn_id": "c",
}
ONE = {"handle": HANDLE}
USERS = {"entity": "users"}
OPERATORS: list[Table] = [
    (
        GenesysExportToPostgresOperator,
        {**ONE, **POSTGRES_PLACE},
        {**COMMON, **OF_ONE, **POSTGRES, **LOOKING_BACK},
        set(),
    ),
    (GenesysExportToS3Operator, {**ONE, **S3_PLACE}, {**COMMON, **OF_ONE, **S3}, set()),
    (GenesysExportToAzureBlobOperator, {**ONE, **AZURE_PLACE}, {**COMMON, **OF_ONE, **AZURE}, set()),
    (GenesysExportToGCSOperator, {**ONE, **GCS_PLACE}, {**COMMON, **OF_ONE, **GCS}, {"publish_to_iceberg"}),
    (GenesysRecordingMediaToGCSOperator, {**ONE, "gcs_bucket": "lake"}, {**COMMON, **OF_ONE, **MEDIA_GCS}, set()),
    (
        GenesysEntitiesToGCSOperator,
        {**USERS, **GCS_PLACE},
        {**LISTING, **GCS, **LISTED_IN_GCS},
        {*NO_LISTING, "child_files", "publish_to_iceberg"},
    ),
    (GenesysFinishGCSLoadsOperator, GCS_PLACE, {**FINISH, **GCS}, {*NO_EFFECT, "publish_to_iceberg"}),
    (GenesysExportToSqsOperator, {**ONE, **QUEUES}, {**COMMON, **OF_ONE, **SQS}, set()),
    (GenesysRecordingMediaToS3Operator, {**ONE, "s3_bucket": "lake"}, {**COMMON, **OF_ONE, **MEDIA_S3}, set()),
    (
        GenesysRecordingMediaToAzureBlobOperator,
        {**ONE, "container_name": "lake"},
        {**COMMON, **OF_ONE, **MEDIA_AZURE},
        set(),
    ),
    (
        GenesysEntitiesToPostgresOperator,
        {**USERS},
        {**LISTING, **SNAPSHOTS},
        {*NO_LISTING, "publish", "write_mode", "partition_by", "child_tables"},
    ),
    (
        GenesysEntitiesToS3Operator,
        {**USERS, **S3_PLACE},
        {**LISTING, **S3, **LISTED_IN_S3},
        {*NO_LISTING, "child_files"},
    ),
    (
        GenesysEntitiesToAzureBlobOperator,
        {**USERS, **AZURE_PLACE},
        {**LISTING, **AZURE, **LISTED_IN_AZURE},
        {*NO_LISTING, "child_files"},
    ),
    (GenesysFinishPostgresLoadsOperator, POSTGRES_PLACE, {**FINISH, **POSTGRES}, NO_EFFECT),
    (GenesysFinishS3LoadsOperator, S3_PLACE, {**FINISH, **S3}, NO_EFFECT),
    (GenesysFinishAzureBlobLoadsOperator, AZURE_PLACE, {**FINISH, **AZURE}, NO_EFFECT),
]


def parameters(operator: type) -> set[str]:
    """Return the names of what a user may set, but for what every operator of Airflow has."""
    own = [one for one in operator.__mro__ if one not in BaseOperator.__mro__ and "__init__" in vars(one)]
    return {
        name
        for one in own
        for name, parameter in inspect.signature(vars(one)["__init__"]).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_OWN", "a random text of 32 characters, or more")
    monkeypatch.setenv("AIRFLOW_VAR_OTHER", "another random text of 32 characters")


@pytest.mark.parametrize(
    ("operator", "place", "rows", "no_effect"), OPERATORS, ids=lambda one: getattr(one, "__name__", "")
)
def test_every_parameter_has_its_row(
    operator: type, place: dict[str, Any], rows: dict[str, Row], no_effect: set[str]
) -> None:
    assert parameters(operator) == rows.keys() | no_effect, "give each parameter a row, or say why it has none"


RAW = {**ONE, "output_format": "raw"}
LANDED: dict[str, Row] = {
    **{name: COMMON[name] for name in ("window_start", "filters", "allow_empty", "max_memory_mb", "drift_alias")},
    **{name: OF_ONE[name] for name in ("handle", "on_clear", "source_conn_id", "source_prefix")},
    "genesys_conn_id": Row("mine", lambda seen: seen.of("hook")["conn_id"]),
}
NOT_OF_BYTES = {"output_format", "child_files", "lists", "publish_to_iceberg"}
LANDINGS: list[Table] = [
    (GenesysExportToS3Operator, {**RAW, **S3_PLACE}, {**LANDED, **S3}, NOT_OF_BYTES),
    (GenesysExportToAzureBlobOperator, {**RAW, **AZURE_PLACE}, {**LANDED, **AZURE}, NOT_OF_BYTES),
    (GenesysExportToGCSOperator, {**RAW, **GCS_PLACE}, {**LANDED, **GCS}, NOT_OF_BYTES),
]


def every_row() -> Iterator[Any]:
    for operator, place, rows, no_effect in OPERATORS + LANDINGS:
        for name in sorted(rows.keys() - no_effect):
            case = f"{operator.__name__}-{place.get('output_format', 'rows')}-{name}"
            yield pytest.param(operator, place, name, rows[name], id=case)


@pytest.mark.parametrize(("operator", "place", "name", "row"), every_row())
def test_an_argument_arrives(operator: type, place: dict[str, Any], name: str, row: Row) -> None:
    given = {"deferrable": False, **place, **row.given}
    case = {"outage": row.outage, "lost": row.lost}
    found = row.look(observe(operator, {**given, name: row.value}, **case))
    if row.expected is not DIFFERENT:
        assert found == (row.value if row.expected is None else row.expected)
    without = observe(operator, given, **case)
    try:
        default = row.look(without)
    except (AttributeError, IndexError, KeyError, TypeError):
        return  # without it nothing gets as far
    assert found != default


@pytest.mark.parametrize(
    ("operator", "place"), [one[:2] for one in OPERATORS], ids=lambda one: getattr(one, "__name__", "")
)
def test_dead_letters_are_encrypted_by_the_genesys_connection(operator: type, place: dict[str, Any]) -> None:
    seen = observe(operator, {"genesys_conn_id": "mine", **place})
    queue = operator is GenesysExportToSqsOperator
    encrypt = of_queue("encrypt")(seen) if queue else of_sink("encrypt")(seen)
    assert encrypt(b"raw", b"") == b"encrypted by mine: raw"
