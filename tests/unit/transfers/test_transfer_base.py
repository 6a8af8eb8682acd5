"""What a loading operator makes of its arguments and its context."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import AccountError, ConfigurationError
from airflow_provider_genesys.operators.verify import compare
from airflow_provider_genesys.transfers.base import number, required
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.transfers.handle import read_handle
from airflow_provider_genesys.transfers.mirror import CheckpointMirror


class NoHook:
    """Nothing may be asked."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@pytest.mark.parametrize(
    ("try_number", "max_tries", "first"),
    [
        (1, 3, True),  # never tried
        (2, 3, False),  # a retry
        (4, 3, False),  # the last retry
        (2, 4, True),  # cleared after one try
        (3, 4, False),  # the first retry after that
        (5, 7, True),  # cleared again after four
    ],
)
def test_the_first_try_after_a_clear_is_told_from_a_retry(*, try_number: int, max_tries: int, first: bool) -> None:
    operator = GenesysExportToPostgresOperator(task_id="load", handle="e", table="t", retries=3)
    context: Any = {"ti": SimpleNamespace(try_number=try_number, max_tries=max_tries)}
    assert operator._is_first_try(context) is first


@pytest.mark.parametrize(
    "given",
    [
        {"export_id": "e1", "kind": "recordings", "file_uri": None},
        "{'export_id': 'e1', 'kind': 'recordings', 'file_uri': None}",
        '{"export_id": "e1", "kind": "recordings", "file_uri": null}',
    ],
)
def test_a_handle_is_read_as_dict_or_as_what_a_template_makes_of_one(given: Any) -> None:
    assert read_handle(given, "recordings", NoHook()) == {"export_id": "e1", "kind": "recordings", "file_uri": None}  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["", "None", None, 7, "{broken", {"kind": "recordings"}])
def test_what_is_no_handle_is_an_error(given: Any) -> None:
    with pytest.raises(ConfigurationError):
        read_handle(given, "recordings", NoHook())  # type: ignore[arg-type]


def test_numbers_and_names_come_from_templates_as_text() -> None:
    assert number("0.01", float) == 0.01
    assert number("", int) is None
    assert required("t", "table") == "t"
    with pytest.raises(ConfigurationError, match="table is empty"):
        required("None", "table")


def test_the_mirror_writes_at_once_then_rarely_and_at_the_end() -> None:
    pushed: list[Any] = []
    context: Any = {"ti": SimpleNamespace(xcom_push=lambda key, value: pushed.append((key, value["record_index"])))}
    with CheckpointMirror(context) as mirror:
        mirror.show({"file_uri": "sealed", "expires_at": "later"})
        for read in range(100):
            mirror.committed(checkpoint(read))
        assert pushed == [("checkpoint", 0)]
    assert pushed == [("checkpoint", 0), ("checkpoint", 99)]


def checkpoint(read: int) -> Any:
    return SimpleNamespace(
        position=SimpleNamespace(record_offset=10 * read, page=None),
        counts=SimpleNamespace(read=read),
        last_record_id="r",
        committed_at="now",
        failed_batches=[],
    )


def certificate(location: str, **changes: Any) -> dict[str, Any]:
    counts = {"read": 10, "written": 8, "dead_letters": 1, "duplicates": 1}
    same = {"export_id": "e", "window_start": "a", "window_end": "b", "bytes_read": 5, "digest": "d", "source": {}}
    return {**same, "location": location, "counts": counts, **changes}


def test_certificates_of_one_export_agree() -> None:
    other = certificate("s3", counts={"read": 10, "written": 9, "dead_letters": 1, "duplicates": 0})
    verified = compare([certificate("pg"), other])
    assert verified["read"] == 10
    assert verified["sinks"]["s3"] == {"written": 9, "dead_letters": 1, "duplicates": 0}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"digest": "x"}, "digest"),
        ({"bytes_read": 6}, "bytes_read"),
        ({"export_id": "f"}, "export_id"),
        ({"counts": {"read": 9, "written": 8, "dead_letters": 1, "duplicates": 0}}, "counts.read"),
        ({"counts": {"read": 10, "written": 8, "dead_letters": 1, "duplicates": 0}}, "does not close"),
    ],
)
def test_certificates_that_differ_fail(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(AccountError, match=named):
        compare([certificate("pg"), certificate("s3", **changes)])


def test_no_certificates_are_an_error() -> None:
    with pytest.raises(ConfigurationError):
        compare([])
