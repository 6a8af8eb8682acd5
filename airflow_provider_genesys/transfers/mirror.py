"""Show the checkpoint in the Airflow UI while a load runs. The sink holds the one that counts; nobody reads this."""

from __future__ import annotations

import time
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

if TYPE_CHECKING:
    from airflow_provider_genesys.pipeline.checkpoint import Checkpoint

EVERY = 5.0
"""Seconds between two writes; each takes the API server 10 to 30 ms."""


class CheckpointMirror:
    """Writes the newest checkpoint to XCom ``checkpoint`` and, on Airflow 3.3, to the task's state store."""

    def __init__(self, context: Context) -> None:
        self._ti = context["ti"]
        self._store: Any = context.get("task_state_store")
        self._shared: dict[str, Any] = {}
        self.committed_at: str | None = None
        """When the sink last committed something, ISO 8601; None where nothing is known."""
        self._written = 0.0
        self._newest: dict[str, Any] | None = None

    def __enter__(self) -> CheckpointMirror:  # noqa: PYI034 - Python 3.10 has no typing.Self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()

    def show(self, handle: dict[str, Any]) -> None:
        """Show the export's file with each checkpoint; its ``file_uri`` is sealed."""
        self._shared = {"file_uri": handle.get("file_uri"), "expires_at": handle.get("expires_at")}

    def committed(self, checkpoint: Checkpoint) -> None:
        """Note ``checkpoint``, and write it if the last write is old enough."""
        self.committed_at = checkpoint.committed_at
        page = checkpoint.position.page
        place = {"cursor": page.cursor} if page else {"byte_offset": checkpoint.position.record_offset}
        self._newest = {
            **place,
            "record_index": checkpoint.counts.read,
            "last_record_id": checkpoint.last_record_id,
            "committed_at": checkpoint.committed_at,
            **self._shared,
        }
        if checkpoint.failed_batches:
            self._newest["failed_batches"] = [asdict(failed) for failed in checkpoint.failed_batches]
        if time.monotonic() - self._written >= EVERY:
            self._write()

    def _write(self) -> None:
        if self._newest is None:
            return
        self._ti.xcom_push(key="checkpoint", value=self._newest)
        if self._store is not None:
            self._store.set("checkpoint", self._newest)
        self._newest, self._written = None, time.monotonic()
