"""What the reports of all demos say in the same way: the account of certificates, and XComs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg

XComs = Mapping[tuple[str, str], list[Any]]
"""(task, key) → the value of each mapped task."""
_LONGEST = 420
"""Characters that are shown of an XCom: three lines of a terminal."""


def problems_of(sink: str, certificates: Sequence[dict[str, Any]], expected: int) -> Iterator[str]:
    """Yield what does not close in the accounts of one sink.

    :param expected: how many records each export has.
    """
    for counts in (certificate["counts"] for certificate in certificates):
        if counts["read"] != expected:
            yield f"{sink}: {counts['read']} records read, but the export has {expected}"
        if counts["read"] != counts["written"] + counts["dead_letters"] + counts["duplicates"]:
            yield f"{sink}: the account does not close: {counts}"


def total(certificates: Sequence[dict[str, Any]], name: str) -> int:
    """Return one of the counts, of all certificates together."""
    return sum(certificate["counts"][name] for certificate in certificates)


def count(connection: psycopg.Connection, table: str) -> int:
    """Return how many rows a table has."""
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[arg-type]  # noqa: S608 - a constant
    return int(row[0]) if row else 0


def show_window(certificate: dict[str, Any]) -> None:
    """Print which window and which export a certificate is about."""
    print(f"\n  window     {certificate['window_start']} to {certificate['window_end']}")
    print(f"  export     {certificate['export_id']}")


def show_sink(sink: str, certificates: Sequence[dict[str, Any]], size: int | None = None) -> None:
    """Print the account of one sink.

    :param size: bytes that went into it; None for those of the records.
    """
    counts = {name: total(certificates, name) for name in ("read", "written", "dead_letters", "duplicates")}
    seconds = sum(certificate["seconds"] for certificate in certificates)
    size = size or sum(certificate["bytes_read"] for certificate in certificates)
    print(f"\n  {sink}")
    print(f"    is in    {certificates[0]['location']}")
    print(f"    records  {counts['read']:,} read = {counts['written']:,} written")
    print(f"             + {counts['dead_letters']:,} rejected + {counts['duplicates']:,} duplicates")
    print(
        f"    took     {seconds:.1f} s, {size / seconds / 1e6:.1f} MB/s, peak memory "
        f"{max(certificate['peak_memory_mb'] for certificate in certificates):.0f} MB (Airflow included)"
    )
    for rules in (certificate["rules"] for certificate in certificates if certificate["rules"]):
        print(f"    rejected: {', '.join(f'{rule} ({number})' for rule, number in rules.items())}")


def show_xcoms(xcoms: XComs) -> None:
    """Print what a person looks at in the UI: the export, its handle, each checkpoint; not its own links."""
    print("\n  XComs (a URL's signature is sealed)")
    for (task, key), values in sorted(xcoms.items()):
        if (task in {"create_export", "wait_for_export"} and not key.startswith("_link_")) or key == "checkpoint":
            print(f"    {task}.{key}: {_short(values[0])}")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
