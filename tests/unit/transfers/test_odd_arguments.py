"""Templates and XComs may give any value: each argument of each loading operator is read, or refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_genesys.exceptions import GenesysError
from airflow_provider_genesys.tasks.failures import AirflowFailException
from tests.unit.transfers.boundary import observe
from tests.unit.transfers.test_arguments_arrive import OPERATORS, Row, keys

__all__ = ["keys"]

ODD: tuple[Any, ...] = ([1], 1.5, b"x", object(), "\ud800", "a\x1b[31m", 10**5000)
RATIOS = {"max_dead_letter_ratio", "max_deleted_ratio"}
MAY_HOLD_LINES = {"conversations_sql"}

CASES = [
    pytest.param(operator, place, name, rows[name], id=f"{operator.__name__}-{name}")
    for operator, place, rows, no_effect in OPERATORS
    for name in operator.template_fields  # type: ignore[attr-defined]  # they are operators
    if name in rows and name not in no_effect
]


@pytest.mark.parametrize(("operator", "place", "name", "row"), CASES)
def test_an_odd_value_is_refused_by_the_name_of_its_argument(
    operator: Any, place: dict[str, Any], name: str, row: Row
) -> None:
    for value in ODD:
        if (name in RATIOS and value == 1.5) or (name in MAY_HOLD_LINES and isinstance(value, str)):
            continue

        def rendered(value: Any = value, **given: Any) -> Any:
            task = operator(**given)
            setattr(task, name, value)
            return task

        given = {"deferrable": False, **place, **row.given}
        error = observe(rendered, given, outage=row.outage, lost=row.lost).raised  # type: ignore[arg-type]
        what = f"{name} = {type(value).__name__}: {error!r}"
        assert isinstance(error, (GenesysError, AirflowFailException)), what
        assert name in str(error) or "cannot be the id of an export" in str(error), what
        assert len(str(error)) < 700, what
        assert str(error).isprintable(), what
