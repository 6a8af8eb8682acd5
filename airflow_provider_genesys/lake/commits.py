"""What the snapshots of a table say of earlier loads, and what follows for the next one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from airflow_provider_genesys.exceptions import FencedError, SinkRefusedError, UnrankedExportError
from airflow_provider_genesys.lake.files import WindowFiles
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.objects.publish import Publication
from airflow_provider_genesys.times import iso_time

PREFIX = "genesys."
"""What the names of our properties of a snapshot begin with."""


@dataclass(frozen=True)
class Committed:
    """What the newest commit of a window says of the load that made it."""

    snapshot_id: int
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
    window = None if load.self_asked else (iso_time(load.window_start), iso_time(load.window_end))
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        facts = _facts(snapshot)
        if "load-id" in facts and window in (None, (facts.get("window-start"), facts.get("window-end"))):
            return _committed(snapshot, facts)
    return None


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
    if found.load_id == load.load_id:
        if found.fence > publication.fence and not _is_later(load, found):  # a ledger that was removed begins again
            raise FencedError(
                f"A newer attempt (fence {found.fence}) has committed this window to the Iceberg table {table}; this "
                f"one (fence {publication.fence}) stops. Nothing is lost. If the load's ledger was removed meanwhile, "
                "so that fences began again, create the export again."
            )
        return False
    if not held.files:
        return False
    if found.contract == str(load.contract) and not load.self_asked:
        raise SinkRefusedError(
            f"The Iceberg table {table} has this window of export {found.export_id}, which another load made with the "
            "same contract but with other filters or another key for personal data. So neither replaces the other. "
            "Publish this one to another table; or if it is to replace the window, delete that from the table first."
        )
    if found.submitted_at is None or load.submitted_at is None:
        raise UnrankedExportError(
            f"The Iceberg table {table} has this window of export {found.export_id}, and it is not known whether "
            f"export {load.export_id} was requested later. Give submitted_at to the task."
        )
    if found.submitted_at <= load.submitted_at:
        return False
    if load.self_asked:
        return True
    raise SinkRefusedError(
        f"The Iceberg table {table} has this window of export {found.export_id}, requested at "
        f"{found.submitted_at.isoformat()}, later than export {load.export_id}: an older export does not replace it. "
        "Create the export again, or delete the window from the table first."
    )


def _is_later(load: Load, found: Committed) -> bool:
    """Whether the load's export is known to have been requested later."""
    return bool(load.submitted_at and found.submitted_at and load.submitted_at > found.submitted_at)


def _facts(snapshot: Snapshot) -> dict[str, str]:
    given = snapshot.summary.additional_properties if snapshot.summary else {}
    return {name.removeprefix(PREFIX): value for name, value in given.items() if name.startswith(PREFIX)}


def _committed(snapshot: Snapshot, facts: dict[str, str]) -> Committed:
    asked = facts.get("submitted-at")
    return Committed(
        snapshot.snapshot_id,
        facts["load-id"],
        facts.get("export-id", ""),
        int(facts.get("fence", 0)),
        facts.get("manifest-digest", ""),
        facts.get("contract", ""),
        datetime.fromisoformat(asked) if asked else None,
    )
