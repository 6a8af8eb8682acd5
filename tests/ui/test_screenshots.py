"""The pictures of docs/ui.md and the README, made of the same loads as the tests look at: ./run screenshots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    import httpx

DOCS = Path(__file__).parents[2] / "docs"


def run_of(client: dict[str, httpx.Client], day: str, task: str) -> str:
    loads = client["admin"].get("/genesys/api/loads").json()["loads"]
    found = [one["run_id"] for one in loads if one["task_id"] == task and (one["window_start"] or "").startswith(day)]
    return str(found[0]).replace("+", "%2B")


def test_pictures(request: pytest.FixtureRequest) -> None:
    if (folder := request.config.getoption("--screenshots")) is None:
        pytest.skip("asked for by ./run screenshots")
    # Only now, so that a plain run starts no API server for it.
    page, server, client = (request.getfixturevalue(name) for name in ("page", "server", "client"))
    tab = f"{server}/dags/genesys_recordings_daily/runs/{{}}/tasks/{{}}/plugin/genesys-load"
    pictures = {
        "loads": (f"{server}/plugin/genesys-loads", "Genesys loads"),
        "load-complete": (
            tab.format(run_of(client, "2026-11-02", "load_into_postgres"), "load_into_postgres"),
            "recordings",
        ),
        "load-failed": (tab.format(run_of(client, "2026-11-07", "load_into_s3"), "load_into_s3"), "recordings"),
    }
    for name, (url, heading) in pictures.items():
        page.goto(url)
        expect(page.frame_locator("iframe").get_by_role("heading", name=heading).first).to_be_visible()
        page.wait_for_timeout(500)  # a chart is drawn after its heading
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_the_pictures_that_pages_name_are_there() -> None:
    named = {part.partition(")")[0] for page in DOCS.glob("*.md") for part in page.read_text().split("](images/")[1:]}
    assert named
    assert [name for name in named if not (DOCS / "images" / name).is_file()] == []
