"""What an object-store sink asks of a table format: to publish the parts of a load before it is complete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.stores.base import ObjectStore

Columns = Mapping[str, Sequence[Column]]
"""The columns of the rows, under ``""``, and of each child, by its name."""


@dataclass(frozen=True)
class Publication:
    """A load whose parts are all there.

    :param fence: of the attempt. A later attempt of the same load has a greater one.
    :param columns: see :data:`Columns`; those that were added while the contract evolved are among them.
    :param parts: the parts of each table, by the same names. A table without rows has none.
    """

    load: Load
    fence: int
    columns: Columns
    parts: Mapping[str, Sequence[Part]]


class Publisher(Protocol):
    """Commits loads to tables."""

    def check(self, columns: Columns) -> None:
        """Raise if the tables cannot hold these columns. Called before anything is read.

        :raises SinkRefusedError: a table is missing or does not fit; the message says what to run.
        """

    def publish(self, store: ObjectStore, publication: Publication, confirm: Callable[[], None]) -> dict[str, str]:
        """Put the parts in place of what the tables hold of the load's window. A second call changes nothing.

        :param confirm: raises FencedError if a newer attempt has taken over; called directly before each commit.
        :return: the snapshot of each table, by the table's name.
        :raises FencedError: a newer attempt has committed the window.
        :raises SinkUnavailableError: retries are spent; the next try finds its commit if one succeeded.
        """
