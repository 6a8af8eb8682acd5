"""The conformance suite, on the sink that docs/custom-sink.md shows, with the tests that it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from airflow_provider_genesys.testing.sink_conformance import SinkConformance

PAGE = (Path(__file__).parents[2] / "docs" / "custom-sink.md").read_text()


def shown() -> dict[str, Any]:
    """Run the first two blocks of Python on the page: the sink and its tests."""
    names: dict[str, Any] = {"__name__": __name__}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:2]:
        exec(code, names)  # noqa: S102 - our own page
    return names


TestSqliteSink = shown()["TestSqliteSink"]


def test_the_sink_is_as_small_as_the_page_says() -> None:
    body = PAGE.partition("class SqliteSink:")[2].partition("\n\n\n")[0]
    assert sum(bool(line.strip()) for line in body.splitlines()) <= 50
    assert "fifty lines" in PAGE


def test_the_page_names_tests_of_the_suite() -> None:
    named = re.findall(r"`(test_\w+?|)(\.\.\.)?(\w*?)(\.\.\.)?`", PAGE.partition("## What the suite tests")[2])
    suite = [name for name in vars(SinkConformance) if name.startswith("test_")]
    patterns = [re.compile(f"{begin}.*{middle}.*") for begin, _, middle, _ in named if begin or middle.startswith("_")]
    assert len(patterns) > 12
    for pattern in patterns:
        assert any(pattern.fullmatch(name) for name in suite), pattern
