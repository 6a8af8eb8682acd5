"""The site of docs/ (mkdocs.yml, ./run docs): each page is in it once, each link leads to a page and a heading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.test_parameters import operators

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md"))
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)#:\s]*)(?:#([^)\s]+))?\)")
SECTIONS = ["Start", "How to", "Kinds", "Sinks", "Understand", "Operate", "Reference", "Troubleshooting"]


def nav() -> list[dict[str, list[Any]]]:
    found: list[dict[str, list[Any]]] = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    return found


def named(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        yield from (
            named(list(entry.values()))
            if isinstance(entry, dict)
            else [entry]
            if isinstance(entry, str)
            else named(entry)
        )


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as a forge and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]+)\]\([^)]+\)|[`*]", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading).strip()) for heading in plain}


def test_the_sections_are_those_that_readers_look_for() -> None:
    assert [next(iter(section)) for section in nav()] == SECTIONS


def test_each_page_is_in_the_navigation_once() -> None:
    assert sorted(named(nav())) == PAGES, "put the page into nav of mkdocs.yml, in the section of its subject"


@pytest.mark.parametrize("name", PAGES)
def test_each_link_leads_to_a_page_of_the_site_and_to_a_heading(name: str) -> None:
    wrong = [
        f"{target}#{anchor}"
        for target, anchor in LINK.findall(prose(DOCS / name))
        if not (target in PAGES or not target or (DOCS / target).is_file())
        or ((target.endswith(".md") or not target) and anchor and anchor not in anchors(DOCS / (target or name)))
        or target.startswith("..")
    ]
    assert wrong == [], "what is outside docs/ is no part of the site: name it without a link"


def test_every_operator_is_in_the_api_reference() -> None:
    listed = set(re.findall(r"^::: ([\w.]+)$", (DOCS / "api.md").read_text(), re.MULTILINE))
    assert {f"{one.__module__}.{one.__name__}" for one in operators()} <= listed


def test_no_page_has_the_marks_of_a_merge() -> None:
    marks = re.compile(r"^(<<<<<<<|=======$|>>>>>>>)", re.MULTILINE)
    assert [page.name for page in (*ROOT.glob("*.md"), *DOCS.glob("*.md")) if marks.search(page.read_text())] == []
