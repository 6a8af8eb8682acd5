"""Copies of the checkpoint for people: in the Airflow UI, and in a checkpoint store. No load continues from them.

Loads continue from the sink's checkpoint, which is committed together with the data.
"""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from airflow_provider_genesys.exceptions import GenesysError, SinkError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.hooks.checkpoint_store import open_store
from airflow_provider_genesys.tasks.task_state import KeptElsewhere

if TYPE_CHECKING:
    from airflow_provider_genesys.checkpoints.conditional import ConditionalStore
    from airflow_provider_genesys.pipeline.checkpoint import Checkpoint

log = logging.getLogger(__name__)

EVERY = 5.0
"""Seconds between two writes; each takes the API server 10 to 30 ms."""


class CheckpointMirror:
    """Writes the newest checkpoint to XCom ``checkpoint`` and, on Airflow 3.3, to the task's state store.

    :param conn_id: a connection to Redis or DynamoDB, where the checkpoint is written as well; None for nowhere else.
    """

    def __init__(self, context: Context, conn_id: str | None = None) -> None:
        self._context = context
        self._conn_id = conn_id
        self._elsewhere: ConditionalStore | None = None
        self._ti = context["ti"]
        self._store: Any = context.get("task_state_store")
        self._export_id: str | None = None
        self._shared: dict[str, Any] = {}
        self._what: dict[str, Any] = {}
        self.committed_at: str | None = None
        """When the sink last committed something, ISO 8601; None if it did not yet."""
        self._expected: Any = None
        self._began: tuple[float, int, float] | None = None
        self._written_at = 0.0
        self._newest: dict[str, Any] = {}
        self._written: dict[str, Any] = {}

    def __enter__(self) -> CheckpointMirror:
        self._elsewhere = open_store(self._conn_id) if self._conn_id else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GenesysError):
            # Only the class: a message may quote a row. The page of the load uses it to say what to do.
            self._ti.xcom_push(key="failure", value={"error": type(error).__name__, **self._what})
        if isinstance(error, SinkError) and error.failed:
            self._newest = {**(self._newest or self._shared), "failed": self._failed(error, *error.failed)}
        self._write()
        self._let_go()

    def show(self, handle: dict[str, Any]) -> None:
        """Add the export's file to each checkpoint that is shown; its ``file_uri`` is sealed."""
        self._export_id = handle.get("export_id")
        self._what = {name: handle.get(name) for name in ("kind", "window_start", "window_end")}
        self._expected = handle.get("records")
        self._shared = {"file_uri": handle.get("file_uri"), "expires_at": handle.get("expires_at")}

    def committed(self, checkpoint: Checkpoint) -> None:
        """Note ``checkpoint``, and write it if the last write is old enough."""
        self.committed_at = checkpoint.committed_at
        page = checkpoint.position.page
        place = {"cursor": page.cursor} if page else {"byte_offset": checkpoint.position.record_offset}
        self._newest = {
            **self._readable(checkpoint),
            **place,
            "record_index": checkpoint.counts.read,
            "last_record_id": checkpoint.last_record_id,
            "committed_at": checkpoint.committed_at,
            **self._what,
            **self._shared,
        }
        if time.monotonic() - self._written_at >= EVERY:
            self._write()

    def _readable(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Return the facts that people look for first; None for an unknown one."""
        read, fraction = checkpoint.counts.read, checkpoint.share(self._expected)
        began = self._began = self._began or (time.monotonic(), read, fraction or 0.0)
        seconds = time.monotonic() - began[0]
        gained = (fraction or 0.0) - began[2]
        return {
            "percent": None if fraction is None else round(100 * fraction, 1),
            "records": read,
            "per_second": round((read - began[1]) / seconds) if seconds >= 1 else None,
            "seconds_left": round(seconds * (1 - fraction) / gained) if fraction and gained > 0 else None,
        }

    def _failed(self, error: SinkError, start: int, end: int) -> dict[str, Any]:
        """Return what is shown of a failed batch: not the message, which may quote a row."""
        name = type(error).__name__
        return {"export_id": self._export_id, "start": start, "end": end, "error": name, "code": error.code}

    def _write(self) -> None:
        if self._newest == self._written:
            return
        self._ti.xcom_push(key="checkpoint", value=self._newest)
        # A task reads XCom, and may want the file. People read the others.
        shown = {name: value for name, value in self._newest.items() if name not in self._shared}
        if self._store is not None:
            self._store.set("checkpoint", shown)
        if self._elsewhere is not None:
            self._write_to(self._elsewhere, shown)
        self._written, self._written_at = self._newest, time.monotonic()

    def _write_to(self, store: ConditionalStore, newest: dict[str, Any]) -> None:
        """Write to the checkpoint store. An error there does not stop the load."""
        try:
            KeptElsewhere(store, self._context).set("checkpoint", newest)
        except (SinkRefusedError, SinkUnavailableError) as error:
            log.warning("This attempt no longer copies the checkpoint to the checkpoint store: %s", error)
            self._let_go()

    def _let_go(self) -> None:
        if self._elsewhere is not None:
            self._elsewhere.close()
        self._elsewhere = None
