"""Every operator and sensor in Airflow's own machinery: its DAG is serialised, and each argument can be expanded over.

What ``partial(...).expand(argument=[value])`` makes has to equal what the operator makes of the same arguments, and a
template has to be rendered in both.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.serialization.serialized_objects import DagSerialization

import airflow_provider_genesys
from airflow_provider_genesys.exceptions import ConfigurationError

OTHER: dict[str, Any] = {
    "certificate": {"location": "s3://lake/a/"},
    "certificates": [{"location": "s3://lake/a/"}],
    "contract": "user_details",
    "contract_modes": {"unknown": "freeze"},
    "conversations_parameters": {"a": 1},
    "dead_letter_raw": "keep",
    "deletes": "keep",
    "entity": "users",
    "expect_records": "warn",
    "extra_args": {"a": "b"},
    "fencing": "none",
    "filters": {"a": 1},
    "include": ["media"],
    "late_data": "fail",
    "lists": ["redshift"],
    "max_dead_letter_ratio": 0.5,
    "max_dead_letters": 5,
    "max_deleted_ratio": 0.5,
    "max_memory_mb": 500,
    "max_message_bytes": 1_000,
    "max_outage": timedelta(hours=1),
    "on_clear": "resume",
    "options": {"a": 1},
    "output_format": "parquet",
    "page_size": 50,
    "partition_by": "day",
    "partition_format": "%Y",
    "processes": 2,
    "publish": "atomic",
    "publish_to_iceberg": {"namespace": "a", "table": "b"},
    "reconcile": "fail",
    "retention_threshold_days": 3,
    "shard": {"number": 1, "count": 2, "start": 0, "end": 9, "planned_at": "2026-11-23T01:00:00+00:00"},
    "submitted_at": "2026-11-23T00:00:00Z",
    "timeout": 60,
    "window_end": "2026-11-23",
    "window_start": "2026-11-22",
    "write_mode": "replace_window",
}
"""Values that are allowed, and not the defaults. Arguments that are not here get text, or a number that is greater."""

TARGETS = ("table", "s3_bucket", "s3_prefix", "gcs_bucket", "gcs_prefix", "container_name", "blob_prefix")
OF_SENSORS = {"mode", "silent_fail", "soft_fail", "poke_interval", "exponential_backoff", "max_wait", "never_fail"}
REFUSED = (
    "A listing is loaded without",
    "publish_to_iceberg is for loads into",
    "Give one of handle",
    "conversations_parameters are",
)
ROOMS = ("operators", "sensors", "transfers")


OF_AIRFLOW = {*vars(BaseOperator(task_id="t")), "_dag"}


def operators() -> Iterator[type[BaseOperator]]:
    for room in ROOMS:
        package = import_module(f"{airflow_provider_genesys.__name__}.{room}")
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            for name, found in vars(import_module(module.name)).items():
                own = name.startswith("Genesys") and getattr(found, "__module__", "") == module.name
                if own and not inspect.isabstract(found):
                    yield found


ALL = sorted(operators(), key=lambda one: one.__name__)


def parameters(operator: type) -> dict[str, inspect.Parameter]:
    found: dict[str, inspect.Parameter] = {}
    for one in operator.__mro__[: operator.__mro__.index(BaseOperator)]:
        if "__init__" in vars(one):
            found = {**inspect.signature(vars(one)["__init__"]).parameters, **found}
    named = {name: one for name, one in found.items() if one.kind is one.KEYWORD_ONLY}
    return {name: one for name, one in named.items() if name not in OF_SENSORS}


def other(parameter: inspect.Parameter) -> Any:
    if parameter.name in OTHER:
        return OTHER[parameter.name]
    if isinstance(parameter.default, bool):
        return not parameter.default
    return parameter.default + 1 if isinstance(parameter.default, (int, float)) else "x"


def needed(operator: type, known: dict[str, inspect.Parameter]) -> dict[str, Any]:
    """Return arguments without which nothing can be made."""
    of_listing = "entity" in known
    names = [name for name, one in known.items() if one.default is one.empty and not (of_listing and name == "handle")]
    if not of_listing:
        names += [name for name in ("handle", *TARGETS) if name in known]
    if operator.__name__ == "GenesysReplayDeadLettersOperator":  # one target alone
        names = ["table"]
    return {name: other(known[name]) for name in [*names, *(["entity"] if of_listing else [])]}


def serialised(dag: DAG) -> Any:
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))


def state(task: BaseOperator) -> dict[str, str]:
    """Return the attributes that the package gives a task, as text."""
    return {name: repr(one).partition(" at 0x")[0] for name, one in vars(task).items() if name not in OF_AIRFLOW}


def direct(operator: Any, arguments: dict[str, Any]) -> BaseOperator | None:
    """Return the task, or None if the operator refuses the argument, whatever its value."""
    try:
        with DAG("of_one", schedule=None):
            return operator(task_id="t", **arguments)  # type: ignore[no-any-return]
    except ConfigurationError as error:
        if str(error).startswith(REFUSED):
            return None
        raise


@pytest.mark.parametrize("operator", ALL, ids=lambda one: one.__name__)
def test_each_argument_can_be_expanded_over_and_the_dag_is_serialised(operator: Any) -> None:
    known = parameters(operator)
    base = needed(operator, known)
    arrived = 0
    with DAG("d", schedule=None) as dag:
        operator(task_id="itself", **base)
        for name, parameter in known.items():
            value = other(parameter)
            expected = direct(operator, {**base, name: value})
            if expected is None:
                continue
            rest = {one: given for one, given in base.items() if one != name}
            mapped = operator.partial(task_id=f"over_{name}", **rest).expand(**{name: [value]})
            made = mapped.unmap({**mapped.partial_kwargs, name: value})
            assert state(expected).items() <= state(made).items(), name
            arrived += 1
    assert arrived >= len(known) - 12
    read = serialised(dag)
    assert sorted(read.task_ids) == sorted(dag.task_ids)
    assert set(read.get_task("itself").template_fields) == set(operator.template_fields)


@pytest.mark.parametrize("operator", ALL, ids=lambda one: one.__name__)
def test_a_template_is_rendered_in_a_mapped_task_too(operator: Any) -> None:
    known = parameters(operator)
    base = needed(operator, known)
    with DAG("d", schedule=None) as dag:
        for name in operator.template_fields:
            given = {**base, name: "{{ params.of_the_run }}"}
            task = direct(operator, given)
            if task is None:
                continue
            rest = {one: value for one, value in given.items() if one != name}
            mapped = operator.partial(task_id=f"over_{name}", **rest).expand(**{name: [given[name]]})
            for one in (task, mapped.unmap({**mapped.partial_kwargs, name: given[name]})):
                one.render_template_fields({"params": {"of_the_run": "a-marker"}}, dag.get_template_env())
                assert getattr(one, name) == "a-marker", name
