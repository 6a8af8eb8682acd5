"""Which loads are compared with Genesys' aggregates, and where the comparison is to be seen."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_genesys.completeness import verdict
from airflow_provider_genesys.completeness.verdict import Reconciliation, not_comparable
from airflow_provider_genesys.contracts.contract import built_in
from airflow_provider_genesys.exceptions import ConfigurationError, IncompleteError, SinkUnavailableError
from airflow_provider_genesys.operators import reconcile as operator_module
from airflow_provider_genesys.operators.reconcile import GenesysReconcileOperator
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.source.shards import Shard
from airflow_provider_genesys.tasks import reconcile as module
from airflow_provider_genesys.tasks.reconcile import KIND, reconciled
from airflow_provider_genesys.testing.sink_conformance.source import make_certificate, make_checkpoint, make_load
from airflow_provider_genesys.window import Window
from tests.support.task_context import DAY_END, DAY_START, RUN, context, pushed, stand_in

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
    assert pushed(given, "reconciliation") == whole.reconciliation


@pytest.mark.usefixtures("genesys")
def test_an_outlet_of_the_operator_has_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    found = not_comparable(Window(DAY_START, DAY_END), "a test")
    monkeypatch.setattr(operator_module, "compare", lambda *_: found)
    monkeypatch.setattr(GenesysReconcileOperator, "_view", lambda _: None)
    outlet, given = Asset("compared"), context(task_id="compare")
    compared = GenesysReconcileOperator(task_id="compare", table="t", outlets=[outlet]).execute(given)
    assert given["outlet_events"][outlet].extra == compared == found.as_json()


CONTRACT = built_in("conversation_details")


def viewed(monkeypatch: pytest.MonkeyPatch, **given: Any) -> list[Any]:
    """Execute the operator; return what it asked of the sink's view, and what it compared."""
    asked: list[Any] = []

    def connected(conn_id: str) -> str:
        return f"connected to {conn_id}"

    def table(connect: Any, schema: str, name: str, contract: Any) -> str:
        asked.append((connect(), schema, name, contract))
        return "the table"

    def opened(folder: str, conn_id: str) -> tuple[str, str]:
        return f"store of {conn_id}", f"prefix of {folder}"

    def folder(*given: Any) -> str:
        asked.append(given)
        return "the folder"

    def compared(hook: Any, window: Window, view: Any, mode: str) -> Any:
        asked.append((hook.genesys_conn_id, window.start, window.end, view, mode))
        return not_comparable(window, "a test")

    for name, fake in (
        ("connect", connected),
        ("view_of_table", table),
        ("open_folder", opened),
        ("view_of_folder", folder),
        ("compare", compared),
        ("judge", lambda found, mode: asked.append((found.reason, mode))),
    ):
        monkeypatch.setattr(operator_module, name, fake)
    GenesysReconcileOperator(task_id="compare", contract=CONTRACT, **given).execute(context())
    return asked


@pytest.mark.usefixtures("genesys")
def test_the_operator_compares_the_place_and_the_window_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = {"window_start": "2026-11-20T00:00:00+00:00", "window_end": "2026-11-21T00:00:00+00:00"}
    conn = {"genesys_conn_id": "genesys_default"}
    assert viewed(monkeypatch, table="t", schema="s", postgres_conn_id="p", reconcile="fail", **conn) == [
        ("connected to p", "s", "t", CONTRACT),
        ("genesys_default", DAY_START, DAY_END, "the table", "fail"),
        ("a test", "fail"),
    ]
    asked = viewed(monkeypatch, folder="s3://b/f", folder_conn_id="a", partition_format="%Y", handle=handle)
    day = timedelta(days=1)
    assert asked[:2] == [
        ("store of a", "prefix of s3://b/f", "%Y", CONTRACT),
        ("genesys_default", DAY_START - 2 * day, DAY_END - 2 * day, "the folder", "warn"),
    ]
    own = {"window_start": DAY_START - day, "window_end": DAY_END - day}
    assert viewed(monkeypatch, table="t", handle=handle, **own)[1][1:3] == (DAY_START - day, DAY_END - day)


@pytest.mark.usefixtures("genesys")
@pytest.mark.parametrize("given", [{}, {"table": "t", "folder": "s3://b/f"}, {"table": ""}, {"folder": None}])
def test_the_operator_has_one_place_to_compare(given: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match="either table or folder"):
        GenesysReconcileOperator(task_id="compare", **given).execute(context())


DIFFERS = Reconciliation("a", "b", "differs", "two are missing", "c", {"g": {"sink": 3}}, [{"one": 1}] * 5)


def test_a_difference_fails_a_load_that_asks_for_it_and_is_kept_first(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Certificate] = []

    class Keeping:
        def amend(self, certificate: Certificate) -> None:
            kept.append(certificate)

    monkeypatch.setattr(module, "compare", lambda *_: DIFFERS)
    for mode in ("warn", "fail"):
        given, nothing = context(), None
        with pytest.raises(IncompleteError, match="two are missing") if mode == "fail" else nullcontext():
            reconciled(WHOLE, Keeping(), nothing, lambda: None, given, mode, filtered=False)  # type: ignore[arg-type]
        assert kept.pop().reconciliation == DIFFERS.as_json() == pushed(given, "reconciliation")


def test_a_certificate_that_cannot_be_amended_fails_no_load(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Certificate) -> None:
        raise SinkUnavailableError("no answer")

    monkeypatch.setattr(module, "compare", lambda *_: DIFFERS)
    broken: Any = SimpleNamespace(amend=refuse)
    given: Any = {**stand_in(RUN, DAY_END)}
    assert reconciled(WHOLE, broken, broken, lambda: None, given, "warn", filtered=False).reconciliation
    assert "its certificate does not have the comparison: no answer" in caplog.text


def test_an_error_of_a_comparison_fails_only_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise SinkUnavailableError("no answer")

    monkeypatch.setattr(verdict, "reconcile", broken)
    window, nothing = Window(DAY_START, DAY_END), SimpleNamespace(get_conn=lambda: None, count=None, history=None)
    found = module.compare(nothing, window, nothing, "warn")  # type: ignore[arg-type]  # nothing of them is asked
    assert (found.verdict, found.reason) == ("not comparable", "no answer")
    with pytest.raises(SinkUnavailableError):
        module.compare(nothing, window, nothing, "fail")  # type: ignore[arg-type]  # as above
    assert "cannot be read back" in module.compare(nothing, window, None, "fail").reason  # type: ignore[arg-type]
