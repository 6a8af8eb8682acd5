"""All loads together: which windows are missing, and what needs a person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_genesys.plugin.shown import WORST_FIRST, TaskRow, loads_of, status_of, verdict_of
from airflow_provider_genesys.times import parse_time

DEAD_LETTER_SHARE = 0.01
"""Share of a load's records that may become dead letters before the page asks a person to look."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LEAST = 3
"""A series with this many windows has a known rhythm."""
_MOST = 2_000
"""Most missing windows that are listed for one series."""

_SHOWN = (
    *("dag_id", "run_id", "task_id", "map_index", "state", "status", "kind", "sink", "window_start", "window_end"),
    *("started_at", "ended_at", "seconds", "bytes_read", "counts", "progress", "location"),
)
Shown = dict[str, Any]


def overview(rows: Iterable[TaskRow]) -> dict[str, list[Shown]]:
    """Return ``loads``, ``missing`` windows, newest ``snapshots`` of listings, and what needs ``attention``.

    :param rows: task instances with their XComs, the newest run first.
    """
    rows = list(rows)
    found = [load for row in rows for load in loads_of(row)]
    _name_kinds(found)
    judge_again(found, rows)
    newest = list(_newest(found))
    missing = [gap for series in _series(newest).values() for gap in _gaps(series)]
    return {
        "loads": [_brief(load) for load in newest],
        "missing": missing,
        "snapshots": _snapshots(newest),
        "attention": _attention(newest, missing),
    }


def _brief(load: Shown) -> Shown:
    counts = load.get("counts") or {}
    read = counts.get("read") or 0
    return {name: load.get(name) for name in _SHOWN} | {
        "dead_letter_share": counts.get("dead_letters", 0) / read if read else 0,
        "drift": sum(one["count"] or 0 for one in load.get("drift") or ()),
        "shard": (load.get("shard") or {}).get("number"),
    }


def _name_kinds(loads: list[Shown]) -> None:
    """Give loads that are not complete the kind that the same task has loaded at other times."""
    known = {(one["dag_id"], one["task_id"]): one["kind"] for one in loads if one["kind"]}
    for one in loads:
        one["kind"] = one["kind"] or known.get((one["dag_id"], one["task_id"]), "unknown")


def judge_again(loads: Iterable[Shown], rows: Iterable[TaskRow]) -> None:
    """Let the newest reconciliation of a window decide, also one that another task made later.

    :param loads: changed in place.
    :param rows: task instances with their XComs, among which the reconciliations are.
    """
    newest: dict[tuple[str, Any], dict[str, Any]] = {}
    for row in rows:
        if verdict := verdict_of(row):
            place = (row["dag_id"], _moment(verdict["window_start"]))
            if place not in newest or verdict["reconciled_at"] > newest[place]["reconciled_at"]:
                newest[place] = verdict
    for one in loads:
        if one["kind"] != "conversation_details" or one["status"] in ("failed", "running"):
            continue
        verdict = newest.get((one["dag_id"], _moment(one["window_start"])))
        if verdict and (one.get("ended_at") or "") <= verdict["reconciled_at"]:
            one["status"], one["reconciliation"] = status_of(verdict), verdict


def _newest(loads: list[Shown]) -> Iterator[Shown]:
    """Yield, of the loads of one window, shard and task, the one of the newest run."""
    seen = set()
    for one in loads:
        window = (one["window_start"], one["window_end"]) if one["window_start"] else one["run_id"]
        if one.get("snapshot"):
            window = one["run_id"]
        shard = (one.get("shard") or {}).get("number")
        place = (one["dag_id"], one["task_id"], one["kind"], window, shard, one["map_index"] if shard is None else 0)
        if place not in seen:
            seen.add(place)
            yield one


def _series(loads: Iterable[Shown]) -> dict[tuple[str, str, str, str], list[Shown]]:
    series = defaultdict(list)
    for one in loads:
        if one["window_start"] and one["window_end"] and not one.get("snapshot"):
            series[one["dag_id"], one["task_id"], one["kind"], one["sink"]].append(one)
    return series


def _gaps(series: list[Shown]) -> Iterator[Shown]:
    """Yield the windows that are missing between the first and the last of a series, by its usual length."""
    windows = sorted({(_moment(one["window_start"]), _moment(one["window_end"])) for one in series})
    if len(windows) < _LEAST:
        return
    length, times = Counter(end - start for start, end in windows).most_common(1)[0]
    if length <= timedelta(0) or times < _LEAST:
        return
    same = {name: series[0][name] for name in ("dag_id", "task_id", "kind", "sink")}
    reached, listed = windows[0][0], 0
    for start, end in windows:
        while reached + length <= start and listed < _MOST:
            gap = {"window_start": reached.isoformat(), "window_end": (reached + length).isoformat()}
            yield {**same, **gap, "status": "missing"}
            reached, listed = reached + length, listed + 1
        reached = max(reached, end)


def _snapshots(loads: Iterable[Shown]) -> list[Shown]:
    newest: dict[tuple[str, str, str], Shown] = {}
    for one in loads:
        if one.get("snapshot") and one["status"] != "failed":
            newest.setdefault((one["dag_id"], one["kind"], one["sink"]), one)
    shown = ("dag_id", "run_id", "task_id", "map_index", "kind", "sink", "ended_at", "snapshot", "counts")
    return [{name: one.get(name) for name in shown} for _, one in sorted(newest.items())]


def _attention(loads: list[Shown], missing: list[Shown]) -> list[Shown]:
    """Return what needs a person, the worst first and of these the newest first."""
    found = [{**_brief(one), **why} for one in loads for why in _reasons(one)]
    found += _ranges(missing)
    found.sort(key=lambda one: one.get("window_start") or one.get("started_at") or "", reverse=True)
    return sorted(found, key=lambda one: WORST_FIRST.index(one["status"]))


def _ranges(missing: list[Shown]) -> Iterator[Shown]:
    """Yield the missing windows of a DAG with the tasks that lack them. Consecutive windows are joined."""
    ranges: list[Shown] = []
    for one in missing:
        last = ranges[-1] if ranges else {}
        same = all(last.get(name) == one[name] for name in ("dag_id", "task_id", "kind", "sink"))
        if same and last["window_end"] == one["window_start"]:
            last.update(window_end=one["window_end"], last_start=one["window_start"], windows=last["windows"] + 1)
        else:
            ranges.append({**one, "last_start": one["window_start"], "windows": 1})
    merged: dict[tuple[str, str, str], Shown] = {}
    for one in ranges:
        place = (one["dag_id"], one["window_start"], one["window_end"])
        merged.setdefault(place, {**one, "task_id": []})["task_id"].append(one["task_id"])
    for one in merged.values():
        why = "No run has loaded this window." if one["windows"] == 1 else f"{one['windows']:,} windows are missing."
        yield {**one, "task_id": ", ".join(sorted(one["task_id"])), "why": why, "todo": "Run a backfill."}


def _reasons(load: Shown) -> Iterator[dict[str, str]]:
    if load["status"] == "failed":
        failure = load["failure"]
        yield {"why": ": ".join(filter(None, (failure["error"], failure["happened"]))), "todo": failure["advice"]}
    if load["status"] == "differs":
        yield {"why": load["reconciliation"]["reason"] or "", "todo": "Export the window again; details may come late."}
    if load.get("incomplete"):
        yield {"why": "Genesys did not have all data of this window yet.", "todo": "Load the window again later."}
    if (share := _brief(load)["dead_letter_share"]) > DEAD_LETTER_SHARE:
        rules = ", ".join(f"{rule}: {n:,}" for rule, n in (load.get("rules") or {}).items())
        yield {
            "why": f"{share:.1%} of the records were rejected ({rules}).",
            "todo": "Look at them, then replay them.",
        }
    if fields := [str(one["field"]) for one in load.get("drift") or () if one["kind"] == "unknown"]:
        why = f"Genesys delivers fields that the contract does not know: {', '.join(fields[:3])}."
        yield {"why": why, "todo": "Add them to the contract."}


def _moment(text: str | None) -> datetime:
    return parse_time(text) or _EPOCH
