"""docs/guarantees.md says what the tests hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.kills import kill_table
from tests.support.outcome_report import PAGE, ROOT, on_the_page, stated

COMMAND = "./run test -m outcome --write-guarantees"


def test_the_tables_say_what_the_tests_show(request: pytest.FixtureRequest) -> None:
    """Where all tests were collected, exactly that; where some were, theirs are among it."""
    page = on_the_page()
    tests = {
        (section, fault): row.cells()
        for section, rows in stated(request.session.items).items()
        for fault, row in rows.items()
    }
    config = request.config
    if [Path(name).name for name in config.args] == ["tests"] and not config.option.keyword + config.option.markexpr:
        assert tests == page, f"run: {COMMAND}"
    for line, (outcomes, files) in tests.items():
        outcome_shown, files_shown = page.get(line, ("", ""))
        assert set(outcomes.split("; ")) <= set(outcome_shown.split("; ")), f"{line}; run: {COMMAND}"
        assert set(files.split(", ")) <= set(files_shown.split(", ")), f"{line}; run: {COMMAND}"


def test_the_table_of_kills_says_what_the_crash_tests_hold() -> None:
    """Each cell is what ``test_killed_at_a_step`` asserts of that sink and step."""
    assert kill_table() in PAGE.read_text(), f"run: {COMMAND}"


def test_every_page_links_to_what_there_is() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
    missing = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not Path(page.parent, target).exists()
    ]
    assert missing == []


def test_the_tests_that_the_page_names_exist() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE.read_text()))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
