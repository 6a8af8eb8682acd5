"""docs/guarantees.md says what the tests hold."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults.network_table import PAGE, with_table

ROOT = PAGE.parents[1]


def test_the_table_of_network_faults_is_the_one_that_is_tested() -> None:
    page = PAGE.read_text()
    assert page == with_table(page), "run: python -m tests.faults.network_table"


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
