"""How the browser gets to a load of the fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx
    from playwright.sync_api import FrameLocator, Page


def frame(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


def run_of(client: dict[str, httpx.Client], day: str, task: str, dag: str) -> str:
    """Return the run of the window that begins on ``day``, as a URL has it."""
    loads = client["admin"].get("/genesys/api/loads").json()["loads"]
    run = next(
        one["run_id"]
        for one in loads
        if (one["dag_id"], one["task_id"]) == (dag, task) and (one["window_start"] or "").startswith(day)
    )
    return str(run).replace("+", "%2B")


def open_tab(page: Page, server: str, client: dict[str, httpx.Client], day: str, task: str, dag: str) -> FrameLocator:
    """Open the tab of the load of the window that begins on ``day``."""
    page.goto(f"{server}/dags/{dag}/runs/{run_of(client, day, task, dag)}/tasks/{task}/plugin/genesys-load")
    return frame(page)


def open_load(page: Page, server: str, client: dict[str, httpx.Client], day: str, task: str, dag: str) -> Page:
    """Open what the tab shows, alone: Airflow's page around it takes the browser seconds."""
    page.goto(f"{server}/genesys/load/{dag}/{run_of(client, day, task, dag)}/{task}/-1")
    return page
