"""Which loads are compared with Genesys' aggregates, and where the comparison is to be seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_genesys.completeness.verdict import not_comparable
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.operators import reconcile as operator_module
from airflow_provider_genesys.operators.reconcile import GenesysReconcileOperator
from airflow_provider_genesys.source.shards import Shard
from airflow_provider_genesys.tasks import reconcile as module
from airflow_provider_genesys.tasks.reconcile import KIND, reconciled
from airflow_provider_genesys.testing.sink_conformance.source import make_certificate, make_checkpoint, make_load
from airflow_provider_genesys.window import Window
from tests.support.task_context import DAY_END, DAY_START, context

WHOLE = replace(make_certificate(make_load(), make_checkpoint(make_load(), 10)), kind=KIND)


def found(certificate: Any, mode: str = "fail") -> Any:
    nothing: Any = None

    def view() -> Any:
        raise AssertionError("the sink is asked")

    return reconciled(certificate, nothing, nothing, view, nothing, mode, filtered=False)


@pytest.mark.parametrize(
    ("certificate", "mode"),
    [
        (replace(WHOLE, shard=Shard(1, 2, 0, 9)), "fail"),
        (replace(WHOLE, kind="recordings"), "fail"),
        (WHOLE, "off"),
    ],
    ids=["a shard", "a kind without aggregates", "off"],
)
def test_it_is_left_as_it_is(certificate: Any, mode: str) -> None:
    assert found(certificate, mode) is certificate


def test_any_other_load_is_compared() -> None:
    with pytest.raises(AssertionError, match="the sink is asked"):
        found(WHOLE)


def test_a_mode_that_is_unknown_is_an_error_for_every_load() -> None:
    with pytest.raises(ConfigurationError, match="reconcile is 'perhaps'"):
        found(replace(WHOLE, kind="recordings"), "perhaps")


def test_a_load_with_filters_is_not_comparable_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "compare", lambda *_: pytest.fail("it is compared"))
    given, nothing = context(), None
    whole = reconciled(WHOLE, nothing, nothing, nothing, given, "fail", filtered=True)  # type: ignore[arg-type]
    assert whole.reconciliation is not None
    assert whole.reconciliation["verdict"] == "not comparable"
    assert "has filters" in whole.reconciliation["reason"]
    assert given["ti"].pushed["reconciliation"] == whole.reconciliation


@pytest.mark.usefixtures("genesys")
def test_an_outlet_of_the_operator_has_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    found = not_comparable(Window(DAY_START, DAY_END), "a test")
    monkeypatch.setattr(operator_module, "compare", lambda *_: found)
    monkeypatch.setattr(GenesysReconcileOperator, "_view", lambda _: None)
    outlet: Any = Asset("compared")
    given: Any = {**context(), "outlet_events": OutletEventAccessors()}
    compared = GenesysReconcileOperator(task_id="compare", table="t", outlets=[outlet]).execute(given)
    assert given["outlet_events"][outlet].extra == compared == found.as_json()
