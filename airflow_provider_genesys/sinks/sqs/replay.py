"""Replay the dead letters of a queue: send the record, then remove its letter.

A queue has no marks and no transactions. So a replayed letter is removed, and one that still fails goes back unchanged.
After a crash between sending and removing, the record is sent again with the same id, as in a load.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import ConfigurationError, DeadLetterError
from airflow_provider_genesys.failpoints import SENT, failpoint
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch, Load, LoadFacts
from airflow_provider_genesys.pipeline.replay import (
    EVER,
    Judged,
    Open,
    Replayed,
    Span,
    account,
    facts_of,
    judge,
    read_letter,
    whole,
)
from airflow_provider_genesys.sinks.dead_letters import DeadLetterEncoder
from airflow_provider_genesys.sinks.sqs.messages import Message, MessageEncoder, packed
from airflow_provider_genesys.sinks.sqs.queue import Queue
from airflow_provider_genesys.source.records import DeadLetter

log = logging.getLogger(__name__)

HIDDEN = 900
"""Seconds for which letters are hidden from other readers during the replay. Letters not replayed come back at its
end."""


@dataclass
class _Received:
    """The letters of one load among those received together: by offset, each with its receipts."""

    letters: dict[int, dict[str, Any]] = field(default_factory=dict)
    receipts: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))


class SqsReplay:
    """Replays the dead letters of loads into a queue.

    :param client: a boto3 SQS client.
    :param queue_url: the queue for records.
    :param dead_letter_queue_url: the queue of the letters. It has to be a standard queue: a FIFO queue returns no more
        messages of a group while some of it are being read.
    :param opened: returns the bytes of a dead letter's record.
    :param pii_key: returns the key that a contract hashes personal data with.
    :param message_group_id: as in the loads; None for the id of each load.
    :raises ConfigurationError: the letters are in a FIFO queue.
    """

    def __init__(
        self,
        client: Any,
        queue_url: str,
        dead_letter_queue_url: str,
        *,
        opened: Open,
        pii_key: Callable[[Contract], bytes | None] = lambda _: None,
        message_group_id: str | None = None,
        retries: int = 3,
    ) -> None:
        self._letters = Queue(client, dead_letter_queue_url, group="", retries=retries)
        if self._letters.fifo:
            raise ConfigurationError(
                f"{dead_letter_queue_url} is a FIFO queue, which cannot be replayed: load the window again with the "
                "corrected contract, and let dead letters go into a standard queue."
            )
        self._client, self._queue_url, self._retries = client, queue_url, retries
        self._group = message_group_id
        self._opened = opened
        self._pii_key = pii_key
        self._held: list[str] = []
        """Receipts of the messages that go back."""

    def run(self, contract_of: Callable[[str], Contract], run_id: str, window: Span = EVER) -> Replayed:
        """Replay as many letters of the window as the queue held at the beginning.

        :param contract_of: returns today's contract of a kind of export.
        :param run_id: the task that replays.
        """
        total, left, loads = Replayed(), self._letters.length(), set[tuple[str, int]]()
        try:
            while left > 0 and (messages := self._letters.receive(HIDDEN)):
                left -= len(messages)
                for (facts, _), received in self._sorted(messages, window, total).items():
                    try:
                        load = facts.load(contract_of(facts.kind), run_id)
                    except DeadLetterError as error:
                        self._hold_strays(received, error, total)
                        continue
                    total.add(self._replay(load, received))
                    loads.add((facts.load_id, facts.shard))
        finally:
            self._letters.show(self._held)
        total.loads = len(loads)
        return total

    def _sorted(
        self, messages: list[dict[str, Any]], window: Span, total: Replayed
    ) -> dict[tuple[LoadFacts, str], _Received]:
        """Return letters by load and ``processed_at``.

        Messages that are no letters, cannot be read, or are of another window go back. So if one of two letters of a
        record can be read, that one counts.
        """
        found: dict[tuple[LoadFacts, str], _Received] = defaultdict(_Received)
        for message in messages:
            try:
                letter = read_letter(message["Body"])
                facts = facts_of(letter)
            except DeadLetterError as error:
                log.warning("Message %s of %s goes back. %s", message.get("MessageId"), self._letters.url, error)
                self._held.append(message["ReceiptHandle"])
                total.strays += 1
                continue
            if not window.meets(facts):
                self._held.append(message["ReceiptHandle"])
                continue
            raw = whole(letter, self._opened)
            if raw is None:
                self._held.append(message["ReceiptHandle"])
                total.add(Replayed(letters=1, unreadable=1))
                continue
            received = found[facts, letter["processed_at"]]
            other = received.letters.setdefault(letter["source_offset"], letter)
            if other is not letter and whole(other, self._opened) != raw:
                log.warning(
                    "Message %s of %s goes back: another letter of the same record has other bytes.",
                    message.get("MessageId"),
                    self._letters.url,
                )
                self._held.append(message["ReceiptHandle"])
                total.strays += 1
                continue
            received.receipts[letter["source_offset"]].append(message["ReceiptHandle"])
        return found

    def _hold_strays(self, received: _Received, error: DeadLetterError, total: Replayed) -> None:
        receipts = [receipt for each in received.receipts.values() for receipt in each]
        log.warning("%d messages of %s go back. %s", len(receipts), self._letters.url, error)
        self._held += receipts
        total.strays += len(receipts)

    def _replay(self, load: Load, received: _Received) -> Replayed:
        letters = [*received.letters.values()]
        processed_at = letters[0]["processed_at"]
        moment = msgspec.convert(processed_at, datetime)
        judged = judge(letters, load.contract, moment, self._opened, self._pii_key(load.contract))
        self._send(load, judged, processed_at)
        failpoint(SENT)
        done = set(judged.offsets)
        self._letters.delete([receipt for offset in done for receipt in received.receipts[offset]])
        left = received.receipts.keys() - done
        self._held += [receipt for offset in left for receipt in received.receipts[offset]]
        return account(letters, judged)

    def _send(self, load: Load, judged: Judged, processed_at: str) -> None:
        """Send the rows. The letters of those that the queue refuses stay open."""
        if not judged.rows:
            return
        checkpoint = Checkpoint(load.load_id, load.export_id, processed_at)
        batch = Batch(
            judged.rows, judged.offsets, [], min(judged.offsets), max(judged.offsets), checkpoint, load.contract
        )
        none = DeadLetterEncoder(load, "drop", None)
        messages = MessageEncoder(load, none, none).rows(batch)
        refused = [message for message in messages if message.size > self._largest]
        for group in packed(message for message in messages if message.size <= self._largest):
            refused += self._records(self._group or load.load_id).send(group)
        _reject(judged, refused)

    @cached_property
    def _largest(self) -> int:
        return self._records("").largest_message()

    def _records(self, group: str) -> Queue:
        return Queue(self._client, self._queue_url, group=group, retries=self._retries)


def _reject(judged: Judged, refused: list[Message]) -> None:
    for message in refused:
        letter = DeadLetter(message.offset, b"", "sink", "message-refused", "SQS refuses the message")
        judged.failed[message.offset] = letter
    good = [place for place, offset in enumerate(judged.offsets) if offset not in judged.failed]
    judged.rows, judged.offsets = [judged.rows[i] for i in good], [judged.offsets[i] for i in good]
