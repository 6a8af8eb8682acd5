"""The rows of a contract's child, as they stand in a file of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_genesys.pipeline.child import Child
from airflow_provider_genesys.pipeline.column import PROCESSED_AT, Column
from airflow_provider_genesys.pipeline.contract import Contract
from airflow_provider_genesys.sinks.base import Batch

ORDINAL = Column("ordinal", "ordinal", "integer", description="Counts from 1 over the whole record")


class ChildRows:
    """Implements :class:`.formats.Table`: the record's key, when its load began, the ordinal, the child's own columns.

    Key and ``processedAt`` lead to the record's row, also where it was loaded more than once.
    """

    def __init__(self, contract: Contract, child: Child) -> None:
        known = [column for column in contract.columns if column.name == contract.key or column.path == PROCESSED_AT]
        own = [
            Column(column.name, column.name, column.type, description=column.description) for column in child.columns
        ]
        self.name = f"{contract.name}_{child.name}"
        self.columns = (*known, ORDINAL, *own)
        self._contract = contract
        self._child = child
        self._places = [contract.index(column.name) for column in known]
        self._source = next(place for place, one in enumerate(contract.columns) if one.path == child.source)

    def __str__(self) -> str:
        return f"{self._contract}, {self._child.name}"

    def of(self, batch: Batch) -> Batch:
        """Return the children of the rows of ``batch``, each at the place of its record."""
        rows: list[tuple[Any, ...]] = []
        offsets: list[int] = []
        for row, offset in zip(batch.rows, batch.offsets, strict=True):
            record = tuple(row[place] for place in self._places)
            found = [(*record, *values) for values in self._child.rows(row[self._source])]
            rows += found
            offsets += [offset] * len(found)
        return replace(batch, rows=rows, offsets=offsets, dead_letters=[])
