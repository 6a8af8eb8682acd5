"""Who may see what of the pages: nobody, a user without the DAG, and one with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.narrow_rights import GUEST, HIDDEN

if TYPE_CHECKING:
    from airflow_provider_genesys.plugin.registration import GenesysPlugin

Clients = dict[str, httpx.Client]


def run_of(client: Clients, dag: str) -> str:
    return str(client["admin"].get(f"/api/v2/dags/{dag}/dagRuns").json()["dag_runs"][0]["dag_run_id"])


def place(client: Clients, dag: str = HIDDEN) -> str:
    return f"{dag}/{run_of(client, dag)}/load/-1".replace("+", "%2B")


def routes(client: Clients) -> list[str]:
    here = place(client)
    files = ["loads.js", "load.js", "shared.js", "genesys.css", "loads.svg", "uPlot.iife.min.js", "no-such-file"]
    return ["loads", "api/loads", f"load/{here}", f"api/load/{here}", *(f"static/{name}" for name in files)]


def test_nobody_gets_anything(client: Clients) -> None:
    assert {client[""].get(f"/genesys/{route}").status_code for route in routes(client)} == {401}
    for path in ("", "docs", "redoc", "openapi.json", "static/../app.py"):
        assert client[""].get(f"/genesys/{path}").status_code in (401, 404), path


def test_every_route_of_the_app_was_tried(client: Clients) -> None:
    from airflow_provider_genesys.plugin.app import make_app

    known = {getattr(route, "path", "").strip("/").partition("/{")[0] for route in make_app().routes}
    tried = routes(client)
    assert [path for path in known if not any(f"{route}/".startswith(f"{path}/") for route in tried)] == []
    assert len(known) == 5


def test_a_user_without_the_dag_sees_nothing_of_it(client: Clients) -> None:
    here = place(client)
    assert client[GUEST].get(f"/genesys/load/{here}").status_code == 403
    assert client[GUEST].get(f"/genesys/api/load/{here}").status_code == 403
    for query in ("", f"?dag_id={HIDDEN}"):
        answer = client[GUEST].get(f"/genesys/api/loads{query}")
        assert answer.status_code == 200
        assert HIDDEN not in answer.text.replace(query, "")
    assert HIDDEN in client["admin"].get("/genesys/api/loads").text


def test_a_user_with_the_dag_sees_it(client: Clients) -> None:
    here = place(client, "details")
    for user in ("admin", GUEST):
        assert client[user].get(f"/genesys/load/{here}").status_code == 200
        assert client[user].get(f"/genesys/api/load/{here}").json()["loads"][0]["kind"] == "conversation_details"


def test_answers_carry_no_secret_and_may_run_no_foreign_script(client: Clients) -> None:
    for route in routes(client):
        answer = client["admin"].get(f"/genesys/{route}")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        if "api/" in route:
            text = answer.text.lower()
            assert not [
                word for word in ("file_uri", "signature", "last_record_id", "x-amz", "password") if word in text
            ]


def test_a_task_instance_that_is_not_there(client: Clients) -> None:
    for wrong in ("details/no-such-run/load/-1", f"{place(client, 'details')[:-2]}7", f"{place(client, 'details')}x"):
        assert client["admin"].get(f"/genesys/api/load/{wrong}").status_code == 404, wrong


def test_without_airflows_checks_there_are_no_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from airflow_provider_genesys.plugin import registration

    plugin: GenesysPlugin = registration.GenesysPlugin()
    monkeypatch.delitem(sys.modules, "airflow_provider_genesys.plugin.app", raising=False)
    monkeypatch.setitem(sys.modules, "airflow.api_fastapi.core_api.security", None)
    assert plugin.fastapi_apps == []
    assert plugin.external_views == []
