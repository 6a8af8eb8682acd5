"""The table as Markdown, and as a chart, for ``docs/performance.md``."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from airflow_provider_genesys.times import now
from benchmarks.result import TIMES, Result
from benchmarks.scale import Scale

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- measured -->", "<!-- end of what is measured -->"
_LINE = re.compile(r"\| (.+?) \| \*\*([-\d.e+]+)(.*?)\*\* \| ([≥≤]) ([\d.]+).*? \| (?:yes|no) \| (.*?) ?\| (\S*) ?\|")


def table(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table."""
    return "\n".join(["| | measured | bar | reached | | when |", "|---|---|---|---|---|---|", *map(line, results)])


def line(result: Result) -> str:
    """Return the table's line of one result."""
    bar = f"{'≥' if result.at_least else '≤'} {result.bar:.3g}{result.unit}"
    value = f"**{result.value:.3g}{result.unit}**"
    met, when = "yes" if result.met else "no", result.when or f"{now():%Y-%m-%d}"
    return f"| {result.what} | {value} | {bar} | {met} | {result.detail} | {when} |"


def header(scale: Scale) -> str:
    """Return where and how much was measured."""
    where = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    return f"{where}; {scale.megabytes:,} MB of recordings, medians of {scale.runs}."


def write(results: Sequence[Result], scale: Scale) -> None:
    """Put table and chart into ``docs/``; what was not measured now stays as it is there."""
    page = DOCS / "performance.md"
    before, rest = page.read_text().split(BEGIN)
    old, after = rest.split(END)
    known = {result.what: result for result in [*map(_read, _LINE.findall(old)), *results]}
    page.write_text(f"{before}{BEGIN}\n{header(scale)}\n\n{table(list(known.values()))}\n{END}{after}")
    (DOCS / "performance.svg").write_text(chart([result for result in known.values() if result.unit == TIMES]))


def _read(found: tuple[str, ...]) -> Result:
    """Return the result that a line of the table tells."""
    what, value, unit, sign, bar, detail, when = found
    return Result(what, float(value), float(bar), at_least=sign == "≥", detail=detail, unit=unit, when=when)


def chart(results: Sequence[Result]) -> str:
    """Return an SVG: for each ratio a bar, and a mark where it has to reach, or to stay below."""
    row, left, width = 30, 420, 400
    height = row * len(results) + 20
    body = []
    for number, result in enumerate(results):
        y = 10 + row * number
        scale = width / 2 / result.bar
        length = min(result.value * scale, width)
        mark = left + result.bar * scale
        colour = "#2e7d32" if result.met else "#b26a00"
        label = escape(result.what)
        body.append(f'<text x="{left - 10}" y="{y + 17}" text-anchor="end">{label}</text>')
        body.append(f'<rect x="{left}" y="{y + 4}" width="{length:.0f}" height="18" fill="{colour}"/>')
        body.append(f'<line x1="{mark:.0f}" y1="{y}" x2="{mark:.0f}" y2="{y + 26}" stroke="#333"/>')
        sign = "≥" if result.at_least else "≤"
        detail = f"{result.value:.2f} ({sign} {result.bar:.3g})"
        body.append(f'<text x="{left + width + 10}" y="{y + 17}">{detail}</text>')
    style = "<style>text{font:12px sans-serif}</style>"
    size = f'width="{left + width + 130}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{style}{"".join(body)}</svg>\n'
