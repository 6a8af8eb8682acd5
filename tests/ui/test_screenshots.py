"""The pictures of docs/ui.md and the README, made of the same loads as the tests look at: ./run screenshots."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.ui.opening import frame, open_tab
from tests.ui.terminal import lines_until, picture

if TYPE_CHECKING:
    import httpx
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
LOADS = {
    "load-complete": ("recordings", "complete", "load_into_postgres"),
    "load-failed": ("recordings", "failed", "load_into_s3"),
    "load-running": ("recordings", "running", "load_into_postgres"),
    "load-drifted": ("recordings", "complete", "load"),
    "load-differs": ("conversation_details", "differs", "load"),
}
"""Kind, status and task of the load that each picture shows."""


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    asked = request.config.getoption("--screenshots")
    if asked is None:
        pytest.skip("asked for by ./run screenshots")
    return Path(asked)


@pytest.fixture
def shown(folder: Path, request: pytest.FixtureRequest) -> tuple[Page, str, dict[str, httpx.Client]]:
    """The browser, and what it looks at. Only now, so that a plain run starts no API server for it."""
    page, server, client = (request.getfixturevalue(name) for name in ("page", "server", "client"))
    return page, server, client


def take(page: Page, path: Path, heading: str) -> None:
    expect(frame(page).get_by_role("heading", name=heading).first).to_be_visible()
    expect(frame(page).locator("main[aria-busy=false]")).to_be_visible()
    page.wait_for_timeout(500)  # a chart is drawn after its heading
    page.screenshot(path=path)


def test_the_page_of_all_loads(folder: Path, shown: Any) -> None:
    page, server, _ = shown
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.goto(f"{server}/plugin/genesys-loads")
        take(page, folder / ("loads.png" if theme == "light" else "loads-dark.png"), "Genesys loads")


@pytest.mark.parametrize("name", LOADS)
def test_one_load(folder: Path, shown: Any, name: str) -> None:
    page, server, client = shown
    kind, status, task = LOADS[name]
    loads = client["admin"].get("/genesys/api/loads").json()["loads"]
    load = next(one for one in reversed(loads) if (one["kind"], one["status"], one["task_id"]) == (kind, status, task))
    open_tab(page, server, client, load["window_start"][:10], task, load["dag_id"])
    take(page, folder / f"{name}.png", kind)


def test_the_end_of_the_demo(folder: Path) -> None:
    """Its own last lines: the account of each sink, and the page to open."""
    demo = [sys.executable, "-u", "-m", "demo", "--ui"]
    lines = lines_until(demo, "Ctrl-C ends it", ROOT)
    began = next(place for place, line in enumerate(lines) if line.endswith("done"))
    first = next(place for place, line in enumerate(lines) if "three rows of" in line)
    last = next(place for place, line in enumerate(lines) if "The account closes" in line)
    shown = [*lines[began:first], *lines[last:]]
    (folder / "demo.svg").write_text(picture(shown, "./run demo"))


def test_the_pictures_that_pages_name_are_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = {
        part.partition(")")[0].removeprefix("docs/")
        for page in pages
        for part in page.read_text().replace("](images/", "](docs/images/").split("](docs/")[1:]
        if part.startswith("images/")
    }
    assert named
    assert [name for name in named if not (ROOT / "docs" / name).is_file()] == []
