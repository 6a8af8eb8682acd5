"""Which load may follow another one in an object store, and what its first ledger entry takes over.

A load follows only one whose export was requested earlier. If the time of the other request is unknown, it is taken to
be at or before the time at which that load began. If that does not decide, the load fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from airflow_provider_genesys.exceptions import SinkRefusedError, UnrankedExportError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.pipeline.load import Load, Previous, continues, is_later
from airflow_provider_genesys.sinks.objects.layout import Layout
from airflow_provider_genesys.sinks.objects.ledger import Entry, Ledger
from airflow_provider_genesys.sinks.objects.row_parts import all_of
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.times import now, parse_time

_NEWEST = {"kind", "window_start", "window_end", "submitted_at", "contract", "run_id"}
"""The facts of a load that may change in its next attempt."""


def successor(
    latest: Entry | None, load: Load, attempt: str, *, restart: bool, partition: str, writes: str | None = None
) -> Entry:
    """Return the entry that takes over from ``latest``: with its checkpoint, or without one.

    :param partition: the partition of a new load; an older load keeps its own.
    :param writes: the form of this attempt's parts; see :func:`.load.continues`.
    :raises SinkRefusedError: ``latest`` is of an export that was requested later.
    :raises UnrankedExportError: it is not known which of the two exports was requested later.
    """
    facts = {name: value for name, value in load.facts.as_json().items() if name in _NEWEST}
    newest = {**facts, "written_at": now().isoformat(), "writes": writes}
    if latest is None:
        return Entry(1, 1, attempt, load.load_id, load.export_id, partition=partition, **newest)
    _check_rank(latest, load)
    number, fence, same = latest.number + 1, latest.fence + 1, latest.export_id == load.export_id
    previous = Previous(latest.export_id, latest.state, latest.checkpoint, latest.writes)
    if latest.checkpoint and continues(previous, load.export_id, writes, restart=restart):
        checkpoint = replace(latest.checkpoint, fence=fence)
        if load.self_asked:
            newest["submitted_at"] = latest.submitted_at
        return replace(
            latest,
            number=number,
            fence=fence,
            attempt=attempt,
            attempts=latest.attempts + 1,
            checkpoint=checkpoint,
            **newest,
        )
    processed_at = latest.processed_at if same else None
    begun = Entry(number, fence, attempt, load.load_id, load.export_id, processed_at=processed_at, **newest)
    return replace(begun, partition=latest.partition, kept=_kept(latest))


def check_other_shards(store: ObjectStore, layout: Layout, load: Load, keys: Iterable[str] | None = None) -> None:
    """Check the load against its other ledgers: it may also be there in one piece, or in other shards.

    :param keys: of all its ledgers; None to list them.
    :raises SinkRefusedError: one is of an export that was requested later.
    :raises UnrankedExportError: it is not known which of the two exports was requested later.
    """
    found = ledger_keys(store, layout) if keys is None else keys
    for folder in sorted({f"{key.rpartition('/')[0]}/" for key in found} - {layout.ledger}):
        other = Ledger(store, folder, "none").latest()
        if other:
            _check_rank(other, load)


def ledger_keys(store: ObjectStore, layout: Layout) -> list[str]:
    """Return the keys of the entries of all ledgers of the load: of it in one piece, and of each of its shards."""
    return [stored.key for stored in store.list_objects(layout.ledgers)]


def _check_rank(latest: Entry, load: Load) -> None:
    if latest.export_id == load.export_id:
        return
    asked = parse_time(latest.submitted_at)
    later = is_later(load.submitted_at, asked, parse_time(latest.processed_at or latest.written_at))
    if later is None:
        raise _unranked(latest, load)
    if not later:
        raise SinkRefusedError(_complete(latest, load) if latest.state != "loading" else _under_way(latest, load))


def _complete(latest: Entry, load: Load) -> str:
    return (
        f"{_window(load)} is there already, of {_asked(latest)}, later than {_own(load)}: an older export does not "
        "replace it. Clear the task that creates the export, to create it again. If the older one is wanted, load it "
        "below another prefix."
    )


def _under_way(latest: Entry, load: Load) -> str:
    return (
        f"{_window(load)} is being loaded from {_asked(latest)}, later than {_own(load)}: an older export does not "
        f"take over that load, which is not complete; its last step was at {latest.written_at}. Let its task "
        f"{shown(latest.run_id, 200)} end, or clear it. If it cannot end, clear the task that creates this export: "
        "what is created now is newer. If the older one is wanted, load it below another prefix."
    )


def _unranked(latest: Entry, load: Load) -> UnrankedExportError:
    return UnrankedExportError(
        f"{_window(load)} is there already, of {_asked(latest)}. It is not known whether {_own(load)} was requested "
        "later. Nothing is changed. Give the operator submitted_at, the time at which that export was requested, and "
        "clear the task. Or clear the task that creates the export, to create it again."
    )


def _window(load: Load) -> str:
    return f"The window {load.window_start.isoformat()} to {load.window_end.isoformat()}"


def _asked(latest: Entry) -> str:
    return f"export {shown(latest.export_id, 40)}, requested at {shown(latest.submitted_at or 'an unknown time', 40)}"


def _own(load: Load) -> str:
    asked = load.submitted_at
    return f"export {load.export_id} (requested at {asked.isoformat() if asked else 'an unknown time'})"


def _kept(latest: Entry) -> list[str]:
    """Return the parts to keep when the load of ``latest`` is loaded again."""
    parts = [*latest.parts, *all_of(latest.children)] if latest.published else []
    return list(dict.fromkeys([*latest.kept, *(part.key for part in parts)]))
