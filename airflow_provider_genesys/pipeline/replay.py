"""Read dead letters again, through today's contract.

What becomes rows lands where the load has landed; what still fails stays open, with its new reason. Nothing is removed:
a letter that has become a row is marked as replayed, so that a second replay finds nothing left to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Any

import msgspec

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.transform import Transform
from airflow_provider_genesys.exceptions import DeadLetterError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.source.records import RECORD_TOO_LARGE, DeadLetter, Slice

_STRICT = {"unknown": "discard_value", "type": "quarantine", "missing": "quarantine"}
"""A replay changes no table, and no letter ends it."""

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]

Open = Callable[[Mapping[str, Any]], bytes]
"""Returns the bytes of a dead letter's record, or raises :class:`DeadLetterError`."""

BATCH = 500
"""Letters that are read again at a time, at most."""

BATCH_BYTES = 8 * 1024 * 1024
"""Bytes of what is kept of them, after which no more are read; so they are one letter more at most."""


@dataclass(frozen=True)
class Span:
    """Loads whose window meets this one are replayed. Both ends are aware."""

    since: datetime = datetime(1, 1, 1, tzinfo=timezone.utc)
    until: datetime = datetime(9999, 12, 31, tzinfo=timezone.utc)


EVER = Span()


@dataclass
class Judged:
    """What today's contract makes of some dead letters. ``offsets`` has one entry per row."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    failed: dict[int, DeadLetter] = field(default_factory=dict)
    """Those that still fail, by offset."""
    unreadable: list[int] = field(default_factory=list)
    """Offsets of those whose bytes are not at hand: dropped, cut, or encrypted with another secret."""


@dataclass
class Replayed:
    """The account of a replay: letters = replayed + still_open + unreadable, and replayed = written + duplicates."""

    letters: int = 0
    written: int = 0
    duplicates: int = 0
    """Replayed, but the table holds a newer row of the same key."""
    still_open: int = 0
    unreadable: int = 0
    loads: int = 0
    loads_skipped: int = 0
    """They are being loaded; their letters are left to the next replay."""
    strays: int = 0
    """What lies among the letters and is none. It is left as it is, and does not count as a letter."""
    mended: Counter[str] = field(default_factory=Counter)
    """Rules that replayed letters had broken, and break no more."""
    broken: Counter[str] = field(default_factory=Counter)
    """Rules that those that are still open break now."""

    @property
    def replayed(self) -> int:
        """Letters that have become rows."""
        return self.written + self.duplicates

    def add(self, part: Replayed) -> None:
        """Take in the account of a part of the replay."""
        for name, value in vars(part).items():
            setattr(self, name, getattr(self, name) + value)

    def summary(self) -> dict[str, Any]:
        """Return it for an XCom."""
        return {**vars(self), "replayed": self.replayed, "mended": dict(self.mended), "broken": dict(self.broken)}


def account(letters: Sequence[Mapping[str, Any]], judged: Judged, duplicates: int = 0) -> Replayed:
    """Return the account of ``letters``, of whose rows ``duplicates`` have not been written."""
    rules = {letter["source_offset"]: letter["rule"] for letter in letters}
    return Replayed(
        letters=len(letters),
        written=len(judged.offsets) - duplicates,
        duplicates=duplicates,
        still_open=len(judged.failed),
        unreadable=len(judged.unreadable),
        mended=Counter(rules[offset] for offset in judged.offsets),
        broken=Counter(letter.rule for letter in judged.failed.values()),
    )


def judge(
    letters: Sequence[Mapping[str, Any]],
    contract: Contract,
    processed_at: datetime,
    opened: Open,
    pii_key: bytes | None = None,
) -> Judged:
    """Read the records of ``letters``, which are of one file of one load, through ``contract``.

    :param processed_at: of the load, so that the rows are those that it would have made.
    :param pii_key: what the contract's personal data is hashed with.
    """
    transform, judged = Transform(contract.with_modes(_STRICT), processed_at, pii_key), Judged()
    for letter in letters:
        offset = letter["source_offset"]
        raw = whole(letter, opened)
        if raw is None:
            judged.unreadable.append(offset)
            continue
        part = Slice(offset, offset + len(raw), raw, [offset], [offset + len(raw)], "lines")
        for _, rows in transform.read(part):
            judged.rows += rows.rows
            judged.offsets += rows.offsets
            judged.failed |= {failed.offset: failed for failed in rows.dead_letters}
    return judged


def whole(letter: Mapping[str, Any], opened: Open) -> bytes | None:
    """Return the bytes of a letter's record; None where they are not at hand, or not all of them."""
    if letter["rule"] == RECORD_TOO_LARGE:
        return None
    try:
        return opened(letter) or None
    except DeadLetterError:
        return None


@dataclass(frozen=True)
class LetterFacts:
    """The load that a letter is of."""

    load_id: str
    shard: Annotated[int, msgspec.Meta(ge=0)]
    export_id: str
    kind: str
    window_start: _Moment
    window_end: _Moment
    submitted_at: _Moment | None

    def meets(self, window: Span) -> bool:
        """Whether the load is to be replayed."""
        return self.window_end > window.since and self.window_start < window.until

    def load(self, contract_of: Callable[[str], Contract], run_id: str) -> Load:
        """Return the load, as it is replayed through today's contract.

        :raises DeadLetterError: there is no such kind.
        """
        return Load(**vars(self), contract=contract_of(self.kind), run_id=run_id)


@dataclass(frozen=True)
class _Letter(LetterFacts):
    """What a replay reads of a letter."""

    processed_at: _Moment
    source_offset: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    rule: str
    raw: str | None
    raw_form: str


def facts_of(letter: Any) -> LetterFacts:
    """Return of which load ``letter`` is, as JSON has it.

    :raises DeadLetterError: it is no dead letter.
    """
    try:
        msgspec.convert(letter, _Letter)
        return msgspec.convert(letter, LetterFacts)
    except msgspec.ValidationError as error:
        raise DeadLetterError(f"This is no dead letter: {error}.") from error


def is_letter(letter: Any) -> bool:
    """Whether ``letter`` has what a replay reads of it."""
    try:
        facts_of(letter)
    except DeadLetterError:
        return False
    return True


def read_letter(text: str | bytes) -> Any:
    """Return what JSON text holds.

    :raises DeadLetterError: it is no JSON.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise DeadLetterError(f"This is no dead letter: {error}.") from error
