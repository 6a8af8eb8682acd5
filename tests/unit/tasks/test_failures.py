from __future__ import annotations

import traceback

import pytest

from airflow_provider_genesys.exceptions import CloudUnavailableError, WindowError
from airflow_provider_genesys.tasks.failures import AirflowFailException, failing_fast


def test_what_another_try_cannot_heal_is_not_retried() -> None:
    with pytest.raises(AirflowFailException, match="no window") as caught, failing_fast():
        raise WindowError("no window")
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.count("no window") == 2  # the line of this test that raises it, and the message
    assert "WindowError" not in shown.splitlines()[-1]
    assert "direct cause" not in shown


@pytest.mark.parametrize("error", [CloudUnavailableError("later"), KeyError("a bug")])
def test_everything_else_is_left_to_airflow(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, failing_fast():
        raise error
    assert caught.value is error


def test_what_is_retried_is_printed_without_the_frames_of_where_it_was_raised() -> None:
    def deep_inside() -> None:
        raise CloudUnavailableError("later")

    with pytest.raises(CloudUnavailableError) as caught, failing_fast():
        deep_inside()
    printed = "".join(traceback.format_exception(caught.value))
    assert "deep_inside\n" not in printed
    assert printed.splitlines()[-1] == "airflow_provider_genesys.exceptions.CloudUnavailableError: later"
