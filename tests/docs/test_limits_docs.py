"""The table of limits in docs/bad-input.md has every limit, with the value that the code has."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from airflow_provider_genesys import limits

PAGE = Path(__file__).parents[2] / "docs" / "bad-input.md"
ROW = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<value>[0-9,]+)[^|]*\| [^|]+ \| `(?P<place>[a-z_./]+):(?P<name>[A-Z_]+)` \|$"
)


def rows() -> list[re.Match[str]]:
    table = (
        PAGE.read_text().split("<!-- limits: tests/docs/test_limits_docs.py -->")[1].split("<!-- limits: end -->")[0]
    )
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    found = [ROW.match(line) for line in lines]
    assert all(found), lines[found.index(None)]
    return [one for one in found if one]


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row["name"]))
def test_the_value_is_that_of_the_code(row: re.Match[str]) -> None:
    module = import_module(f"airflow_provider_genesys.{row['place'].removesuffix('.py').replace('/', '.')}")
    assert getattr(module, row["name"]) == int(row["value"].replace(",", ""))


def test_every_limit_has_a_row() -> None:
    named = {row["name"] for row in rows() if row["place"] == "limits.py"}
    assert named == {name for name in vars(limits) if name.isupper()}
