"""The pages in Airflow's UI, in a real browser."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.ui.opening import frame, open_load, open_tab

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

LOADS = "/plugin/genesys-loads"


def test_the_calendar_shows_each_day_in_its_colour(page: Page, server: str) -> None:
    page.goto(f"{server}{LOADS}")
    inside = frame(page)
    for day, status in {
        "02": "complete",
        "05": "missing",
        "06": "complete",
        "07": "failed",
        "08": "running",
    }.items():
        expect(inside.get_by_role("button", name=f"recordings, 2026-11-{day}: {status}")).to_be_visible()
    details = inside.get_by_role("button", name=re.compile(r"conversation_details, 2026-11-0[23]: "))
    expect(details).to_have_count(2)
    expect(inside.get_by_role("button", name=re.compile("conversation_details.*: differs"))).to_have_count(1)


def test_what_needs_a_person_is_said_the_worst_first(page: Page, server: str) -> None:
    page.goto(f"{server}/genesys/loads")
    rows = page.get_by_role("table", name="What needs a person").locator("tbody tr")
    expect(rows.first).to_contain_text("failed")
    expect(rows.first).to_contain_text("DeadLetterBudgetError")
    expect(rows.first).to_contain_text("max_dead_letters")
    expect(rows.filter(has_text="differs").first).to_contain_text("not in the sink")
    expect(rows.filter(has_text="missing").first).to_contain_text("2026-11-05")
    expect(page.get_by_text("Backfill what is missing of genesys_recordings_daily")).to_be_visible()
    expect(page.get_by_text("2026-11-05 00:00 to 2026-11-05 00:00")).to_be_visible()
    command = page.get_by_text(
        "airflow backfill create --dag-id genesys_recordings_daily "
        "--from-date 2026-11-05T00:00Z --to-date 2026-11-05T00:00Z"
    )
    expect(command).to_be_visible()


def test_a_day_leads_to_its_runs_by_keyboard(page: Page, server: str) -> None:
    page.goto(f"{server}{LOADS}")
    inside = frame(page)
    first = inside.get_by_role("button", name="recordings, 2026-11-02")
    first.focus()
    first.press("ArrowRight")
    second = inside.get_by_role("button", name="recordings, 2026-11-03")
    expect(second).to_be_focused()
    second.press("Enter")
    link = inside.get_by_role("table", name="Loads of recordings on 2026-11-03").get_by_role("link").first
    link.press("Enter")
    page.wait_for_url(re.compile(r"/airflow/dags/genesys_recordings_daily/runs/.*/tasks/load_into_\w+"))
    expect(frame(page).get_by_role("heading", name="recordings, 2026-11-03")).to_be_visible()


def test_filters_narrow_everything(page: Page, server: str) -> None:
    page.goto(f"{server}/genesys/loads")
    expect(page.get_by_role("button", name=re.compile("conversation_details"))).to_have_count(2)
    page.get_by_role("combobox", name="Kind").select_option("recordings")
    expect(page.get_by_role("button", name=re.compile("conversation_details"))).to_have_count(0)
    page.locator("[name=from]").fill("2026-11-06")
    expect(page.get_by_role("button", name=re.compile("recordings, 2026-11-0[2-5]"))).to_have_count(0)
    page.get_by_role("combobox", name="DAG").select_option("details")
    expect(page.get_by_text("0 missing.")).to_be_visible()


def test_a_complete_load_shows_an_account_that_closes(page: Page, server: str, client: dict[str, httpx.Client]) -> None:
    inside = open_load(page, server, client, "2026-11-02", "load_into_postgres", "genesys_recordings_daily")
    account = inside.get_by_role("region", name="Account").locator(".sum")
    expect(account).to_contain_text("read =")
    read, written, rejected, duplicates = (int(n.replace(",", "")) for n in re.findall(r"[\d,]+", account.inner_text()))
    assert read == written + rejected + duplicates > 0
    assert rejected > 0
    expect(inside.get_by_role("region", name="Rejected, by reason")).to_contain_text("not-json")
    expect(inside.get_by_role("region", name="Phases")).to_contain_text("sink")
    expect(inside.get_by_text("postgresql://")).to_be_visible()


def test_a_failed_load_says_what_to_do(page: Page, server: str, client: dict[str, httpx.Client]) -> None:
    inside = open_tab(page, server, client, "2026-11-07", "load_into_s3", "genesys_recordings_daily")
    expect(inside.get_by_role("alert")).to_contain_text("What to do: Look at the dead letters by rule")


def test_a_load_that_drifted_names_the_fields_and_the_new_columns(
    page: Page, server: str, client: dict[str, httpx.Client]
) -> None:
    inside = open_load(page, server, client, "2026-11-02", "load", "drifted")
    drift = inside.get_by_role("region", name="Drift")
    unknown = drift.get_by_role("row").filter(has_text="conversationId")
    expect(unknown).to_contain_text("not in the contract")
    expect(unknown).to_contain_text("2,000")
    expect(drift.get_by_role("row").filter(has_text="required, but missing")).to_contain_text("language")
    expect(drift).to_contain_text("became optional: language (string)")


def test_a_load_at_work_shows_its_progress_as_it_goes_on(
    page: Page, server: str, client: dict[str, httpx.Client]
) -> None:
    inside = open_load(page, server, client, "2026-11-08", "load_into_postgres", "genesys_recordings_daily")
    progress = inside.get_by_role("region", name="Progress")
    expect(progress).to_contain_text("Last commit (UTC)")
    expect(progress).to_contain_text("Records a second")
    bar = progress.get_by_role("progressbar")
    before = str(bar.get_attribute("value"))
    expect(bar).not_to_have_attribute("value", before)
    assert 0 < float(before) < float(str(bar.get_attribute("value"))) < 100


def test_a_difference_names_both_counts(page: Page, server: str, client: dict[str, httpx.Client]) -> None:
    loads = client["admin"].get("/genesys/api/loads?dag_id=details").json()["loads"]
    assert sorted(one["status"] for one in loads) == ["differs", "provisional"]
    differing = next(one["window_start"][:10] for one in loads if one["status"] == "differs")
    inside = open_load(page, server, client, differing, "load", "details")
    expect(inside.get_by_role("heading", name=f"conversation_details, {differing}")).to_contain_text("differs")
    expect(inside.get_by_role("region", name="Reconciliation")).to_contain_text("nConversations")


def test_a_load_in_an_xcom_backend_says_where_its_figures_are(
    page: Page, server: str, client: dict[str, httpx.Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_object_storage(tmp_path, monkeypatch) as kept:
        inside = open_load(page, server, client, "2026-11-02", "load", "drifted")
        expect(inside.get_by_text("The figures of this load are in an XCom backend")).to_be_visible()
        assert [path for path in tmp_path.rglob("*") if path.is_file()]
        assert kept not in inside.locator("body").inner_text()


@contextmanager
def in_object_storage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let Airflow's object-storage backend keep the drifted load's certificate; yield what the database has."""
    from airflow.models.xcom import XComModel
    from airflow.providers.common.io.xcom import backend
    from airflow.sdk import ObjectStoragePath
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    monkeypatch.setattr(backend, "_get_base_path", lambda: ObjectStoragePath(folder.as_uri()))
    monkeypatch.setattr(backend, "_get_threshold", lambda: 0)
    here = {"dag_id": "drifted", "task_id": "load", "key": "return_value"}
    with create_session() as session:
        before = session.scalars(select(XComModel.value).filter_by(**here)).one()
        kept = str(backend.XComObjectStorageBackend.serialize_value(before))
        session.execute(update(XComModel).filter_by(**here).values(value=kept))
    yield kept
    with create_session() as session:
        session.execute(update(XComModel).filter_by(**here).values(value=before))


def test_a_task_that_loads_nothing_says_so(page: Page, server: str, client: dict[str, httpx.Client]) -> None:
    runs = client["admin"].get("/api/v2/dags/genesys_recordings_daily/dagRuns").json()["dag_runs"]
    run = runs[0]["dag_run_id"].replace("+", "%2B")
    page.goto(f"{server}/genesys/load/genesys_recordings_daily/{run}/create_export/-1")
    expect(page.get_by_text("it has not loaded anything")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 768])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_cut_off_in_any_theme_and_width(page: Page, server: str, width: int, theme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(f"{server}/genesys/loads")
    expect(page.get_by_role("heading", name="Windows")).to_be_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_two_thousand_windows_are_read_and_drawn_in_a_second(page: Page, server: str) -> None:
    """In processor time: a busy machine takes longer."""
    from airflow.utils.session import create_session

    from airflow_provider_genesys.plugin import rows
    from airflow_provider_genesys.plugin.overview import overview

    with many_windows(2_000):
        began = time.process_time()
        with create_session() as session:
            shown = overview(rows.task_instances(session, [MANY]))
        took = time.process_time() - began
        assert len(shown["loads"]) == 2_000

        measured = page.context.new_cdp_session(page)
        measured.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(f"{server}/genesys/loads?dag_id={MANY}")
        expect(page.get_by_text("2,000 loads")).to_be_visible()
        expect(page.get_by_role("grid").get_by_role("button")).to_have_count(2_000)
        drawn = {one["name"]: one["value"] for one in measured.send("Performance.getMetrics")["metrics"]}
    assert (took < 1, drawn["TaskDuration"] < 1) == (True, True), (took, drawn["TaskDuration"])


MANY, KINDS = "many_windows", ("conversation_details", "recordings", "user_details")


@contextmanager
def many_windows(number: int) -> Iterator[None]:
    """Copy a load of the details to that many windows of some kinds."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete, insert, select

    tables = (DagRun.__table__, TaskInstance.__table__, XComModel.__table__)
    with create_session() as session:
        here = {"dag_id": "details", "task_id": "load", "key": "return_value"}
        xcom = session.execute(select(tables[2]).filter_by(**here)).mappings().first()
        assert xcom is not None
        place = {"dag_id": "details", "run_id": xcom["run_id"]}
        run = session.execute(select(tables[0]).filter_by(**place)).mappings().one()
        task = session.execute(select(tables[1]).filter_by(**place, task_id="load")).mappings().one()
        certificate = XComModel.deserialize_value(SimpleNamespace(**xcom))
        copies: tuple[list[dict[str, Any]], ...] = ([], [], [])
        for place_in_time in range(number):
            start = datetime(2020, 1, 1, tzinfo=timezone.utc) + timedelta(days=place_in_time // len(KINDS))
            window = {"window_start": start.isoformat(), "window_end": (start + timedelta(days=1)).isoformat()}
            same = {"dag_id": MANY, "run_id": f"run-{place_in_time}"}
            copies[0].append({**run, **same, "id": 1_000_000 + place_in_time, "logical_date": None, "run_after": start})
            copies[1].append({**task, **same, "id": type(task["id"])(str(uuid4()))})
            value = {**certificate, **window, "kind": KINDS[place_in_time % len(KINDS)]}
            copies[2].append({**xcom, **same, "dag_run_id": 1_000_000 + place_in_time, "value": value})
        for table, values in zip(tables, copies, strict=True):
            session.execute(insert(table), values)
    yield
    with create_session() as session:
        for table in reversed(tables):
            session.execute(delete(table).where(table.c.dag_id == MANY))
