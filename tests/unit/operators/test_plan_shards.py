"""What the operator that plans shards hands on."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_genesys.operators.shards import GenesysPlanShardsOperator
from airflow_provider_genesys.source import shards as shards_module
from airflow_provider_genesys.source.shards import Shard
from airflow_provider_genesys.tasks import result as result_module
from tests.support.task_context import context

HANDLE = {"export_id": "export-1", "file_uri": None}


def test_what_is_planned_is_what_was_asked_for(genesys: object, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    cut = [Shard(number, 2, number * 5, number * 5 + 5) for number in range(2)]

    def opened(hook: Any, handle: Any, known: Any, _landed: Any) -> None:
        asked.append((hook.genesys_conn_id, handle, known))

    def planned(open_at: Any, export_id: str, **given: Any) -> list[Shard]:
        open_at("an identity")
        asked.append((export_id, given["shard_size"], given["max_shards"], len(given["now"])))
        return cut

    monkeypatch.setattr(result_module, "open_archive", opened)
    monkeypatch.setattr(shards_module, "plan_shards", planned)
    plan = GenesysPlanShardsOperator(task_id="plan", handle=HANDLE, kind="k", shard_size="7", max_shards="3")  # type: ignore[arg-type]
    assert [one and one["number"] for one in plan.execute(context())] == [0, 1]  # type: ignore[arg-type]
    whole = {**HANDLE, "kind": "k"}
    assert asked == [("genesys_default", whole, "an identity"), ("export-1", 7, 3, len("2026-11-22T00:00:00+00:00"))]
    cut.clear()
    assert plan.execute(context()) == [None], "one piece"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["shard_size", "max_shards"])
def test_less_than_one_is_refused(genesys: object, name: str) -> None:
    with pytest.raises(AirflowFailException, match=name):
        GenesysPlanShardsOperator(task_id="plan", handle=HANDLE, **{name: 0}).execute(context())  # type: ignore[arg-type]
