"""One file names the versions that are tested: what the package says of itself and docs/versions.md follow it."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
MATRIX = [
    tuple(line.split()[:2])
    for line in (ROOT / ".ci" / "matrix").read_text().splitlines()
    if line and not line.startswith("#")
]


def minor(version: str) -> tuple[int, int]:
    first, second = version.split(".")[:2]
    return int(first), int(second)


def consecutive(versions: set[tuple[int, int]]) -> bool:
    (major,) = {one for one, _ in versions}
    seconds = sorted(second for _, second in versions)
    return versions == {(major, second) for second in range(seconds[0], seconds[-1] + 1)}


def test_the_classifiers_name_the_pythons_that_are_tested() -> None:
    named = re.findall(
        r":: Python :: (3\.\d+)", "\n".join(metadata("airflow-provider-genesys").get_all("Classifier", []))
    )
    assert {minor(one) for one in named} == {minor(python) for _, python in MATRIX}


def test_each_airflow_from_the_oldest_that_is_allowed_is_tested() -> None:
    needed = metadata("airflow-provider-genesys").get_all("Requires-Dist", [])
    (oldest,) = (match[1] for one in needed if (match := re.fullmatch(r"apache-airflow<4,>=([\d.]+)", one)))
    airflows = {minor(airflow) for airflow, _ in MATRIX}
    assert min(airflows) == minor(oldest)
    assert consecutive(airflows)
    assert consecutive({minor(python) for _, python in MATRIX})


def test_the_newest_is_the_one_of_the_lock() -> None:
    (locked,) = re.findall(r"^apache-airflow==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert max(MATRIX, key=lambda line: minor(line[0]))[0] == locked


def test_the_page_has_the_same_table() -> None:
    page = (ROOT / "docs" / "versions.md").read_text()
    assert re.findall(r"^\| (\d+\.\d+\.\d+) \| (3\.\d+) \|", page, re.MULTILINE) == MATRIX
