from __future__ import annotations

import pytest

from airflow_provider_genesys.tasks.task_state import TaskState
from tests.support.task_context import Store, context

VALUE = {"export_id": "e-1"}


@pytest.fixture
def store() -> Store:
    return Store()


def kept(store: Store, *, failed: bool = False) -> None:
    """Let a first try, with the defaults of ``context``, keep something, and end by itself if ``failed``."""
    state = TaskState(context(store), "export")
    state.keep(VALUE)
    if failed:
        with pytest.raises(OSError, match="failed"), state.one_try():
            raise OSError("failed")


def test_a_retry_finds_what_an_earlier_try_kept(store: Store) -> None:
    kept(store, failed=True)
    assert TaskState(context(store), "export").recall() == VALUE


def test_a_retry_after_a_kill_finds_it_too(store: Store) -> None:
    kept(store)
    assert TaskState(context(store), "export").recall() == VALUE


@pytest.mark.parametrize("failed", [True, False])
def test_a_clear_raises_max_tries_and_finds_nothing(store: Store, *, failed: bool) -> None:
    kept(store, failed=failed)
    assert TaskState(context(store, max_tries=3, clear_number=1), "export").recall() is None


def test_a_clear_while_it_ran_raises_the_clear_number_and_finds_nothing(store: Store) -> None:
    kept(store)
    assert TaskState(context(store, clear_number=1), "export").recall() is None


def test_a_clear_is_not_forgotten_when_the_next_try_fails_before_it_keeps_anything(store: Store) -> None:
    kept(store)
    with pytest.raises(OSError, match="failed"), TaskState(context(store, clear_number=1), "export").one_try():
        raise OSError("failed")
    assert TaskState(context(store, clear_number=1), "export").recall() is None


def test_a_clear_of_another_task_between_two_tries_changes_nothing(store: Store) -> None:
    kept(store, failed=True)
    assert TaskState(context(store, clear_number=1), "export").recall() == VALUE


def test_keys_do_not_see_each_other(store: Store) -> None:
    kept(store)
    assert TaskState(context(store), "wait").recall() is None


def test_before_airflow_3_3_nothing_is_kept_and_nothing_breaks() -> None:
    state = TaskState(context(), "export")
    state.keep(VALUE)
    with pytest.raises(OSError, match="failed"), state.one_try():
        raise OSError("failed")
    assert state.recall() is None
