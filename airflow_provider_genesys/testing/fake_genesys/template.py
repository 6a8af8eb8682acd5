"""A block of records as bytes with gaps: filling the gaps is what makes generation fast."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import shake_256
from itertools import accumulate
from operator import itemgetter
from random import Random
from struct import Struct

from airflow_provider_genesys.testing.fake_genesys.recording_content import (
    CONVERSATION_HEAD,
    CONVERSATION_TAIL,
    RECORDING_HEAD,
    RECORDING_TAIL,
    TIMESTAMP,
    recording,
)

BLOCK_RECORDS = 1024
"""Records per block. Even, so that a duplicate and its original share a block."""

ESCAPED = 0.15
"""Share of records whose text is written in ``\\u`` escapes."""

GAPS = {RECORDING_HEAD: 8, RECORDING_TAIL: 12, CONVERSATION_HEAD: 8, CONVERSATION_TAIL: 12, TIMESTAMP: 24}
"""Each placeholder and the number of bytes that take its place."""

_GAP = re.compile("|".join(GAPS).encode())
_IDS = Struct("8s12s8s12s" * BLOCK_RECORDS)


class Template:
    """The bytes that all blocks have in common.

    Every block is equally long, because a gap's filling has one length: that makes an archive byte-addressable.

    :param seed: decides the content.
    :param separator: what follows each record.
    :param indent: spaces per level, for pretty-printed JSON; None for compact JSON.
    """

    def __init__(self, seed: int, separator: bytes, indent: int | None) -> None:
        random = Random(seed)  # noqa: S311 - test data has to be repeatable, not unpredictable
        self._constants: list[bytes] = []
        order: list[int] = []
        lengths: list[int] = []
        for slot in range(BLOCK_RECORDS):
            text = _render(recording(random), indent, escaped=random.random() < ESCAPED)
            lengths.append(self._add(text + separator, slot, order))
        self._pick = itemgetter(*order)
        self.ends: tuple[int, ...] = tuple(accumulate(lengths))
        """Offset in the block behind each record and its separator."""

    @property
    def length(self) -> int:
        """Bytes of a whole block."""
        return self.ends[-1]

    def start(self, slot: int) -> int:
        """Return the offset in the block of the record ``slot``."""
        return self.ends[slot - 1] if slot else 0

    def fill(self, key: bytes, timestamps: Sequence[bytes]) -> bytearray:
        """Return the block whose ids ``key`` decides, with one timestamp per record."""
        digits = shake_256(key).hexdigest(20 * BLOCK_RECORDS).encode()
        return bytearray().join(self._pick([*_IDS.unpack(digits), *timestamps, *self._constants]))

    def _add(self, text: bytes, slot: int, order: list[int]) -> int:
        """Append one record's pieces to ``order`` and return how long it will be.

        The pieces to choose from are: four per record for its ids, one per record for its timestamp, then constants.
        """
        length, position = 0, 0
        for gap in _GAP.finditer(text):
            order += [self._constant(text[position : gap.start()]), self._filling(gap[0], slot)]
            length += gap.start() - position + GAPS[gap[0].decode()]
            position = gap.end()
        order.append(self._constant(text[position:]))
        return length + len(text) - position

    def _constant(self, piece: bytes) -> int:
        self._constants.append(piece)
        return 5 * BLOCK_RECORDS + len(self._constants) - 1

    def _filling(self, gap: bytes, slot: int) -> int:
        placeholder = gap.decode()
        if placeholder == TIMESTAMP:
            return 4 * BLOCK_RECORDS + slot
        return 4 * slot + list(GAPS).index(placeholder)


def _render(record: dict[str, object], indent: int | None, *, escaped: bool) -> bytes:
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(record, ensure_ascii=escaped, indent=indent, separators=separators).encode()


template = lru_cache(maxsize=8)(Template)
