"""Amazon SQS. A queue cannot hold a checkpoint, so the checkpoint is in a separate store.

Messages are sent first, then the checkpoint is written. After a crash between the two, the batch is sent again: every
record is in the queue at least once, always with the same id. The fence protects only the checkpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from airflow_provider_genesys.checkpoints.base import CheckpointStore, Key
from airflow_provider_genesys.exceptions import SinkRefusedError, error_context
from airflow_provider_genesys.failpoints import CHECKED, COMMITTING, SENT, WRITING, failpoint
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.dead_letters import DeadLetterEncoder
from airflow_provider_genesys.sinks.sqs.messages import Message, MessageEncoder, packed
from airflow_provider_genesys.sinks.sqs.queue import Queue
from airflow_provider_genesys.sinks.sqs.settings import SqsSettings
from airflow_provider_genesys.source.records import DeadLetter
from airflow_provider_genesys.times import now

CLIENT_CONFIG: dict[str, Any] = {
    "retries": {"total_max_attempts": 1, "mode": "standard"},
    "connect_timeout": 10,
    "read_timeout": 60,
}
"""Arguments for the ``botocore.config.Config`` of the client: the sink retries, and boto's retries would multiply."""


class SqsSink:
    """Implements :class:`.sink.Sink`, but at least once instead of exactly once.

    :param client: returns a boto3 SQS client, best made with :data:`CLIENT_CONFIG`; called by each ``open``.
    :param store: returns the store of the checkpoint; called by each ``open``.
    """

    cut_every: int | None = None

    def __init__(self, client: Callable[[], Any], store: Callable[[], CheckpointStore], settings: SqsSettings) -> None:
        self._client = client
        self._make_store = store
        self._settings = settings
        self._delivery: Delivery | None = None

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        """Check that the queues exist, then claim the load and return its checkpoint."""
        self.abort()
        self._delivery = Delivery(load, self._client(), self._make_store(), self._settings)
        return self._delivery.open(restart=restart)

    @property
    def processed_at(self) -> str | None:
        """The value in the checkpoint store; None before the first batch."""
        return self._opened.processed_at

    def write(self, batch: Batch) -> Checkpoint:
        """Send a batch and its dead letters, then commit the checkpoint."""
        failpoint(WRITING)
        return self._opened.write(batch)

    def finish(self, certificate: Certificate) -> Certificate:
        """Close the account and mark the load complete. What is in the queue cannot be read back and counted."""
        closed = self._opened.finish(certificate)
        self.abort()
        return closed

    def abort(self) -> None:
        """Close threads and connections. Never raises."""
        delivery, self._delivery = self._delivery, None
        if delivery:
            delivery.close()

    @property
    def _opened(self) -> Delivery:
        if self._delivery is None:
            raise RuntimeError("The sink is not open. After finish or abort it has to be opened again.")
        return self._delivery


class Delivery:
    """One attempt at a load into a queue."""

    def __init__(self, load: Load, client: Any, store: CheckpointStore, settings: SqsSettings) -> None:
        self._load = load
        self._store = store
        self._settings = settings
        group = settings.message_group_id or load.load_id
        self._records = Queue(client, settings.queue_url, group=group, retries=settings.retries)
        self._letters = Queue(client, settings.dead_letter_queue_url, group=group, retries=settings.retries)
        letters = DeadLetterEncoder(load, settings.dead_letter_raw, settings.encrypt)
        self._encoder = MessageEncoder(load, letters, DeadLetterEncoder(load, "drop", None))
        self._pool = ThreadPoolExecutor(settings.max_in_flight, thread_name_prefix="genesys-sqs")
        self.processed_at: str | None = None
        self._checkpoint: Checkpoint | None = None
        self._rules: Counter[str] = Counter()
        """Number of records that the sink itself rejected in this attempt. The pipeline counts its own."""

    def open(self, *, restart: bool) -> Checkpoint | None:
        """Claim the load."""
        load, limit = self._load, self._settings.max_message_bytes
        with error_context(f"Export {load.export_id}, opening the load"):
            self._largest = limit or self._records.largest_message()
            self._largest_letter = limit or self._letters.largest_message()
        key = Key(load.load_id, self._settings.queue_url, load.shard)
        self._claim = self._store.claim(key, load.export_id, restart=restart)
        known, self.processed_at = self._claim.checkpoint, self._claim.processed_at
        # An entry without a batch was only written to keep its processed_at.
        self._checkpoint = known if known and known.committed_at else None
        return self._checkpoint

    def write(self, batch: Batch) -> Checkpoint:
        """Send, then commit."""
        self._keep_processed_at(batch.checkpoint.processed_at)
        with error_context(f"Export {self._load.export_id}, bytes {batch.start} to {batch.end}"):
            refused = self._send_rows(batch)
            self._send_letters(batch, [*batch.dead_letters, *refused])
        failpoint(SENT)
        checkpoint = self._account(batch, refused)
        failpoint(COMMITTING)
        self._checkpoint = self._store.commit(self._claim, checkpoint)
        return self._checkpoint

    def finish(self, certificate: Certificate) -> Certificate:
        """Close the account."""
        last = self._checkpoint
        if last:
            # An attempt that was taken over should get the fencing error, not one about its account.
            self._store.commit(self._claim, last)
        closed = certificate.accounted(
            last.counts if last else Counts(),
            location=self._settings.queue_url,
            rules=last.rules if last else {},
            attempts=self._claim.attempts,
            delivery="at-least-once",
        )
        failpoint(CHECKED)
        self._store.complete(self._claim, closed)
        return closed

    def close(self) -> None:
        """Wait for the running requests, send no more, and close."""
        self._pool.shutdown(cancel_futures=True)
        self._store.close()

    def _keep_processed_at(self, processed_at: str) -> None:
        """Commit it before the first message is sent: if that is sent again, it has to have the same value."""
        if self.processed_at is None:
            load = self._load
            self._store.commit(self._claim, Checkpoint(load.load_id, load.export_id, processed_at))
            self.processed_at = processed_at

    def _send_rows(self, batch: Batch) -> list[DeadLetter]:
        messages = self._encoder.rows(batch)
        fitting = [message for message in messages if message.size <= self._largest]
        large = [_too_large(message, self._largest) for message in messages if message.size > self._largest]
        return [*large, *(_refused(message) for message in self._send(self._records, fitting))]

    def _send_letters(self, batch: Batch, letters: list[DeadLetter]) -> None:
        messages = self._encoder.letters(batch, letters, self._largest_letter)
        refused = self._send(self._letters, messages)
        if refused:
            raise SinkRefusedError(
                f"{self._letters.url} refuses the dead letter of the record at byte {refused[0].offset} for its "
                "content. Look at the queue's settings; until it takes dead letters, the load would lose records."
            )

    def _send(self, queue: Queue, messages: list[Message]) -> list[Message]:
        """Send messages, in parallel unless order matters. Return those whose content SQS refuses."""
        each = map if queue.fifo else self._pool.map
        return [message for refused in each(queue.send, packed(messages)) for message in refused]

    def _account(self, batch: Batch, refused: list[DeadLetter]) -> Checkpoint:
        self._rules.update(letter.rule for letter in refused)
        rejected = len(batch.dead_letters) + len(refused)
        landed = Counts(batch.records, written=batch.records - rejected, dead_letters=rejected)
        counts = landed + (self._checkpoint.counts if self._checkpoint else Counts())
        rules = dict(Counter(batch.checkpoint.rules) + self._rules)
        where = f"export {self._load.export_id}, byte {batch.end}"
        return replace(batch.checkpoint.at(now(), counts, where=where), rules=rules)


def _too_large(message: Message, largest: int) -> DeadLetter:
    said = f"its message has {message.size} bytes, and the queue takes {largest}; the record is in the archive"
    return DeadLetter(message.offset, b"", "sink", "message-too-large", said)


def _refused(message: Message) -> DeadLetter:
    return DeadLetter(message.offset, b"", "sink", "message-refused", "SQS refuses the message for what is in it")
