"""What the snapshots of a table say of earlier loads, and what follows for the next one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from airflow_provider_genesys.exceptions import FencedError, SinkRefusedError, UnrankedExportError
from airflow_provider_genesys.lake.files import WindowFiles
from airflow_provider_genesys.pipeline.load import Load, is_later
from airflow_provider_genesys.sinks.objects.publish import Publication
from airflow_provider_genesys.times import iso_time

PREFIX = "genesys."
"""What the names of our properties of a snapshot begin with."""


@dataclass(frozen=True)
class Committed:
    """What the newest commit of a window says of the load that made it."""

    snapshot_id: int
    at: datetime
    """When the commit was made."""
    window: tuple[str, str]
    """Its start and end, ISO 8601 in UTC."""
    load_id: str
    export_id: str
    fence: int
    digest: str
    contract: str
    submitted_at: datetime | None


def properties_of(publication: Publication, rows: int, digest: str) -> dict[str, str]:
    """Return the properties of the snapshot that a load makes."""
    load = publication.load
    facts = {
        "load-id": load.load_id,
        "fence": publication.fence,
        "export-id": load.export_id,
        "kind": load.kind,
        "window-start": iso_time(load.window_start),
        "window-end": iso_time(load.window_end),
        "submitted-at": iso_time(load.submitted_at) or "",
        "contract": load.contract,
        "rows": rows,
        "manifest-digest": digest,
    }
    return {f"{PREFIX}{name}": str(value) for name, value in facts.items()}


def newest(table: Table, load: Load) -> Committed | None:
    """Return the newest commit of the load's window in the table's history, of any window for a listing.

    None if there is none: none was made, it was rolled back, or maintenance has removed it.
    """
    own = _window(load)
    return next((found for found in _history(table) if load.self_asked or found.window == own), None)


def inside(table: Table, load: Load) -> list[Committed]:
    """Return the newest commit of each shorter window inside the load's; none for a listing."""
    start, end = own = _window(load)
    newest: dict[tuple[str, str], Committed] = {}
    for found in () if load.self_asked else _history(table):
        if found.window != own and start <= found.window[0] <= found.window[1] <= end:
            newest.setdefault(found.window, found)
    return list(newest.values())


def is_own(found: Committed | None, held: WindowFiles, load: Load, rows: int, digest: str) -> bool:
    """Whether ``found`` is this load's commit, and the table still has its rows, perhaps in other files."""
    if found is None or (found.load_id, found.digest) != (load.load_id, digest):
        return False
    return held.rows == rows and not held.deleted


def is_newer(found: Committed, held: WindowFiles, publication: Publication, table: str) -> bool:
    """Whether ``found`` is of a listing that was read later than this one.

    :param held: what ``table`` has of the window. If that is nothing, another load has nothing to lose.
    :raises FencedError: it is of a newer attempt of the same load.
    :raises SinkRefusedError: it is of an export that was requested later, or of a load with other filters.
    :raises UnrankedExportError: it is not known which of the two exports was requested later.
    """
    load = publication.load
    # A ledger that was removed begins again with the first fence.
    if found.load_id == load.load_id and found.fence > publication.fence and not _is_later(load, found):
        raise FencedError(
            f"A newer attempt (fence {found.fence}) has committed this window to the Iceberg table {table}; this one "
            f"(fence {publication.fence}) stops. Nothing is lost. If the load's ledger was removed meanwhile, so that "
            "fences began again, create the export again."
        )
    if found.export_id == load.export_id or not held.files:
        return False
    if found.load_id != load.load_id and found.contract == str(load.contract) and not load.self_asked:
        raise SinkRefusedError(
            f"The Iceberg table {table} has this window of export {found.export_id}, which another load made with the "
            "same contract but with other filters or another key for personal data. So neither replaces the other. "
            "Publish this one to another table; or if it is to replace the window, delete that from the table first."
        )
    if load.self_asked and _is_later(load, found) is False:
        return True
    check_rank(found, load, table)
    return False


def check_rank(found: Committed, load: Load, table: str) -> None:
    """Check that the export of ``load`` was requested later than that of ``found``.

    :raises SinkRefusedError: it was requested earlier.
    :raises UnrankedExportError: it is not known which of the two was requested later.
    """
    later = _is_later(load, found)
    if later or found.export_id == load.export_id:
        return
    there = (
        f"The Iceberg table {table} has the window {' to '.join(found.window)} of export {found.export_id}, requested "
        f"at {iso_time(found.submitted_at) or 'an unknown time'}"
    )
    if later is None:
        raise UnrankedExportError(
            f"{there}. It is not known whether export {load.export_id} (requested at "
            f"{iso_time(load.submitted_at) or 'an unknown time'}) was requested later. Nothing is committed. Give the "
            "operator submitted_at, the time at which that export was requested, and clear the task."
        )
    raise SinkRefusedError(
        f"{there}, later than export {load.export_id}: an older export does not replace it. Create the export again, "
        "or delete the window from the table first."
    )


def _is_later(load: Load, found: Committed) -> bool | None:
    """Whether the load's export was requested later; None if that is not known."""
    return is_later(load.submitted_at, found.submitted_at, found.at)


def _history(table: Table) -> Iterator[Committed]:
    """Yield the commits of loads in the table's history, the newest first."""
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        facts = _facts(snapshot)
        if "load-id" in facts:
            yield _committed(snapshot, facts)


def _window(load: Load) -> tuple[str, str]:
    return str(iso_time(load.window_start)), str(iso_time(load.window_end))


def _facts(snapshot: Snapshot) -> dict[str, str]:
    given = snapshot.summary.additional_properties if snapshot.summary else {}
    return {name.removeprefix(PREFIX): value for name, value in given.items() if name.startswith(PREFIX)}


def _committed(snapshot: Snapshot, facts: dict[str, str]) -> Committed:
    asked = facts.get("submitted-at")
    return Committed(
        snapshot.snapshot_id,
        datetime.fromtimestamp(snapshot.timestamp_ms / 1000, timezone.utc),
        (facts.get("window-start", ""), facts.get("window-end", "")),
        facts["load-id"],
        facts.get("export-id", ""),
        int(facts.get("fence", 0)),
        facts.get("manifest-digest", ""),
        facts.get("contract", ""),
        datetime.fromisoformat(asked) if asked else None,
    )
