"""What the conformance suite asks of the place that a sink loads into."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from airflow_provider_genesys.contracts.contract import ColumnType, Contract
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.sink import Sink


@dataclass(frozen=True)
class Contents:
    """What a complete load holds, in any order.

    :param rows: by the contract's column names. Timestamps are ``datetime`` or ISO 8601 text, values of ``json``
        columns are decoded or JSON text.
    :param dead_letters: ``offset`` and ``rule`` of each; other keys do not matter.
    :param parts: where the sink sets ``cut_every``: the bytes of each part by its name.
    """

    rows: list[dict[str, Any]]
    dead_letters: list[dict[str, Any]]
    parts: dict[str, bytes] = field(default_factory=dict)


class Place(Protocol):
    """An empty database, bucket or folder for one test."""

    def make_sink(self) -> Sink:
        """Return a new sink on this place, as another process would make it."""

    def read_back(self, load: Load) -> Contents | None:
        """Return what readers find of ``load``; None while it has never been complete."""


def compared(contents: Contents, contract: Contract) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """Return rows and dead letters in a form in which equal contents are equal, each in order."""
    rows = [
        {column.name: _READ.get(column.type, _as_it_is)(row[column.name]) for column in contract.columns}
        for row in contents.rows
    ]
    letters = [(letter["offset"], letter["rule"]) for letter in contents.dead_letters]
    return sorted(rows, key=lambda row: str(row[contract.key])), sorted(letters)


def _as_it_is(value: Any) -> Any:
    return value


def _time(value: Any) -> Any:
    return datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else value


def _decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, (str, bytes)) else value


_READ: dict[ColumnType, Callable[[Any], Any]] = {"timestamp": _time, "json": _decoded}
