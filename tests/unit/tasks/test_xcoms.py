"""XComs that others have made: certificates, handles and exports of any shape are refused by name, or read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from jinja2 import StrictUndefined, Undefined, UndefinedError

from airflow_provider_genesys.exceptions import ConfigurationError, GenesysError
from airflow_provider_genesys.operators.verify import GenesysVerifyExportOperator
from airflow_provider_genesys.operators.verify_stored import GenesysVerifyStoredOperator
from airflow_provider_genesys.operators.warehouse_lists import GenesysWriteListsOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.tasks.failures import AirflowFailException
from airflow_provider_genesys.tasks.xcoms import certificate_of, checked_export, checked_summary

COUNTS = {"read": 10, "written": 8, "dead_letters": 1, "duplicates": 1}
WHOLE: dict[str, Any] = {
    "load_id": "l",
    "export_id": "e",
    "kind": "recordings",
    "window_start": "2026-11-22T00:00:00+00:00",
    "window_end": "2026-11-23T00:00:00+00:00",
    "contract": "recordings@1#c",
    "source": {"length": 300, "etag": "x"},
    "bytes_read": 300,
    "counts": COUNTS,
    "digest": "0000000289b02b1e",
    "location": "postgresql://host:5432/warehouse/public.t",
    "parts": 3,
}
"""A certificate of an earlier release: it has no newer fields."""
SHARD = {**WHOLE, "shard": {"number": 1, "count": 1, "start": 0, "end": 300}}
HANDLE: dict[str, Any] = {
    **{name: WHOLE[name] for name in ("export_id", "kind", "window_start", "window_end")},
    "state": "COMPLETED",
    "file_uri": None,
    "expires_at": None,
    "size": 300,
    "etag": "x",
    "records": 10,
    "submitted_at": None,
    "request": {"filters": {}, "options": {}},
}
MISSING = object()
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]
FORGED = (True, 1.5, -1, 2**63, 10**5000, float("nan"), "\ud800", "a\nb", "x" * 100_000, [1], {"a": 1}, b"x", DEEP)


def forged(whole: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield copies of ``whole``, in each of which one field is missing or has another value, with the field's name."""
    for name, one in whole.items():
        for value in (*FORGED, MISSING):
            changed = {**whole, name: value}
            if value is MISSING:
                del changed[name]
            yield name, changed
        if isinstance(one, dict):
            yield from ((name, {**whole, name: changed}) for _, changed in forged(one))


def verify(given: Any) -> Any:
    certificates = [{**WHOLE, "location": "s3://lake/t/"}, given]
    operator = GenesysVerifyExportOperator(task_id="verify", certificates=[])
    vars(operator)["certificates"] = certificates  # Airflow would look for XComs in it
    return operator.execute({})  # type: ignore[typeddict-item]


def later(given: Any) -> Any:
    operator = GenesysVerifyStoredOperator(task_id="verify", certificate={}, conn_id="no_such_connection")
    vars(operator)["certificate"] = given
    return operator.execute({})  # type: ignore[typeddict-item]


def lists(given: Any) -> Any:
    operator = GenesysWriteListsOperator(task_id="lists", certificate={}, lists=["redshift"])
    vars(operator)["certificate"] = given
    return operator.execute({})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("read", "whole"),
    [
        (verify, WHOLE),
        (lambda shard: verify([shard]), SHARD),
        (later, WHOLE),
        (later, SHARD),
        (lists, WHOLE),
        (lambda given: certificate_of(given, "one"), WHOLE),
        (lambda given: checked_export(given, "handle"), HANDLE),
    ],
)
def test_a_forged_xcom_is_read_or_refused_in_one_clear_message(
    read: Callable[[Any], Any], whole: dict[str, Any]
) -> None:
    refused: dict[str, str] = {}
    for name, given in forged(whole):
        try:
            read(given)
        except (GenesysError, AirflowFailException) as error:
            refused[name] = max(refused.get(name, ""), str(error), key=len)
    assert refused.keys() >= whole.keys() - {"state", "parts"}
    assert [name for name, said in refused.items() if not said.isprintable() or len(said) > 1000] == []


def test_what_the_operators_of_this_package_return_is_read() -> None:
    assert verify(WHOLE)["sinks"][WHOLE["location"]]["written"] == 8
    assert certificate_of(str(SHARD), "one").shard.number == 1  # type: ignore[union-attr]
    assert checked_summary(WHOLE, "certificate")["location"] == WHOLE["location"]
    assert checked_export(HANDLE, "handle") == HANDLE
    moment = datetime(2026, 11, 22, tzinfo=timezone.utc)
    assert checked_export({"export_id": "e", "window_start": moment}, "handle")["window_start"] == moment.isoformat()


def test_the_certificate_of_one_task_is_not_compared_with_itself() -> None:
    with pytest.raises(AirflowFailException, match="two of the same place"):
        verify({**WHOLE, "location": "s3://lake/t/"})


@pytest.mark.parametrize("given", [None, "", "None", [], {}, "{}", "[]"])
def test_a_certificate_that_is_missing_is_said_to_be(given: Any) -> None:
    with pytest.raises(AirflowFailException, match="no certificates to verify"):
        verify(given)


@pytest.mark.parametrize(
    ("shards", "numbers"),
    [([SHARD, SHARD], r"\[1, 1\]"), ([{**SHARD, "shard": {**SHARD["shard"], "count": 2**62}}], "1 to 46")],
)
def test_shards_that_are_none_are_refused_without_counting_them(shards: Any, numbers: str) -> None:
    with pytest.raises(AirflowFailException, match=f"do not make one whole: .*{numbers}"):
        verify(shards)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("operator", [GenesysExportSensor, GenesysVerifyStoredOperator])
def test_what_is_undefined_is_an_error_also_where_templates_give_objects(operator: Any, native: bool) -> None:
    from airflow.sdk import DAG

    first = operator.template_fields[0]
    for undefined, expected in ((StrictUndefined, None), (Undefined, "")):
        with DAG("d", schedule=None, render_template_as_native_obj=native, template_undefined=undefined) as dag:
            task = operator(task_id="t", **{first: "{{ params.nothing }}"})
        if expected is None:
            with pytest.raises(UndefinedError, match="nothing"):
                task.render_template_fields({"params": {}}, dag.get_template_env())
        else:
            task.render_template_fields({"params": {}}, dag.get_template_env())
            assert getattr(task, first) == expected


def test_a_load_id_is_needed_to_find_a_table_s_load() -> None:
    with pytest.raises(AirflowFailException, match="certificate's load_id is empty"):
        later({**WHOLE, "load_id": ""})
    with pytest.raises(ConfigurationError, match="negative"):
        certificate_of({**WHOLE, "counts": {**COUNTS, "written": 10, "duplicates": -1}}, "one")
