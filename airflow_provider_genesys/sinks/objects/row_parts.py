"""The objects that hold one cut of a load's rows: a part, and beside it one for each of the contract's children."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

from airflow_provider_genesys.pipeline.contract import Contract
from airflow_provider_genesys.sinks.base import Batch, Load
from airflow_provider_genesys.sinks.child_rows import ChildRows
from airflow_provider_genesys.sinks.objects.formats import OutputFormat, rows_of
from airflow_provider_genesys.sinks.objects.layout import Layout
from airflow_provider_genesys.sinks.objects.parts import Part, PartWriter
from airflow_provider_genesys.sinks.objects.store import ObjectStore

ChildParts = dict[str, list[Part]]
"""By the child's name."""


@dataclass(frozen=True)
class Cut:
    """Where an object of rows begins and ends in the source, and what its name ends with; see :mod:`.layout`."""

    start: int
    end: int
    tag: str


@dataclass(frozen=True)
class Written:
    """The objects that have appeared; none for what has no rows."""

    parts: list[Part] = field(default_factory=list)
    children: ChildParts = field(default_factory=dict)


class RowParts:
    """Writes them side by side.

    :param child_files: False leaves the children out.
    """

    def __init__(
        self,
        store: ObjectStore,
        layout: Layout,
        cut: Cut,
        form: OutputFormat,
        load: Load,
        contract: Contract,
        *,
        child_files: bool,
    ) -> None:
        where = (cut.start, cut.end, cut.tag)
        self._rows = PartWriter(store, layout.part(*where), rows_of(form, load, contract))
        self._children: dict[str, tuple[ChildRows, PartWriter[Batch]]] = {}
        for child in contract.children if child_files else ():
            table = ChildRows(contract, child)
            writer = PartWriter(store, layout.child(child.name, *where), rows_of(form, load, table))
            self._children[child.name] = table, writer

    @property
    def rows(self) -> int:
        """How many rows were taken; children do not count."""
        return self._rows.rows

    @property
    def writers(self) -> list[PartWriter[Batch]]:
        """All that may have begun an object."""
        return [self._rows, *(writer for _, writer in self._children.values())]

    def write(self, batch: Batch) -> None:
        """Take the rows of ``batch``, and what they have many of."""
        self._rows.write(batch, len(batch.rows))
        for table, writer in self._children.values():
            children = table.of(batch)
            writer.write(children, len(children.rows))

    def close(self, start: int, end: int) -> Written:
        """Make the objects appear; see :meth:`.PartWriter.close`."""
        part = self._rows.close(start, end)
        closed = {name: writer.close(start, end) for name, (_, writer) in self._children.items()}
        return Written([part] if part else [], {name: [child] for name, child in closed.items() if child})


def joined(*several: ChildParts) -> ChildParts:
    """Return the parts of all, child by child."""
    return reduce(lambda one, other: {n: [*one.get(n, []), *other.get(n, [])] for n in {**one, **other}}, several, {})


def all_of(children: ChildParts) -> list[Part]:
    """Return the parts of all children."""
    return [part for parts in children.values() for part in parts]
