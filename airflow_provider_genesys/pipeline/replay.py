"""Read dead letters again, through today's contract.

Letters that become rows are written to the load's own target. Letters that still fail stay open, with their new reason.
No letter is removed: one that became a row is marked as replayed, so a second replay skips it.
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
from airflow_provider_genesys.pipeline.load import LoadFacts
from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.source.records import RECORD_TOO_LARGE, DeadLetter, Slice

_STRICT = {"unknown": "discard_value", "type": "quarantine", "missing": "quarantine"}
"""The modes of a replay: it adds no columns, and no letter stops it."""

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]

Open = Callable[[Mapping[str, Any]], bytes]
"""Returns the bytes of a dead letter's record, or raises :class:`DeadLetterError`."""

BATCH = 500
"""Letters that are read at a time, at most."""

BATCH_BYTES = 8 * 1024 * 1024
"""Bytes of letters that are read at a time. The letter that exceeds it is the last one read."""


@dataclass(frozen=True)
class Span:
    """Loads whose window meets this one are replayed. Both ends are aware."""

    since: datetime = datetime(1, 1, 1, tzinfo=timezone.utc)
    until: datetime = datetime(9999, 12, 31, tzinfo=timezone.utc)

    def meets(self, load: LoadFacts) -> bool:
        """Whether ``load`` is to be replayed."""
        return load.window_end > self.since and load.window_start < self.until


EVER = Span()


@dataclass
class Judged:
    """What today's contract makes of some dead letters. ``offsets`` has one entry per row."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    failed: dict[int, DeadLetter] = field(default_factory=dict)
    """The letters that still fail, by offset."""
    unreadable: list[int] = field(default_factory=list)
    """Offsets of letters without usable bytes: dropped, cut, or encrypted with another secret."""


@dataclass
class Replayed:
    """The account of a replay: letters = replayed + still_open + unreadable, and replayed = written + duplicates."""

    letters: int = 0
    written: int = 0
    duplicates: int = 0
    """Replayed letters whose key has a newer row in the table; they were not written."""
    still_open: int = 0
    unreadable: int = 0
    loads: int = 0
    loads_skipped: int = 0
    """Loads that are running now; the next replay reads their letters."""
    strays: int = 0
    """Objects or messages among the letters that are not dead letters. They are left as they are and not counted as
    letters."""
    gone: int = 0
    """Letters of complete loads that are no longer there, e.g. removed by a lifecycle rule; not counted as letters. If
    some letters of a load in an object store are there, those that were replayed before are among them."""
    mended: Counter[str] = field(default_factory=Counter)
    """The rules that replayed letters had broken."""
    broken: Counter[str] = field(default_factory=Counter)
    """The rules that the letters still open break now."""

    @property
    def replayed(self) -> int:
        """Number of letters that became rows."""
        return self.written + self.duplicates

    def add(self, part: Replayed) -> None:
        """Add the account of a part of the replay."""
        for name, value in vars(part).items():
            setattr(self, name, getattr(self, name) + value)

    def summary(self) -> dict[str, Any]:
        """Return it for an XCom."""
        return {**vars(self), "replayed": self.replayed, "mended": dict(self.mended), "broken": dict(self.broken)}


def account(letters: Sequence[Mapping[str, Any]], judged: Judged, duplicates: int = 0) -> Replayed:
    """Return the account of ``letters``. ``duplicates`` of their rows were not written."""
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

    :param processed_at: the load's own, so that the rows equal those that the load would have written.
    :param pii_key: the key that personal data is hashed with.
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
    """Return the bytes of a letter's record; None if they are missing or cut."""
    if letter["rule"] == RECORD_TOO_LARGE:
        return None
    try:
        return opened(letter) or None
    except DeadLetterError:
        return None


@resolved
@dataclass(frozen=True)
class _Letter:
    """What a replay reads of a letter."""

    load_id: str
    shard: Annotated[int, msgspec.Meta(ge=0)]
    export_id: str
    kind: str
    window_start: _Moment
    window_end: _Moment
    submitted_at: _Moment | None
    processed_at: _Moment
    source_offset: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    rule: str
    raw: str | None
    raw_form: str


def facts_of(letter: Any) -> LoadFacts:
    """Return the load that ``letter``, decoded from JSON, belongs to; without its contract and its task.

    :raises DeadLetterError: it is not a dead letter.
    """
    try:
        read = msgspec.convert(letter, _Letter)
    except msgspec.ValidationError as error:
        raise DeadLetterError(f"This is no dead letter: {error}.") from error
    facts = (read.load_id, read.shard, read.export_id, read.kind, read.window_start, read.window_end, read.submitted_at)
    return LoadFacts(*facts)


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
