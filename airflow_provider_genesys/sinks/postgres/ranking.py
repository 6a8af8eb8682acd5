"""Which of two exports is newer: the one that was asked for later, as far as there is evidence of it.

Where it is not known when an export was asked for, that was at least before its rows were written. Where that does not
decide either, or both were asked for at the same moment, the load ends: an error, and never a coin.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_genesys.exceptions import UnrankedExportError

EARLIER = "(t.{export} IS NULL OR coalesce(coalesce(t.{submitted}, t.{loaded}) < %(submitted)s::timestamptz, false))"
"""Whether the row ``t`` is of an export that was asked for before that of the load, or has no lineage."""

LATER = "coalesce(t.{submitted} > %(submitted)s::timestamptz, false)"
"""Whether the row ``t`` is of an export that was asked for after that of the load."""

SHOWN = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.USOF')"""
"""The time as ISO 8601 in UTC, whatever the connection's settings are."""


def unranked(lineage: dict[str, Any], other: str, submitted: str | None, records: int) -> UnrankedExportError:
    """Make the error for two exports of which nobody knows the newer one.

    :param lineage: of the load, see :func:`.postgres.upsert.lineage`.
    :param other: the other source, ``export_id/shard``.
    :param submitted: when that one was asked for, as :data:`SHOWN` has it; None where it is not known.
    :param records: how many records of both were met.
    """
    export = lineage["export"]
    own = lineage["submitted"]
    return UnrankedExportError(
        f"Export {export} and {lineage['target']}, which holds {records} of its records from export "
        f"{other.rpartition('/')[0]}: it is not known which of the two was asked for later. {export} was asked for at "
        f"{own.isoformat() if own else '(nobody knows)'}, the other one at {submitted or '(nobody knows)'}. Nothing of "
        f"this batch is written. Give the operator submitted_at, the time at which export {export} was asked for, and "
        "clear the task."
    )
