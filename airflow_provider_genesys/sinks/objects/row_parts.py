"""The objects of one cut of a load's rows: a part, and one more for each of the contract's children."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from typing import Any

from airflow_provider_genesys.contracts.child import Child
from airflow_provider_genesys.contracts.child_rows import ChildRows
from airflow_provider_genesys.contracts.column import PROCESSED_AT, Column
from airflow_provider_genesys.contracts.column_rows import ColumnRows, values_at
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.worker import Packing
from airflow_provider_genesys.sinks.objects.layout import Layout
from airflow_provider_genesys.sinks.objects.ndjson import GzipLines, Lines, packed_lines, packed_members
from airflow_provider_genesys.sinks.objects.parts import Part, PartWriter, RowForm, Rows, Table
from airflow_provider_genesys.stores.base import ObjectStore

ChildParts = dict[str, list[Part]]
"""By the child's name."""


@dataclass(frozen=True)
class WrittenParts:
    """The objects that were written; those without rows are missing."""

    parts: list[Part] = field(default_factory=list)
    children: ChildParts = field(default_factory=dict)


class RowParts:
    """Writes a part and its children at the same time.

    :param cut: the name of the objects; see :func:`.layout.cut_name`.
    :param child_files: False leaves the children out.
    """

    def __init__(
        self,
        store: ObjectStore,
        layout: Layout,
        cut: str,
        form: RowForm,
        load: Load,
        contract: Contract,
        *,
        child_files: bool,
    ) -> None:
        self._rows = PartWriter(store, layout.part(cut), rows_of(form, load, contract))
        self._children: dict[str, tuple[ChildTable, PartWriter[Batch]]] = {}
        for child in contract.children if child_files else ():
            table = ChildTable(contract, child)
            writer = PartWriter(store, layout.child(child.name, cut), rows_of(form, load, table))
            self._children[child.name] = table, writer

    @property
    def rows(self) -> int:
        """Number of rows taken, without those of children."""
        return self._rows.rows

    @property
    def writers(self) -> list[PartWriter[Batch]]:
        """All writers that may have begun an object."""
        return [self._rows, *(writer for _, writer in self._children.values())]

    def write(self, batch: Batch) -> None:
        """Take the rows of ``batch`` and their children."""
        self._rows.write(batch, len(batch.rows))
        for table, writer in self._children.values():
            children = table.of(batch)
            writer.write(children, len(children.rows))

    def close(self, start: int, end: int) -> WrittenParts:
        """Make the objects visible; see :meth:`.PartWriter.close`."""
        part = self._rows.close(start, end)
        closed = {name: writer.close(start, end) for name, (_, writer) in self._children.items()}
        return WrittenParts([part] if part else [], {name: [child] for name, child in closed.items() if child})


def joined(*several: ChildParts) -> ChildParts:
    """Return the parts of all, child by child."""
    return reduce(lambda one, other: {n: [*one.get(n, []), *other.get(n, [])] for n in {**one, **other}}, several, {})


def all_of(children: ChildParts) -> list[Part]:
    """Return the parts of all children."""
    return [part for parts in children.values() for part in parts]


ORDINAL = Column("ordinal", "ordinal", "integer", description="Counts from 1 over the whole record")


class ChildTable:
    """Implements :class:`.parts.Table`: the record's key, its ``processedAt``, the ordinal, and the child's columns.

    Key and ``processedAt`` identify the record's row, even if it was loaded more than once.
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
        self._made = ChildRows(child)
        self._places = [contract.index(column.name) for column in known]
        self._source = next(place for place, one in enumerate(contract.columns) if one.path == child.source)

    def __str__(self) -> str:
        return f"{self._contract}, {self._child.name}"

    def of(self, batch: Batch) -> Batch:
        """Return the children of the rows of ``batch``, each with the offset of its record."""
        owners, own = self._made.columns(values_at(batch.rows, self._source))
        known = [_taken(values_at(batch.rows, place), owners) for place in self._places]
        rows, offsets = ColumnRows([*known, *own]), _taken(batch.offsets, owners)
        return replace(batch, rows=rows, offsets=offsets, dead_letters=[], packed=None)


def _taken(values: Sequence[Any], places: Sequence[int]) -> list[Any]:
    return list(map(values.__getitem__, places))


def packing_of(form: RowForm) -> Packing:
    """Return what packs the rows of a contract in another process, for what :func:`rows_of` returns."""
    if form in ("parquet", "iceberg"):
        from airflow_provider_genesys.sinks.objects.parquet import packed_columns

        return partial(packed_columns, plain_json=form == "iceberg")
    return packed_members if form == "ndjson.gz" else packed_lines


def rows_of(form: RowForm, load: Load, contract: Table) -> Rows:
    """Return what encodes the rows of a contract or a child.

    :raises MissingExtraError: a package that the form needs is not installed.
    """
    if form in ("parquet", "iceberg"):
        from airflow_provider_genesys.sinks.objects.parquet import ParquetRows

        return ParquetRows(load, contract, plain_json=form == "iceberg")
    return GzipLines(contract) if form == "ndjson.gz" else Lines(contract)
