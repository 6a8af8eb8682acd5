"""The app that serves the pages. Every route checks the user's rights with Airflow's own functions.

``airflow.api_fastapi`` is not a public interface of Airflow. If an import fails, there are no pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from airflow.utils.session import create_session
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse

from airflow_provider_genesys.plugin import rows
from airflow_provider_genesys.plugin.overview import judge_again, overview
from airflow_provider_genesys.plugin.shown import loads_of, verdict_of

_STATIC = Path(__file__).parent / "static"
_FILES = {path.name: path for path in _STATIC.iterdir() if path.suffix in (".js", ".css", ".svg")}
_LARGEST = 2**31 - 1
"""The largest map index that the column of Airflow's metadata database holds."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def make_app() -> FastAPI:
    """Return the app. Anonymous requests get 401 from each of its routes; it has no pages of documentation."""
    app = FastAPI(
        title="Genesys loads",
        dependencies=[Depends(get_user)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.middleware("http")(_with_headers)
    app.get("/loads")(_page("loads.html"))
    app.get("/load/{dag_id}/{run_id:path}/{task_id}/{map_index}", dependencies=[Depends(_may_see)])(_page("load.html"))
    app.get("/static/{name}")(_static)
    app.get("/api/loads")(_loads)
    app.get("/api/load/{dag_id}/{run_id:path}/{task_id}/{map_index}", dependencies=[Depends(_may_see)])(_load)
    return app


async def _with_headers(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await answer(request)
    response.headers.update(_HEADERS)
    return response


def _may_see(request: Request, user: GetUserDep, dag_id: str) -> None:
    _check_readable(request, user, dag_id)


def _page(name: str) -> Callable[[], FileResponse]:
    def page() -> FileResponse:
        return FileResponse(_STATIC / name, media_type="text/html; charset=utf-8")

    return page


def _static(name: str) -> FileResponse:
    if name not in _FILES:
        raise HTTPException(404, "There is no such file.")
    return FileResponse(_FILES[name])


def _loads(
    request: Request,
    user: GetUserDep,
    dag_id: str | None = None,
) -> dict[str, Any]:
    with create_session() as session:
        may_see = _readable(request, user, [dag_id] if dag_id else rows.dag_ids(session))
        found = rows.task_instances(session, may_see)
    return {**overview(found), "dags": may_see, "cut": len(found) >= rows.MOST}


def _load(dag_id: str, run_id: str, task_id: str, map_index: str) -> dict[str, Any]:
    with create_session() as session:
        row = rows.task_instance(session, (dag_id, run_id, task_id, _index(map_index)))
        if row is None:
            raise HTTPException(404, "There is no such task instance.")
        loads = list(loads_of(row))
        if any(load["kind"] == "conversation_details" for load in loads):
            judge_again(loads, [row, *rows.reconciliations(session, dag_id)])
    return {"loads": loads, "state": row["state"], "operator": row["operator"], "reconciliation": verdict_of(row)}


def _index(text: str) -> int:
    """Return the map index. Airflow leaves the placeholder of the tab's address as it is where a task is not mapped."""
    try:
        index = -1 if text == "{MAP_INDEX}" else int(text)
    except ValueError:
        index = _LARGEST + 1
    if not -1 <= index <= _LARGEST:
        raise HTTPException(404, "There is no such task instance.")
    return index


def _check_readable(request: Request, user: GetUserDep, dag_id: str) -> None:
    """Raise 403 unless the user may see this DAG's task instances and XComs: the pages show what is in both."""
    for entity in (DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM):
        requires_access_dag("GET", entity, param_dag_id=dag_id)(request, user)


def _readable(request: Request, user: GetUserDep, dag_ids: Iterable[str]) -> list[str]:
    """Return those of the DAGs that the user may see."""
    return [dag_id for dag_id in dag_ids if _may_read(request, user, dag_id)]


def _may_read(request: Request, user: GetUserDep, dag_id: str) -> bool:
    try:
        _check_readable(request, user, dag_id)
    except HTTPException:
        return False
    return True
