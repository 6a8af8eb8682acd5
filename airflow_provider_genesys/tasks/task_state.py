"""Values that a task keeps for its next try, and whether that try is a retry or follows a clear."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from airflow.sdk import Context

if TYPE_CHECKING:
    from airflow_provider_genesys.checkpoints.conditional import ConditionalStore


def is_first_try(context: Context, retries: int) -> bool:
    """Return whether this is the first try since the task was created or cleared.

    A clear sets ``max_tries`` to the tries made so far plus ``retries``; a retry leaves it as it is. The clear of a
    running task sets it once its worker has ended the task; if the worker is lost, the next try counts as a retry.
    """
    ti = context["ti"]
    return bool(ti.try_number <= ti.max_tries - retries + 1)


class StateStore(Protocol):
    """The calls of Airflow's ``task_state_store`` (3.3 and later): JSON values under keys, one store per task."""

    def get(self, key: str) -> Any:
        """Return the value under ``key``; None if there is none."""

    def set(self, key: str, value: Any) -> None:
        """Keep ``value``; it is stored when this returns."""


class KeptElsewhere:
    """A :class:`StateStore` in a checkpoint store, for an Airflow before 3.3.

    :param store: the store; see :func:`airflow_provider_genesys.hooks.checkpoint_store.open_store`.
    :param context: the task's context. All tries of the task share one entry; no other task uses it.
    """

    def __init__(self, store: ConditionalStore, context: Context) -> None:
        self._store = store
        ti = context["ti"]
        self._task = "/".join(["task", ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index)])

    def get(self, key: str) -> Any:
        """Return what is kept under ``key``; None where nothing is."""
        text = self._store.recall(f"{self._task}/{key}")
        return None if text is None else json.loads(text)

    def set(self, key: str, value: Any) -> None:
        """Keep ``value``; it is stored when this returns."""
        self._store.keep(f"{self._task}/{key}", json.dumps(value))


class TaskState:
    """A value that outlives the try: in Airflow's ``task_state_store`` or, before Airflow 3.3, in ``elsewhere``.

    A *retry* finds it. After a *clear* it is gone: a person who clears a task wants it done again. Airflow does not say
    which of the two happened. If ``max_tries`` rose, the task was cleared. Clearing a running task raises only the DAG
    run's ``clear_number``, as the clear of any task of the run does. But then the try was ended from outside, so it
    could not note that it ended.

    :param context: the task's context.
    :param key: the value's key; people see it in the UI, at the task's state store.
    :param elsewhere: a store for an Airflow before 3.3. Without it nothing is kept there.
    """

    def __init__(self, context: Context, key: str, elsewhere: StateStore | None = None) -> None:
        self._store: StateStore | None = context.get("task_state_store") or elsewhere
        self._key = key
        self._try = {
            "max_tries": context["ti"].max_tries,
            "clear_number": getattr(context["dag_run"], "clear_number", None) or 0,
        }

    def recall(self) -> dict[str, Any] | None:
        """Return the value kept since the task was last cleared, or None."""
        kept = self._kept()
        return None if kept is None or self._was_cleared_since(kept) else kept["value"]

    def keep(self, value: dict[str, Any]) -> None:
        """Keep ``value`` (JSON) for later tries; it is stored when this returns."""
        self._write({"value": value, **self._try, "ended": False})

    @contextmanager
    def one_try(self) -> Iterator[None]:
        """If the body raises an error, note that this try ended by itself. A deferral is not an end."""
        try:
            yield
        except Exception:
            kept = self._kept()
            if kept and not self._was_cleared_since(kept):
                self._write({**kept, "ended": True})
            raise

    def _was_cleared_since(self, kept: dict[str, Any]) -> bool:
        if self._try["max_tries"] > kept["max_tries"]:
            return True
        return bool(self._try["clear_number"] > kept["clear_number"] and not kept["ended"])

    def _kept(self) -> dict[str, Any] | None:
        return None if self._store is None else self._store.get(self._key)

    def _write(self, record: dict[str, Any]) -> None:
        if self._store is not None:
            self._store.set(self._key, record)
