"""Dead letters of an object store, read again: a bit of an object at a time, and marked by a replay."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.replay import BATCH, BATCH_BYTES, Judged
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.piece_writer import PIECE

Letter = dict[str, Any]

_FIRST = 64 * 1024
"""Bytes read at a time to find the first letter."""


def letters_in(store: ObjectStore, part: Part) -> Iterator[list[Letter]]:
    """Yield the letters of an object, some at a time.

    :raises AccountError: it is gone, or does not hold what the ledger says.
    """
    some, size = list[Letter](), 0
    for line in _lines(store, part):
        some.append(msgspec.json.decode(line))
        size += len(line)
        if len(some) == BATCH or size > BATCH_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def first_letter(store: ObjectStore, key: str) -> Letter | None:
    """Return the first letter of an object; None where there is no object."""
    held = b""
    while b"\n" not in held:
        piece = store.read(key, len(held), _FIRST)
        if not piece:
            return None
        held += piece
    letter: Letter = msgspec.json.decode(held.partition(b"\n")[0])
    return letter


def marked(letters: Sequence[Letter], judged: Judged, load: Load) -> bytes:
    """Return the lines of ``letters`` with what a replay has made of them."""
    mark = {
        "replayed_at": datetime.now(timezone.utc),
        "replayed_by": load.run_id,
        "replayed_contract": str(load.contract),
    }
    replayed = set(judged.offsets)

    def shown(letter: Letter) -> Letter:
        offset = letter["source_offset"]
        if letter["state"] == "open" and offset in replayed:
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
    if digest.hexdigest() != part.sha256:
        raise AccountError(
            f"{store.url}/{part.key} does not hold the dead letters that the ledger says. Something else writes to or "
            "expires objects below this prefix: find it, and load the window again."
        )
