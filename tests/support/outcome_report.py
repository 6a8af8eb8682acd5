"""Collect what becomes of each fault while the tests run, and write the tables of docs/guarantees.md from it.

A test says what it shows: ``@pytest.mark.outcome("PostgreSQL", "the server restarts", "recovers")``, that is a section
of the page, a fault, and its outcome: ``recovers``, ``dead letter``, or the class of the error that the load ends with.
``./run test -m outcome --write-guarantees`` runs those tests and writes the page from their results; so does a run of
all tests. With ``--collect-only`` it is written from the marks alone, and the page then says that.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys import exceptions
from tests.faults.kills import kill_table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
_TABLE = re.compile(r"(<!-- outcomes: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_KILLS = re.compile(r"(<!-- kills -->\n).*?(<!-- end -->)", re.DOTALL)
_RUN = re.compile(r"(<!-- run -->\n).*?(<!-- end -->)", re.DOTALL)
_MARK = "outcome"


@dataclass
class Row:
    """One fault: its outcomes, the files whose tests show them, the results of those tests, and where it stands."""

    outcomes: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    results: set[str] = field(default_factory=set)
    place: int = sys.maxsize

    def cells(self) -> tuple[str, str]:
        """Return the outcome and the files, as the page says them."""
        outcomes = "; ".join(said(outcome) for outcome in sorted(self.outcomes, key=len))
        failed = self.results - {"passed"}
        if failed:
            outcomes = f"**not shown**: {', '.join(sorted(failed))}"
        return outcomes, ", ".join(f"`{name}`" for name in sorted(self.files))


Tables = dict[str, dict[str, Row]]
"""Section, fault, and what the tests say of it."""
Mark = tuple[str, str, str]
"""Section, fault, outcome."""


def said(outcome: str) -> str:
    """Return an outcome as the page says it; anything behind the first word stays."""
    name, more = re.findall(r"(\w+)(.*)", outcome)[0]
    error = getattr(exceptions, name, None)
    if error is None:
        assert name in {"recovers", "dead"}, f"{outcome!r} is neither recovers, dead letter nor an error"
        return outcome
    text = f"clear error `{name}`" + (", retried" if error.retryable else "")
    return text + more


def add(tables: Tables, nodeid: str, place: int, mark: Mark, result: str = "passed") -> None:
    """Note what a test shows, and how it ended."""
    section, fault, outcome = mark
    row = tables.setdefault(section, {}).setdefault(fault, Row())
    row.outcomes.add(outcome)
    row.files.add(nodeid.split("::", maxsplit=1)[0])
    row.results.add(result)
    row.place = min(row.place, place)


def marks(item: pytest.Item) -> list[Mark]:
    """Return what a test says that it shows."""
    return [mark.args for mark in item.iter_markers(_MARK)]  # type: ignore[misc]  # three texts


def stated(items: Iterable[pytest.Item]) -> Tables:
    """Return what all of them say that they show."""
    tables: Tables = {}
    for place, item in enumerate(items):
        for mark in marks(item):
            add(tables, item.nodeid, place, mark)
    return tables


def table(rows: dict[str, Row]) -> str:
    """Return one section's table, as Markdown."""
    ordered = sorted(rows.items(), key=lambda pair: pair[1].place)
    lines = [f"| {fault} | {' | '.join(row.cells())} |\n" for fault, row in ordered]
    return f"| What happens | Outcome | Shown by |\n|---|---|---|\n{''.join(lines)}"


def on_the_page() -> dict[tuple[str, str], tuple[str, str]]:
    """Return the page's outcome and files, by section and fault."""
    lines = [(match[2], line) for match in _TABLE.finditer(PAGE.read_text()) for line in match[0].splitlines()[3:-1]]
    cells = [(section, *line.strip("| ").split(" | ")) for section, line in lines]
    return {(section, fault): (outcome, files) for section, fault, outcome, files in cells}


class OutcomeReport:
    """A pytest plugin. Under xdist it sees each worker's reports in the process that started them."""

    def __init__(self, *, write: bool) -> None:
        self._write = write
        self._tables: Tables = {}
        self._tests = 0

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for place, item in enumerate(items):
            item.user_properties += [(_MARK, (place, *mark)) for mark in marks(item)]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.config.option.collectonly:
            self._tables = stated(session.items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        shown = [value for name, value in report.user_properties if name == _MARK]
        for place, *mark in shown:  # type: ignore[misc]  # as above
            add(self._tables, report.nodeid, place, tuple(mark), report.outcome)  # type: ignore[arg-type]
        self._tests += bool(shown)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._write and not hasattr(session.config, "workerinput"):
            page = _TABLE.sub(
                lambda match: match[1] + table(self._tables.get(match[2], {})) + match[3], PAGE.read_text()
            )
            page = _KILLS.sub(lambda match: match[1] + kill_table() + match[2], page)
            PAGE.write_text(_RUN.sub(rf"\g<1>{self._summary()}\n\g<2>", page))

    def _summary(self) -> str:
        if not self._tests:
            return "The tables were last written from the marks alone, without a run of all of them at once."
        failed = [fault for rows in self._tables.values() for fault, row in rows.items() if row.results != {"passed"}]
        held = "all of them held" if not failed else f"{len(failed)} of them not shown"
        faults = sum(map(len, self._tables.values()))
        day = datetime.now(timezone.utc).date().isoformat()
        return f"The run that wrote the tables, on {day}: {self._tests} tests of {faults} faults, {held}."


def configure(config: Any) -> None:
    """Register the mark and the plugin."""
    config.addinivalue_line("markers", "outcome(section, fault, outcome): a line of docs/guarantees.md")
    config.pluginmanager.register(OutcomeReport(write=config.getoption("--write-guarantees")))
