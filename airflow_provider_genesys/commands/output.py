"""Prints the results of commands: tables for people, JSON for machines."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_provider_genesys.outside import LONGEST_MESSAGE, printable, shown

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def print_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, as_json: bool = False) -> None:
    """Print a table of some columns; as JSON, everything that the rows hold.

    If the rows end with an error, those before it are printed.
    """
    read: list[Mapping[str, Any]] = []
    try:
        read.extend(rows)
    finally:
        _print(columns, read, as_json=as_json)


def _print(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    table = Table(*(name.replace("_", " ") for name in columns), box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(_shown(row.get(name)) for name in columns))
    # A pipe has no width; a table that is cut for one would be of no use to the next program.
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def say(line: str) -> None:
    """Print a line, or several, without control characters: what it says may come from outside."""
    sys.stdout.write(f"{printable(line)}\n")


def _shown(value: Any) -> Text:
    """Return a cell. It is no text, in which rich would look for markup."""
    if value is None:
        return Text("-")
    if isinstance(value, int) and not isinstance(value, bool):
        return Text(f"{value:,}")
    return Text(shown(value, LONGEST_MESSAGE))
