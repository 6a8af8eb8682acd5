"""How the browser gets to a load of the fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx
    from playwright.sync_api import FrameLocator, Page


def frame(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


def open_load(page: Page, server: str, client: dict[str, httpx.Client], day: str, task: str, dag: str) -> FrameLocator:
    """Open the tab of the load of the window that begins on ``day``."""
    loads = client["admin"].get("/genesys/api/loads").json()["loads"]
    run = next(
        one["run_id"]
        for one in loads
        if (one["dag_id"], one["task_id"]) == (dag, task) and (one["window_start"] or "").startswith(day)
    )
    page.goto(f"{server}/dags/{dag}/runs/{run.replace('+', '%2B')}/tasks/{task}/plugin/genesys-load")
    return frame(page)
