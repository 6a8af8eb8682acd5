"""Rows and dead letters as messages of a queue: body, attributes, an id that is always the same, and the size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.dead_letters import DeadLetterEncoder
from airflow_provider_genesys.sinks.objects.ndjson import RowEncoder
from airflow_provider_genesys.source.records import DeadLetter

LARGEST_BATCH = 1024 * 1024
"""Bytes that SQS takes in one SendMessageBatch, attributes included, and at most in one message. It was 256 KiB until
August 2025; an older queue may still have that limit."""
MOST_MESSAGES = 10
"""In one SendMessageBatch."""

ID_DIGITS = 32
_TYPE = "String"
# Characters that SQS refuses. It also refuses control characters, but JSON escapes those.
_ESCAPED = {"\ufffe".encode(): b"\\ufffe", "\uffff".encode(): b"\\uffff"}


@dataclass(frozen=True)
class Message:
    """One message.

    :param id: always the same for this record of this export.
    :param offset: of the record in the unpacked source, in bytes.
    :param size: bytes that SQS counts: body, and name, type and value of each attribute.
    """

    id: str
    offset: int
    body: str
    attributes: dict[str, Any]
    size: int


class MessageEncoder:
    """Makes messages of one load's rows and dead letters."""

    def __init__(self, load: Load, letters: DeadLetterEncoder, pointers: DeadLetterEncoder) -> None:
        self._load = load
        self._letters = letters
        self._pointers = pointers
        self._contract: Contract | None = None

    def rows(self, batch: Batch) -> list[Message]:
        """Return one message for each row, in their order."""
        if batch.contract is not self._contract:
            self._contract, self._rows = batch.contract, RowEncoder(batch.contract)
        lines = self._rows.encode(batch.rows).splitlines()
        return [self._message(offset, line) for offset, line in zip(batch.offsets, lines, strict=True)]

    def letters(self, batch: Batch, letters: Sequence[DeadLetter], largest: int) -> list[Message]:
        """Return one message for each of the batch's letters; without the record's bytes if they would not fit."""
        whole = [self._letter(letter, batch, self._letters) for letter in letters]
        return [
            message if message.size <= largest else self._letter(letter, batch, self._pointers)
            for letter, message in zip(letters, whole, strict=True)
        ]

    def _letter(self, letter: DeadLetter, batch: Batch, encoder: DeadLetterEncoder) -> Message:
        return self._message(letter.offset, encoder.encode(letter, batch))

    def _message(self, offset: int, line: bytes) -> Message:
        for character, escape in _ESCAPED.items():
            line = line.replace(character, escape)
        load = self._load
        identity = message_id(load, offset)
        attributes = {
            "message_id": identity,
            "export_id": load.export_id,
            "load_id": load.load_id,
            "window_start": load.window_start.isoformat(),
            "window_end": load.window_end.isoformat(),
            "source_offset": str(offset),
            "contract": str(self._contract or load.contract),
        }
        size = len(line) + sum(len(name) + len(_TYPE) + len(value.encode()) for name, value in attributes.items())
        described = {name: {"DataType": _TYPE, "StringValue": value} for name, value in attributes.items()}
        return Message(identity, offset, line.decode(), described, size)


def message_id(load: Load, offset: int) -> str:
    """Return the id of the record at ``offset``: 32 hex digits."""
    return hashlib.sha256(f"{load.load_id}\n{load.export_id}\n{offset}".encode()).hexdigest()[:ID_DIGITS]


def packed(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Cut messages into as few batches as SQS takes, in their order."""
    group: list[Message] = []
    size = 0
    for message in messages:
        if group and (len(group) == MOST_MESSAGES or size + message.size > LARGEST_BATCH):
            yield group
            group, size = [], 0
        group.append(message)
        size += message.size
    if group:
        yield group
