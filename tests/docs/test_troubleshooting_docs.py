"""docs/troubleshooting.md: its table is that of the errors, and no error is without advice."""

from __future__ import annotations

import inspect
from pathlib import Path

from airflow_provider_genesys import exceptions
from airflow_provider_genesys.plugin.advice import ADVICE, happened

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
GROUPS = {"GenesysError", "CloudError", "ExportError", "SourceError", "SinkError"}
"""Classes that are never raised themselves."""
NO_END = {"RecordError"}
"""What rejects a record, and ends no task."""


def table() -> str:
    lines = ["| Error | What happened | What to do | |", "|---|---|---|---|"]
    for kind, advice in ADVICE.items():
        lines.append(f"| `{kind.__name__}` | {happened(kind)} | {advice} | {'retried' if kind.retryable else ''} |")
    return "\n".join(lines)


def test_the_table_is_that_of_the_errors() -> None:
    assert PAGE.read_text().partition("<!-- errors -->\n")[2].strip() == table()


def test_every_error_has_advice() -> None:
    errors = {
        name for name, kind in inspect.getmembers(exceptions, inspect.isclass) if kind.__module__ == exceptions.__name__
    }
    assert errors - GROUPS - NO_END == {kind.__name__ for kind in ADVICE}
