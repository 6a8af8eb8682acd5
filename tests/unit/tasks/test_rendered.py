"""Arguments that a template has made text of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.operators.dead_letters import GenesysReplayDeadLettersOperator
from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.operators.finish_loads import GenesysFinishPostgresLoadsOperator
from airflow_provider_genesys.operators.plan import GenesysPlanBackfillOperator
from airflow_provider_genesys.operators.reconcile import GenesysReconcileOperator
from airflow_provider_genesys.operators.shards import GenesysPlanShardsOperator
from airflow_provider_genesys.operators.verify import GenesysVerifyExportOperator
from airflow_provider_genesys.operators.warehouse_lists import GenesysWriteListsOperator
from airflow_provider_genesys.tasks.arguments import contract_of
from airflow_provider_genesys.tasks.failures import AirflowFailException
from airflow_provider_genesys.tasks.rendered import is_list, limit, mapping, number, place, text, words
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.transfers.genesys_entities_to_postgres import GenesysEntitiesToPostgresOperator
from tests.support.task_context import Store, context, pushed, run

FILTERS = {"status": "COMPLETED", "queues": ["a", None, True], "since": {"days": 3}}


@pytest.mark.parametrize("given", [FILTERS, json.dumps(FILTERS), str(FILTERS), f"\n {FILTERS} \n"])
def test_an_object_is_read_as_it_is_or_as_text(given: Any) -> None:
    assert mapping(given, "filters") == FILTERS


@pytest.mark.parametrize("given", [None, "", "None", "{}", {}, " None "])
def test_nothing_is_an_empty_object(given: Any) -> None:
    assert mapping(given, "filters") == {}


@pytest.mark.parametrize(
    "given", ["{broken", "status=COMPLETED", [], "[1]", 7, "{'at': datetime.date(2026, 1, 1)}", "{1, 2}"]
)
def test_what_is_no_object_is_an_error_that_says_what_to_set(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"filters .*(tojson|render_template_as_native_obj)"):
        mapping(given, "filters")


@pytest.mark.parametrize("given", [("a", "b"), ["a", "b"], '["a", "b"]', "['a', 'b']", "('a', 'b')", "a,b", " a , b "])
def test_a_list_is_read_as_it_is_or_as_text(given: Any) -> None:
    assert words(given, "include", ("x",)) == ("a", "b")


def test_one_word_is_a_list_of_one_and_nothing_is_the_default() -> None:
    assert words("media", "include", ("x",)) == ("media",)
    assert words([], "include", ("x",)) == ()
    for nothing in (None, "", "None"):
        assert words(nothing, "include", ("x",)) == ("x",)
    for wrong in ([1], {"a": 1}, '{"a": 1}', "a,,b", "[a, b]"):
        with pytest.raises(ConfigurationError, match="include"):
            words(wrong, "include", ())


WRONG = ([], {}, [1], {"a": 1}, True, float("nan"), b"x", "\ud800", "a\nb", "\x1b[31m", 1.5, None, "", "None")


@pytest.mark.parametrize("given", WRONG)
def test_what_is_no_text_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="table"):
        text(given, "table")


@pytest.mark.parametrize(
    ("schema", "table", "says"),
    [
        ("public", "sales.calls", "give schema='sales' and table='calls'"),
        ("public", '"sales"."calls"', "give schema='sales' and table='calls'"),
        ("public", '"calls"', "give it without quotes, table='calls'"),
        ('"sales"', "calls", "give it without quotes, schema='sales'"),
        ("public", "ä" * 32, "names have 63 bytes at most"),
    ],
)
def test_a_name_in_quotes_or_with_its_schema_makes_no_other_table(schema: str, table: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        place(schema, table)
    assert place("public", "Calls of May") == ("public", "Calls of May")
    tasks: list[Any] = [
        GenesysReplayDeadLettersOperator(task_id="t", table=table, schema=schema),
        GenesysReconcileOperator(task_id="t", table=table, schema=schema),
        GenesysEntitiesToPostgresOperator(task_id="t", entity="users", table=table, schema=schema),
        GenesysFinishPostgresLoadsOperator(task_id="t", table=table, schema=schema),
    ]
    for task, use in zip(tasks, ("_replay", "_view", "make_sink", "unfinished_loads"), strict=True):
        with pytest.raises(ConfigurationError, match=says):
            getattr(task, use)()


def test_digits_that_a_native_template_made_a_number_of_are_text() -> None:
    assert (text(20260101, "s3_prefix"), text("20260101", "s3_prefix")) == ("20260101", "20260101")


@pytest.mark.parametrize("given", [*WRONG, "x", "{", "-1", -1, "1e999", 10**400, "9" * 5000, float("inf"), "0.5"])
def test_what_is_no_number_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"shard_size .* a whole number of at least 1|shard_size is empty"):
        number(given, "shard_size", int, least=1)


def test_a_number_is_read_as_it_is_or_as_text() -> None:
    assert [number(given, "n", int) for given in (5, "5", " 5 ")] == [5, 5, 5]
    assert [limit(given, "n", float) for given in (0.5, "0.5", None, "", "None")] == [0.5, 0.5, None, None, None]


DAY = {"window_start": "2026-01-01", "window_end": "2026-01-02"}
CERTIFICATE = {"location": "s3://bucket/prefix/load/", "counts": {}}


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda given: GenesysReconcileOperator(task_id="t", handle=given, table="t"), "handle"),
        (lambda given: GenesysReconcileOperator(task_id="t", table=given), "table"),
        (lambda given: GenesysReconcileOperator(task_id="t", table="t", contract=given), "no contract"),
        (lambda given: GenesysPlanBackfillOperator(task_id="t", kind=given, **DAY), "kind is"),
        (lambda given: GenesysVerifyExportOperator(task_id="t", certificates=given), "certificates"),
        (lambda given: GenesysPlanShardsOperator(task_id="t", handle="x", shard_size=given), "shard_size"),
        (lambda given: GenesysReplayDeadLettersOperator(task_id="t", table=given), "table"),
        (lambda given: GenesysWriteListsOperator(task_id="t", certificate=CERTIFICATE, lists=given), "lists"),
    ],
)
@pytest.mark.parametrize("given", [[1], 1.5, b"x"])
def test_what_a_template_may_give_is_refused_by_name(make: Any, name: str, given: Any, genesys: FakeGenesys) -> None:
    with pytest.raises(AirflowFailException, match=name):
        make(given).execute(context(Store()))


def test_texts_of_templates_ask_for_the_same_export(genesys: FakeGenesys) -> None:
    asked = {"filters": {"status": "COMPLETED"}, "options": {}, "include": ("media", "metadata")}
    texts = {"filters": "{'status': 'COMPLETED'}", "options": "None", "include": "['media', 'metadata']"}
    fingerprints = set()
    for arguments in (asked, texts):
        given = context(Store())
        run(GenesysCreateExportOperator(task_id="create", **arguments), given)  # type: ignore[arg-type]
        fingerprints.add(pushed(given, "export")["fingerprint"])
    assert len(fingerprints) == 1


def test_modes_and_certificates_come_as_text_too(capfd: pytest.CaptureFixture[str]) -> None:
    strict = contract_of(None, '{"unknown": "freeze"}', kind="recordings", folder=".")  # type: ignore[arg-type]
    assert strict == contract_of(None, {"unknown": "freeze"}, kind="recordings", folder=".")
    one = {
        "load_id": "l",
        "export_id": "e",
        "kind": "recordings",
        "window_start": "a",
        "window_end": "b",
        "source": {"length": 3, "etag": "x"},
        "bytes_read": 5,
        "digest": "0000000000000001",
        "min_timestamp": "t",
        "max_timestamp": None,
        "contract": "recordings@1#c",
        "location": "pg",
        "counts": {"read": 1, "written": 1, "dead_letters": 0, "duplicates": 0},
    }
    verify = GenesysVerifyExportOperator(
        task_id="verify",
        certificates=[str(one), json.dumps({**one, "contract": "mine@1#d", "location": "s3"})],  # type: ignore[list-item]
        may_differ="['contract']",
    )
    assert verify.execute(context())["read"] == 1  # type: ignore[arg-type]
    assert "is the same in pg and s3: 1 records, digest 0000000000000001" in capfd.readouterr().out


def test_texts_and_objects_are_no_lists() -> None:
    assert [is_list(one) for one in ([], (1,), "ab", b"ab", bytearray(1), {"a": 1}, {1}, None, 5)] == [True] * 2 + [
        False
    ] * 7
