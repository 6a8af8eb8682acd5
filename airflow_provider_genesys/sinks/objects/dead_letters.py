"""Reads dead letters back from an object store, a piece at a time, and marks those that were replayed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import AccountError, DeadLetterError
from airflow_provider_genesys.limits import LONGEST_LETTER
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.replay import (
    BATCH,
    BATCH_BYTES,
    Judged,
    is_letter,
    read_letter,
)
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.piece_writer import PIECE
from airflow_provider_genesys.times import now

Letter = dict[str, Any]


def letters_in(store: ObjectStore, part: Part) -> Iterator[list[Letter]]:
    """Yield the letters of an object, some at a time.

    :raises AccountError: the object is gone, or does not hold what the ledger says.
    """
    some, size = list[Letter](), 0
    for line in _lines(store, part):
        some.append(_letter(line, store, part))
        size += len(line)
        if len(some) == BATCH or size > BATCH_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def is_open(letter: Letter) -> bool:
    """Whether a replay is to read ``letter``."""
    return letter.get("state") == "open" and is_letter(letter)


def marked(letters: Sequence[Letter], judged: Judged, load: Load) -> bytes:
    """Return the lines of ``letters``, marked with the result of the replay."""
    mark = {
        "replayed_at": now(),
        "replayed_by": load.run_id,
        "replayed_contract": str(load.contract),
    }
    replayed = set(judged.offsets)

    def shown(letter: Letter) -> Letter:
        offset = letter.get("source_offset", -1)
        if offset in replayed:
            return {**letter, **mark, "state": "replayed"}
        if failed := judged.failed.get(offset):
            reason = {"stage": failed.stage, "rule": failed.rule, "message": failed.message}
            return {**letter, **mark, **reason, "contract": str(load.contract)}
        return letter

    return msgspec.json.Encoder().encode_lines(map(shown, letters))


def _lines(store: ObjectStore, part: Part) -> Iterator[bytes]:
    digest, held = hashlib.sha256(), b""
    for start in range(0, part.bytes, PIECE):
        piece = store.read(part.key, start, PIECE) or b""
        digest.update(piece)
        *whole, held = (held + piece).split(b"\n")
        yield from whole
        if len(held) > LONGEST_LETTER:
            raise _others(store, part)
    if digest.hexdigest() != part.sha256:
        raise _others(store, part)


def _letter(line: bytes, store: ObjectStore, part: Part) -> Letter:
    try:
        letter = read_letter(line)
    except DeadLetterError as error:
        raise _others(store, part) from error
    if not isinstance(letter, dict):
        raise _others(store, part)
    return letter


def _others(store: ObjectStore, part: Part) -> AccountError:
    return AccountError(
        f"{store.url}/{part.key} does not hold the dead letters that the ledger says. Something else writes to or "
        "expires objects below this prefix: find it, and load the window again."
    )
