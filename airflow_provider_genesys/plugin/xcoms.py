"""Reads XComs of loads. Other tasks may write them, too: what does not have the shape of ours counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.times import parse_time

Members = Mapping[str, Any]


class _Windowed(msgspec.Struct):
    kind: str | None = None
    window_start: str | None = None
    window_end: str | None = None

    def __post_init__(self) -> None:
        for moment in (self.window_start, self.window_end):
            if moment is not None and parse_time(moment) is None:
                raise ValueError("a window has no such end")


@resolved
class _Certified(_Windowed):
    counts: dict[str, Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]] = {}


@resolved
class _Checkpoint(_Windowed):
    percent: float | None = None
    records: int | None = None
    per_second: float | None = None
    seconds_left: float | None = None
    byte_offset: int | None = None
    record_index: int | None = None
    committed_at: str | None = None


@resolved
class _Failure(_Windowed):
    error: str | None = None


@resolved
class _Verdict(_Windowed, kw_only=True):
    verdict: Literal["agrees", "differs", "not comparable"]
    state: str | None = None
    reason: str | None = None
    counts: dict[str, Any] | None = None
    differences: list[dict[str, Any]] | None = None
    reconciled_at: str | None = None


def certificate(value: Any) -> Members | None:
    """Return the summary of a certificate; None if ``value`` is none."""
    found = _read(value, _Certified)
    if found is None or not _is(Certificate, {**found, "parts": []}) or not isinstance(found.get("parts"), int):
        return None
    judged = verdict(found.get("reconciliation"))
    return {**found, "reconciliation": dict(judged) if judged else None}


def checkpoint(value: Any) -> Members:
    """Return a checkpoint; empty if ``value`` is none."""
    return _read(value, _Checkpoint) or {}


def failure(value: Any) -> Members:
    """Return what is kept of the error that ended a task; empty if ``value`` is none."""
    return _read(value, _Failure) or {}


def verdict(value: Any) -> Members | None:
    """Return the result of a reconciliation; None if ``value`` is none."""
    return _read(value, _Verdict)


def _read(value: Any, shape: type) -> dict[str, Any] | None:
    try:
        # Encoding finds texts that are no UTF-8, and makes null of NaN, which JSON does not have.
        found = msgspec.json.decode(msgspec.json.encode(value))
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    return found if isinstance(found, dict) and _is(shape, found) else None


def _is(shape: type, value: Any) -> bool:
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError:
        return False
    return True
