"""Arguments that a template has made text of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.operators.verify import GenesysVerifyExportOperator
from airflow_provider_genesys.tasks.arguments import contract_of
from airflow_provider_genesys.tasks.rendered import mapping, words
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.task_context import Store, context, run

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


def test_texts_of_templates_ask_for_the_same_export(genesys: FakeGenesys) -> None:
    asked = {"filters": {"status": "COMPLETED"}, "options": {}, "include": ("media", "metadata")}
    texts = {"filters": "{'status': 'COMPLETED'}", "options": "None", "include": "['media', 'metadata']"}
    fingerprints = set()
    for arguments in (asked, texts):
        given = context(Store())
        run(GenesysCreateExportOperator(task_id="create", **arguments), given)  # type: ignore[arg-type]
        fingerprints.add(given["ti"].pushed["export"]["fingerprint"])
    assert len(fingerprints) == 1


def test_modes_and_certificates_come_as_text_too() -> None:
    strict = contract_of(None, '{"unknown": "freeze"}', kind="recordings", folder=".")  # type: ignore[arg-type]
    assert strict == contract_of(None, {"unknown": "freeze"}, kind="recordings", folder=".")
    one = {
        "export_id": "e",
        "kind": "recordings",
        "window_start": "a",
        "window_end": "b",
        "source": {"length": 3, "etag": "x"},
        "bytes_read": 5,
        "digest": "d",
        "min_timestamp": "t",
        "max_timestamp": None,
        "contract": "recordings@1#c",
        "location": "pg",
        "counts": {"read": 1, "written": 1, "dead_letters": 0, "duplicates": 0},
    }
    verify = GenesysVerifyExportOperator(
        task_id="verify",
        certificates=[str(one), json.dumps({**one, "contract": "mine@1#d"})],  # type: ignore[list-item]
        may_differ="['contract']",
    )
    assert verify.execute(context())["read"] == 1  # type: ignore[arg-type]
