"""What a task keeps for its own next try, and whether that try is a retry or was asked for by a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk import Context


class TaskState:
    """A value that outlives the try: in Airflow's ``task_state_store`` (3.3 and later; before, nothing is kept).

    A *retry* finds it again. After a *clear* it is as if nothing had been kept: whoever clears a task wants it done
    anew. Airflow does not tell the two apart. A task was cleared when ``max_tries`` rose; clearing it while it runs
    raises only the DAG run's ``clear_number``, as the clear of any other task of the run does, but then the try was
    ended from outside and could not note that it ended.

    :param context: the task's context.
    :param key: what the value is kept under; people see it in the UI, at the task's state store.
    """

    def __init__(self, context: Context, key: str) -> None:
        self._store: Any = context.get("task_state_store")
        self._key = key
        self._try = {
            "max_tries": context["ti"].max_tries,
            "clear_number": getattr(context["dag_run"], "clear_number", None) or 0,
        }

    def recall(self) -> dict[str, Any] | None:
        """Return what was kept since the task was last cleared, or None."""
        kept = self._kept()
        return None if kept is None or self._was_cleared_since(kept) else kept["value"]

    def keep(self, value: dict[str, Any]) -> None:
        """Keep ``value`` (JSON) for later tries; it is stored when this returns."""
        self._write({"value": value, **self._try, "ended": False})

    @contextmanager
    def one_try(self) -> Iterator[None]:
        """Note, when the body raises an error, that this try ended of itself. A deferral is not an end."""
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
