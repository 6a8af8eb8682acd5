"""What ``./run demo`` can show: an entry for each DAG of ``dags/`` that a day is loaded with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from demo.embedded import Embedded


class Report(Protocol):
    """The facts of one run, read from Airflow and the sinks themselves."""

    def show(self) -> None:
        """Print what a data engineer wants to see at the end."""

    def problems(self, expected: int) -> Iterator[str]:
        """Yield what does not agree.

        :param expected: how much each export of the run has.
        """


@dataclass(frozen=True)
class Daily:
    """One daily DAG.

    :param dag_id: of a file in ``dags/``.
    :param counted: the setting of the fake Genesys Cloud that says how much one export has.
    :param number: its value, unless asked otherwise.
    :param collect: reads the facts when the DAG has run.
    :param settings: of the fake Genesys Cloud, beside.
    :param conf: of the run.
    :param again: the share of ``number`` that a second export of the same day has, which is loaded, too; None for one
        load.
    """

    dag_id: str
    counted: str
    number: int
    collect: Callable[[Embedded], Report]
    settings: dict[str, Any] = field(default_factory=dict)
    conf: dict[str, Any] = field(default_factory=dict)
    again: float | None = None
