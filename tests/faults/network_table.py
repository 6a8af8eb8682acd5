"""Write the table of network faults into docs/guarantees.md: ``python -m tests.faults.network_table``."""

from __future__ import annotations

from pathlib import Path

from tests.faults.outcomes import OUTCOMES

PAGE = Path(__file__).parents[2] / "docs" / "guarantees.md"
BEGIN, END = "<!-- network -->", "## What happens to the process"


def table() -> str:
    """Return the table, as Markdown."""
    lines = ["| What happens | Outcome |", "|---|---|"]
    for outcome in OUTCOMES.values():
        ends = [_said(outcome.ends), *(f"{_said(end)} at the {place}" for place, end in outcome.otherwise.items())]
        lines.append(f"| {outcome.fault} | {'; '.join(ends)} |")
    return "\n".join(lines)


def _said(end: str) -> str:
    return end if end == "recovers" else f"fails with `{end}`"


def with_table(page: str) -> str:
    """Return ``page`` with the table as it is now."""
    head, _, rest = page.partition(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
