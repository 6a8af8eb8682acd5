"""Keeps the promise of :mod:`.base` in any store with a conditional write: replace an entry only if it is unchanged.

Example: an attempt reads revision 7 and writes revision 8 on the condition that 7 is still there. If the response is
lost, the attempt sends the write again. The store refuses the second one, because revision 8 is there. The attempt
then reads the entry, which names the attempt that wrote it.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from airflow_provider_genesys.checkpoints.base import Claim, Key
from airflow_provider_genesys.checkpoints.entry import CheckpointEntry, first_entry, from_fields
from airflow_provider_genesys.exceptions import (
    CheckpointError,
    ConfigurationError,
    FencedError,
    SinkRefusedError,
    SinkUnavailableError,
)
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.retries import retried

T = TypeVar("T")

_ROUNDS = 50
"""How often an entry is read again after another attempt has replaced it."""


class ConditionalStore(ABC):
    """Implements :class:`.base.CheckpointStore` with two requests, :meth:`get` and :meth:`put`.

    :param client: makes the store's client; called once, when the store is first used.
    :param retries: how often a request is sent again after a transient error.
    :param retry_wait: seconds before the first retry; doubles for each further one, with jitter.
    """

    def __init__(self, client: Callable[[], Any], *, retries: int, retry_wait: float) -> None:
        if retries < 0:
            raise ConfigurationError(f"retries is {retries}; it has to be 0 or more.")
        self._make_client = client
        self._made: Any = None
        self._retries = retries
        self._retry_wait = retry_wait

    @abstractmethod
    def where(self, name: Key | str) -> str:
        """Return the place of an entry in words, for messages."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the store ready. Refuse a store that may evict entries. Raises as :meth:`get` does."""

    @abstractmethod
    def get(self, name: Key | str) -> dict[str, str] | None:
        """Read the newest entry; None if there is none.

        :raises SinkUnavailableError: a retry may work; the message says only what happened.
        :raises SinkRefusedError: a retry would fail, too; the message says what happened and what to do.
        """

    @abstractmethod
    def put(self, name: Key | str, fields: dict[str, str], *, replacing: int) -> bool:
        """Write an entry if the stored one has the revision ``replacing`` (0: there is none). Else return False.

        Raises as :meth:`get` does.
        """

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = self._make_client()
        return self._made

    def close(self) -> None:
        """Close the client's connections. Never raises."""
        made, self._made = self._made, None
        with suppress(Exception):
            made.close()

    def claim(self, key: Key, export_id: str, *, restart: bool) -> Claim:
        """Take a new fence and return where to continue."""
        attempt, doing = uuid.uuid4().hex, f"the claim of export {export_id}"
        self._retried(self.prepare, key, doing)
        for _ in range(_ROUNDS):
            held = self._read(key, doing)
            if held and held.attempt == attempt:
                return held.claim(self.where(key))
            taken = held.claimed(export_id, attempt, restart=restart) if held else first_entry(key, export_id, attempt)
            claim = taken.claim(self.where(key))
            if self._write(key, taken, held, doing):
                return claim
        raise self._crowded(key, doing)

    def commit(self, claim: Claim, checkpoint: Checkpoint) -> Checkpoint:
        """Store ``checkpoint`` as the one to continue from."""
        if (checkpoint.load_id, checkpoint.export_id) != (claim.key.load_id, claim.export_id):
            raise CheckpointError(
                f"A checkpoint of export {checkpoint.export_id}, load {checkpoint.load_id}, was to be kept for export "
                f"{claim.export_id}, load {claim.key.load_id}. Please report this as a bug."
            )
        fenced = replace(checkpoint, fence=claim.fence)
        doing = f"the checkpoint of export {claim.export_id} at byte {checkpoint.position.record_offset}"
        self._change(claim, doing, checkpoint=fenced.to_json(), processed_at=fenced.processed_at)
        return fenced

    def complete(self, claim: Claim, certificate: Certificate) -> None:
        """Mark the load complete."""
        doing = f"the end of export {claim.export_id}"
        self._change(claim, doing, state="complete", certificate=certificate.to_json().decode())

    def _change(self, claim: Claim, doing: str, **changes: Any) -> None:
        for _ in range(_ROUNDS):
            held = self._read(claim.key, doing)
            if held is None or held.attempt != claim.attempt:
                raise self._lost(claim, held)
            if self._write(claim.key, held.changed(**changes), held, doing):
                return
        raise self._crowded(claim.key, doing)

    def _read(self, key: Key, doing: str) -> CheckpointEntry | None:
        fields = self._retried(lambda: self.get(key), key, doing)
        return from_fields(fields, key, self.where(key)) if fields else None

    def _write(self, key: Key, entry: CheckpointEntry, held: CheckpointEntry | None, doing: str) -> bool:
        replacing = held.revision if held else 0
        return self._retried(lambda: self.put(key, entry.to_fields(), replacing=replacing), key, doing)

    def recall(self, name: str) -> str | None:
        """Return the text that :meth:`keep` last stored under ``name``; None if there is none. Raises as it does."""
        fields = self._retried(lambda: self.get(name), name, "a question for what is kept there")
        return fields["text"] if fields else None

    def keep(self, name: str, text: str) -> None:
        """Store ``text`` under ``name`` in place of the text before. When this returns, it is stored.

        :raises SinkRefusedError: as for :meth:`claim`.
        :raises SinkUnavailableError: as for :meth:`claim`.
        """
        doing = "what is to be kept there"
        self._retried(self.prepare, name, doing)
        for _ in range(_ROUNDS):
            held = self._retried(lambda: self.get(name), name, doing) or {}
            revision = int(held.get("revision", 0))
            fields = {"text": text, "revision": str(revision + 1)}
            if self._retried(partial(self.put, name, fields, replacing=revision), name, doing):
                return
        raise self._crowded(name, doing)

    def _retried(self, request: Callable[[], T], key: Key | str, doing: str) -> T:
        try:
            return retried(
                request,
                f"{self.where(key)}: {doing}",
                self._retries,
                is_transient=lambda error: isinstance(error, SinkUnavailableError),
                first_wait=self._retry_wait,
            )
        except SinkUnavailableError as error:
            raise SinkUnavailableError(
                f"{self.where(key)} did not take {doing}. Tried {self._retries + 1} times; the last error: "
                f"{str(error).rstrip('.')}. The task's next try resumes at the last checkpoint that was stored."
            ) from error
        except SinkRefusedError as error:
            raise SinkRefusedError(f"{self.where(key)} refuses {doing}: {error}") from error

    def _lost(self, claim: Claim, held: CheckpointEntry | None) -> FencedError | SinkUnavailableError:
        if held and held.fence >= claim.fence:
            return FencedError(
                f"Export {claim.export_id}: a newer attempt has claimed {self.where(claim.key)} (fence {held.fence}; "
                f"this one holds {claim.fence}). This attempt has stopped; leave the newer one to finish."
            )
        return SinkUnavailableError(
            f"Export {claim.export_id}: {self.where(claim.key)} has lost what it had confirmed: it was deleted, "
            "expired or evicted, or a failover went to a replica that lagged. The task's next try resumes at what is "
            "still there, and sends again what came after it."
        )

    def _crowded(self, key: Key | str, doing: str) -> SinkUnavailableError:
        return SinkUnavailableError(
            f"{self.where(key)} did not take {doing}: another attempt wrote first, {_ROUNDS} times in a row. Look for "
            "tasks that load the same window at the same time."
        )
