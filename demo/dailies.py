"""The daily DAGs that ``./run demo --dag NAME`` runs."""

from __future__ import annotations

from functools import partial

from demo import aggregates, bulk, lake, media, reference
from demo.daily import Daily
from demo.loads import collect

RECORDINGS = Daily(
    "genesys_recordings_daily",
    counted="records",
    number=60_000,
    collect=partial(
        collect, table="genesys_recordings", columns=("recording_id", "timestamp", "duration_ms", "queue_name")
    ),
    settings={"broken": 0.0005},
)
CONVERSATIONS = Daily(
    "genesys_conversation_details_daily",
    counted="conversations",
    number=2_000,
    collect=partial(
        collect,
        table="conversation_details",
        columns=("conversation_id", "conversation_start", "originating_direction"),
        children=("participants", "sessions", "segments", "metrics"),
    ),
)
MEDIA = Daily(
    "genesys_recording_media_daily",
    counted="conversations",
    number=200,
    collect=media.collect,
    settings={
        "recordings_each": 1,
        "media_bytes": (100_000, 1_500_000),
        "sensitive": 0.02,
        "requests_per_minute": 6_000,  # Genesys' 300 would take a minute for the metadata alone
    },
)
BULK = Daily(
    "genesys_recording_bulk_export",
    counted="conversations",
    number=2_000,
    collect=bulk.collect,
    settings={"recordings_each": 1, "failed_recordings": 3},
    conf={"integration_id": "demo-integration"},
)
AGGREGATES = Daily(
    "genesys_aggregates_daily",
    counted="conversations",
    number=500,
    collect=aggregates.report,
)
REFERENCE = Daily(
    "genesys_reference_daily",
    counted="users",
    number=60,
    collect=reference.collect,
    settings={"conversations": 200, "requests_per_minute": 60_000},
    conf={"entities": [*reference.SHOWN]},  # one of each way of paging; all would take minutes
)
ICEBERG = Daily(
    "genesys_recordings_iceberg",
    counted="records",
    number=20_000,
    collect=lake.collect,
    settings={"broken": 0.0005},
    again=0.9,  # as if Genesys had taken some recordings back
)
DAILIES = {daily.dag_id: daily for daily in (RECORDINGS, CONVERSATIONS, MEDIA, BULK, AGGREGATES, REFERENCE, ICEBERG)}
