"""How often and after which pauses a request is tried again, and what the log says of it."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from airflow_provider_genesys import retries
from airflow_provider_genesys.retries import retried


class Failing:
    """Fails some times, each time with another error."""

    def __init__(self, times: int, error: type[Exception] = OSError) -> None:
        self.tried = 0
        self._times = times
        self._error = error

    def __call__(self) -> str:
        self.tried += 1
        if self.tried <= self._times:
            raise self._error(f"secret {self.tried}")
        return "done"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each pause; none of them is waited for."""
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=pauses.append))
    return pauses


def attempt(action: Failing, most: int = 2, first_wait: float | None = 1.0) -> str:
    return retried(
        action,
        "put x",
        most,
        is_transient=lambda error: isinstance(error, OSError),
        describe=lambda error: type(error).__name__,
        first_wait=first_wait,
    )


@pytest.mark.parametrize(("most", "fails"), [(0, 0), (2, 0), (2, 2), (5, 3)])
def test_it_succeeds_within_its_retries(most: int, fails: int, slept: list[float]) -> None:
    assert attempt(action := Failing(fails), most) == "done"
    assert (action.tried, len(slept)) == (fails + 1, fails)


@pytest.mark.parametrize(("most", "error", "tried"), [(0, OSError, 1), (2, OSError, 3), (2, KeyError, 1)])
def test_the_last_error_is_raised_when_no_retry_is_left_or_helps(
    most: int, error: type[Exception], tried: int, slept: list[float]
) -> None:
    action = Failing(9, error)
    with pytest.raises(error, match=f"secret {tried}"):
        attempt(action, most)
    assert (action.tried, len(slept)) == (tried, tried - 1)


@pytest.mark.parametrize("first", [1.0, None])
def test_pauses_double_up_to_the_longest_and_differ_by_chance(
    first: float | None, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.5)
    attempt(Failing(9), 9, first)
    shortest = first or 0.5
    for nth, pause in enumerate(slept):
        least = min(shortest * 2**nth, retries.LONGEST_WAIT)
        assert least <= pause <= least + shortest
    assert any(pause % 0.5 for pause in slept)


def test_the_log_has_the_error_in_words_without_secrets(slept: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        attempt(Failing(2))
    said = [f"put x failed (OSError); attempt {n} follows in {slept[n - 2]:.1f} s" for n in (2, 3)]
    assert [record.getMessage() for record in caplog.records] == said
