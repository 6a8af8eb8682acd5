"""``contract``: checks a contract file, or drafts one from a sample of an archive."""

from __future__ import annotations

import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any

import typer
import yaml

from airflow_provider_genesys.commands.output import print_rows, say
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.outside import shown

app = typer.Typer(no_args_is_help=True, help="Check a contract file, or draft one from a sample.")

_GZIP = b"\x1f\x8b"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_LINE = 16 * 1024 * 1024


@app.command()
def check(file: Annotated[Path, typer.Argument(help="The contract, a YAML file.")]) -> None:
    """Read a contract as a DAG does, and show its columns. An error names the line.

    Example: airflow-genesys contract check include/calls.yaml
    """
    from airflow_provider_genesys.contracts.contract import load_contract
    from airflow_provider_genesys.sinks.postgres.tables.columns import check_contract

    contract = load_contract(file, check_contract)
    columns = [
        {"column": one.name, "path": one.path, "type": one.type, "required": one.required, "pii": one.pii}
        for one in (*contract.columns, *contract.dropped)
    ]
    print_rows(("column", "path", "type", "required", "pii"), columns)
    say(f"{contract} is valid: key {contract.key}, timestamp {contract.timestamp}.")


@app.command()
def infer(
    archive: Annotated[Path, typer.Argument(help="NDJSON or a JSON array of records, plain or gzip.")],
    records: Annotated[int, typer.Option(help="Records that are read at most.", min=1, max=sys.maxsize)] = 10_000,
    name: Annotated[str, typer.Option(help="Name of the contract.")] = "records",
) -> None:
    """Print a draft of a contract, made from the first records of an archive. Review it before you use it.

    Example: airflow-genesys contract infer sample.ndjson.gz > include/calls.yaml
    """
    seen: dict[str, _Seen] = {}
    count = 0
    for record in islice(_records(archive), records):
        count += 1
        for member, value in record.items():
            seen.setdefault(member, _Seen()).add(value)
    if not count:
        raise ConfigurationError(f"{archive} holds no record to make a contract of.")
    say(_contract(name, seen, count).rstrip())


@dataclass
class _Seen:
    """What was seen of one member's values."""

    count: int = 0
    types: set[str] = field(default_factory=set)
    distinct: set[str] = field(default_factory=set)

    def add(self, value: Any) -> None:
        if value is None:
            return
        self.count += 1
        self.types.add(_type(value))
        if isinstance(value, str):
            self.distinct.add(value)

    @property
    def type(self) -> str:
        if self.types == {"integer", "number"}:
            return "number"
        if len(self.types) > 1:
            return "string" if self.types <= {"string", "timestamp", "uuid"} else "json"
        return next(iter(self.types), "json")


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) else "number"
    if not isinstance(value, str):
        return "json"
    if _UUID.fullmatch(value):
        return "uuid"
    try:
        aware = datetime.fromisoformat(value.replace("Z", "+00:00")).tzinfo is not None
    except ValueError:
        return "string"
    return "timestamp" if aware else "string"


def _contract(name: str, seen: dict[str, _Seen], count: int) -> str:
    ids = [
        member
        for member, one in seen.items()
        if one.count == count == len(one.distinct) and one.type in ("string", "uuid")
    ]
    times = [member for member, one in seen.items() if one.count == count and one.type == "timestamp"]
    if not ids or not times:
        lacking = "a text that differs in each" if not ids else "a time with its zone in each"
        raise ConfigurationError(f"The records have no member with {lacking}: a contract needs a key and a timestamp.")
    key = next((member for member in ids if member.lower().endswith("id")), ids[0])
    columns = {member: _column(one, required=one.count == count) for member, one in seen.items()}
    columns["processedAt"] = {"path": "@processed_at", "type": "timestamp", "required": True}
    body = {"name": name, "version": 1, "key": key, "timestamp": times[0], "columns": columns}
    note = f"# Made from {count:,} records. Check the types, which columns are required, and personal data (pii).\n"
    return note + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=110)


def _column(seen: _Seen, *, required: bool) -> dict[str, Any]:
    column: dict[str, Any] = {"type": seen.type}
    if required:
        column["required"] = True
    return column


def _records(archive: Path) -> Iterator[dict[str, Any]]:
    import ijson

    try:
        with archive.open("rb") as file:
            yield from (record for record in _items(file) if isinstance(record, dict))
    except (OSError, EOFError, RecursionError, ValueError, zlib.error, ijson.JSONError) as error:
        raise ConfigurationError(f"The sample cannot be read: {type(error).__name__}: {shown(error)}.") from error


def _items(file: IO[bytes]) -> Iterator[Any]:
    import ijson

    start = file.read(2)
    file.seek(0)
    unpacked = gzip.GzipFile(fileobj=file) if start == _GZIP else file
    while (first := unpacked.read(1)) in b" \t\r\n" and first:
        pass
    unpacked.seek(0)
    if first == b"[":
        found: Iterator[Any] = ijson.items(unpacked, "item", use_float=True)
        return found
    if first == b"{":
        return (json.loads(line) for line in iter(lambda: unpacked.readline(_LONGEST_LINE), b"") if line.strip())
    raise ConfigurationError("The file is neither NDJSON nor a JSON array. Unpack it, or give a sample of it.")
