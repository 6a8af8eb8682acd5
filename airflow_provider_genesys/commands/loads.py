"""``loads`` and ``load``: show the ledger of a sink."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from airflow_provider_genesys.commands.output import AsJson, print_json, print_rows
from airflow_provider_genesys.commands.places import PlaceArgument, PlaceConnection, open_place
from airflow_provider_genesys.exceptions import NotFoundError

_COUNTS = ("read", "written", "dead_letters", "duplicates")
_COLUMNS = ("load_id", "shard", "state", "kind", "window_start", "window_end", *_COUNTS, "attempts")


def loads(
    place: PlaceArgument,
    conn_id: PlaceConnection = None,
    state: Annotated[str | None, typer.Option(help="Only loads in this state: loading or complete.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the loads of a table or a folder, the newest window first.

    Example: airflow-genesys loads public.genesys_recordings
    """
    found = (_flat(row) for row in open_place(place, conn_id).loads() if state in (None, row["state"]))
    print_rows(_COLUMNS, found, as_json=as_json)


def load(
    place: PlaceArgument,
    load_id: Annotated[str, typer.Argument(help="The load's id, as `loads` lists it.")],
    conn_id: PlaceConnection = None,
) -> None:
    """Show everything that the ledger holds of one load, its certificate included, as JSON.

    Example: airflow-genesys load s3://lake/genesys/recordings 8f14e45fceea167a
    """
    found = [row for row in open_place(place, conn_id).loads() if row["load_id"] == load_id]
    if not found:
        raise NotFoundError(f"{place} has no load {load_id!r:.80}. `airflow-genesys loads {place}` lists those it has.")
    print_json(found[0] if len(found) == 1 else found)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    counts = row["counts"] or {}
    flat = {name: value for name, value in row.items() if name not in ("counts", "certificate")}
    return flat | {name: counts.get(name) for name in _COUNTS}
