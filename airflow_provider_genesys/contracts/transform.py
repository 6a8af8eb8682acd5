"""Turns raw records into rows, as the contract says.

The fast way decodes a whole slice in one call, into structs that are compiled from the contract. The structs accept
only what the contract names, so any difference makes the call fail. Then the slice is read record by record, and the
records that still fail are examined (:mod:`.examine`).

An unknown field is noted there, and the structs are compiled again with this field. From then on the fast way counts
it. So drift is counted exactly, on every record, and costs very little after it was first seen.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from operator import itemgetter
from typing import Any

import msgspec

from airflow_provider_genesys.contracts.child_values import ChildValues
from airflow_provider_genesys.contracts.column import Path
from airflow_provider_genesys.contracts.column_rows import ColumnRows, Row
from airflow_provider_genesys.contracts.compile import MOST_KNOWN, Compiled, compiled, nameable
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.drift import Drift, Seen, Surprise, described, name_of
from airflow_provider_genesys.contracts.evolve import can_grow, changes, difference
from airflow_provider_genesys.contracts.examine import Examined, Examiner
from airflow_provider_genesys.contracts.pii import protection
from airflow_provider_genesys.contracts.plain_text import is_plain
from airflow_provider_genesys.contracts.row_facts import LaterRows, RowFacts, Summing
from airflow_provider_genesys.exceptions import ContractFrozenError, RecordError
from airflow_provider_genesys.source.records import BOM, DeadLetter, Slice

log = logging.getLogger(__name__)

_TELLING = 10  # after examining this many records of a slice, compile their unknown fields in for the rest of it
_FAILURES = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)
_OPENING, _CLOSING, _RETURN = set(b"{"), set(b"}"), set(b"\r")


@dataclass(frozen=True)
class Known:
    """What a transform has learned: the contract as it has evolved so far, and fields that it does not name.

    ``nulls`` are such fields that were only null; with a value the contract evolves.
    """

    contract: Contract
    unnamed: frozenset[Path] = frozenset()
    nulls: frozenset[Path] = frozenset()


@dataclass
class Rows:
    """The rows of one slice, made with ``contract``. ``offsets`` has one entry per row."""

    contract: Contract
    rows: Sequence[Row] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)
    facts: RowFacts | None = None
    """Of the rows, if they were made in another process; else :meth:`Transform.facts` makes them."""
    packed: bytes | None = None
    """The rows as the sink wants them, if another process has packed them."""


class Transform:
    """One contract, applied to one load.

    :param processed_at: the value of the ``processed_at`` column, aware.
    :param pii_key: key of the hash of personal data.
    :param where: the export, for errors.
    :param children_follow: child rows are made of the rows. So they get what was decoded to judge them.
    :raises ConfigurationError: the contract hashes a column, and there is no key.
    """

    def __init__(
        self,
        contract: Contract,
        processed_at: datetime,
        pii_key: bytes | None = None,
        *,
        where: str = "The load",
        children_follow: bool = False,
    ) -> None:
        self._children_follow = children_follow
        self._processed_at = processed_at.astimezone(timezone.utc)
        self._pii_key = pii_key
        self._where = where
        self.known = Known(contract)
        """What it has learned. Another object after each change."""
        self._use(contract)

    @property
    def contract(self) -> Contract:
        """The contract, as it has evolved so far."""
        return self.known.contract

    def follow(self, known: Known) -> None:
        """Go on with what another transform of the same contract has learned."""
        self.known = known
        self._use(known.contract)

    def _use(self, contract: Contract) -> None:
        found = {column.name: protection(column, self._pii_key) for column in contract.columns}
        self._protections = {name: protect for name, protect in found.items() if protect}
        self._children = ChildValues.of(contract, keep=self._children_follow)
        self._examiner = Examiner(contract, self._processed_at, self._protections, self._children)
        self._summing = Summing(contract)
        named = self._examiner.named
        self._compile(Known(contract, self.known.unnamed - named, self.known.nulls - named))

    def _compile(self, known: Known) -> None:
        self.known = known
        self._compiled: Compiled = compiled(known.contract, self._protections, known.unnamed, known.nulls)

    def read(self, part: Slice) -> Iterator[tuple[Slice, Rows]]:
        """Yield ``part`` with its rows. It is cut before each record that makes the contract evolve.

        A record that cannot be a row becomes a dead letter. No record is lost.

        :raises ContractFrozenError: a record differs from the contract in a way that it does not allow.
        """
        while True:
            at_once = self.at_once(part)
            rows, count = (at_once, len(part.starts)) if at_once else self._one_by_one(part)
            if count == len(part.starts):
                rows.dead_letters[:0] = part.refused
                yield part, rows
                return
            done, part = _cut(part, count)
            rows.dead_letters[:0] = done.refused
            yield done, rows

    def facts(self, result: Rows) -> RowFacts:
        """Return the facts of the rows of ``result``."""
        return result.facts or self._summing.facts(result.rows, result.offsets)

    def later(self, part: Slice, ready: Rows) -> Rows:
        """Return ``ready``, which another process has made of ``part``, with rows that are made when needed."""
        compiled, now = self._compiled, self._processed_at
        rows = LaterRows(len(part.starts), lambda: compiled.rows(compiled.decode(_body(part), part.shape), now))
        return replace(ready, contract=self.contract, rows=rows, offsets=part.starts)

    def at_once(self, part: Slice) -> Rows | None:
        """Decode the whole slice in one call; None if a record in it has to be examined."""
        if not part.starts or part.refused or not is_plain(part.data):
            return None
        if part.shape == "lines" and not _is_one_a_line(part):
            return None
        try:
            records = self._compiled.decode(_body(part), part.shape)
            columns = self._children.judged(self._compiled.columns(records, self._processed_at), part.data)
        except _FAILURES:
            return None
        if len(records) != len(part.starts):
            return None
        own = self._compiled.raw
        rows = ColumnRows(columns, own - self._children.kept, own if part.shape == "lines" else frozenset())
        return Rows(self.contract, rows, part.starts, drift=Seen().drift(self._compiled.drift(records)))

    def _one_by_one(self, part: Slice) -> tuple[Rows, int]:
        """Return the rows of ``part`` up to the record that makes the contract evolve, and their number."""
        rows, structs, seen = list[Row](), list[Any](), Seen()
        result = Rows(self.contract, rows)
        count, plain = len(part.starts), is_plain(part.data)
        looked_into, counted = 0, Counter[Path]()
        for place, (start, end) in enumerate(zip(part.starts, part.ends, strict=True)):
            raw = part.raw(start, end).rstrip()
            record = raw.removeprefix(BOM)  # joined files have one at every seam
            if not record.strip():
                continue
            if (plain or is_plain(record)) and (row := self._quickly(record, structs)):
                rows.append(row)
                result.offsets.append(start)
                continue
            examined = self._examined(record, start)
            if self._evolves(examined):
                if place:
                    count = place
                    break
                examined = self._taken_in(record, examined, start)
                result.contract = self.contract
            seen.add(examined.surprises, start, others=examined.others)
            if examined.row is not None:
                rows.append(examined.row)
                result.offsets.append(start)
            elif error := examined.error:
                result.dead_letters.append(DeadLetter(start, raw, "contract", error.rule, str(error)))
            looked_into += 1
            if looked_into == _TELLING:  # the following records probably have the same new fields
                counted += self._counted(structs, seen)
        result.drift = seen.drift(counted + self._counted(structs, seen))
        return result, count

    def _counted(self, structs: list[Any], seen: Seen) -> Counter[Path]:
        """Count the ``structs`` with each compiled-in field, and empty the list. Compile in what was ``seen``."""
        counted = self._compiled.drift(structs)
        structs.clear()
        self._learn(seen.unknown())
        return counted

    def _quickly(self, record: bytes, structs: list[Any]) -> tuple[Any, ...] | None:
        """Return the row of one record and add its struct to ``structs``; None if the record has to be examined."""
        try:
            struct = self._compiled.decode_one(record)
            row = self._compiled.rows([struct], self._processed_at)[0]
            row = self._children.judged_row(row, record)
        except _FAILURES:
            return None
        structs.append(struct)
        return row

    def _examined(self, record: bytes, start: int) -> Examined:
        try:
            examined = self._examiner.examine(record)
        except RecordError as error:
            return Examined(error=error)
        for surprise in examined.surprises:
            if surprise.mode == "freeze":
                raise _frozen(self._where, self.contract, surprise, start)
        return examined

    def _evolves(self, examined: Examined) -> bool:
        return examined.error is None and any(surprise.mode == "evolve" for surprise in examined.surprises)

    def _taken_in(self, record: bytes, examined: Examined, start: int) -> Examined:
        """Let the contract evolve until it takes the record in; return the result for the record."""
        surprises = examined.surprises
        while self._evolves(examined):
            contract = self.contract
            for surprise in examined.surprises:
                if surprise.mode == "evolve" and (columns := changes(contract, surprise)):
                    contract = contract.evolved(columns)
            log.info("%s: from byte %d on %s.", self._where, start, difference(self.contract, contract))
            self._use(contract)
            examined = self._examined(record, start)
            surprises = [*surprises, *(new for new in examined.surprises if not new.is_among(surprises))]
        return replace(examined, surprises=surprises)

    def _learn(self, unknown: Mapping[Path, bool]) -> None:
        """Compile unknown fields in, so that the fast way accepts them. Fields that would change rows stay out.

        :param unknown: for each path, whether the field was null each time.
        """
        fields = {path: null for path, null in unknown.items() if nameable(path) and path not in self._examiner.named}
        mode, contract = self.contract.modes.unknown, self.contract
        ignored = {path for path in fields if mode == "discard_value" or not can_grow(contract, path)}
        waiting = {path for path, null in fields.items() if null and path not in ignored}
        known = self.known
        learned = Known(contract, known.unnamed | ignored, (known.nulls | waiting) - ignored)
        may_learn = mode in ("discard_value", "evolve") and len(learned.unnamed | learned.nulls) <= MOST_KNOWN
        if may_learn and learned != known:
            self._compile(learned)


def _frozen(where: str, contract: Contract, surprise: Surprise, start: int) -> ContractFrozenError:
    name, found = name_of(surprise.path), described(surprise.text)
    what = {
        "unknown": f"has a field {name!r} ({found}) that the contract does not name",
        "type": f"has in {name!r} a {found}, which is not of the contract's type",
        "missing": f"lacks {name!r} ({found}), which the contract requires",
    }[surprise.kind]
    return ContractFrozenError(
        f"{where}: the record at byte {start} of the unpacked archive {what}, and contract {contract.name} says "
        f"'freeze' for {surprise.kind}. Bring the contract up to date, or set "
        f"contract_modes={{'{surprise.kind}': 'quarantine'}} to dead-letter such records. Then clear the task."
    )


def _cut(part: Slice, count: int) -> tuple[Slice, Slice]:
    """Return the first ``count`` records of ``part``, and the others.

    The cut is where a slice would end: just after a record, before the separator of an array.
    """
    at = part.ends[count - 1]
    before = [letter for letter in part.refused if letter.offset < at]
    after = [letter for letter in part.refused if letter.offset >= at]
    held = part.held
    return (
        replace(
            part,
            end=at,
            held=held[: at - part.start],
            starts=part.starts[:count],
            ends=part.ends[:count],
            refused=before,
        ),
        replace(
            part,
            start=at,
            held=held[at - part.start :],
            starts=part.starts[count:],
            ends=part.ends[count:],
            refused=after,
        ),
    )


def _body(part: Slice) -> memoryview:
    """Return the bytes from the first record to the end of the last."""
    return memoryview(part.data)[part.starts[0] - part.start : part.ends[-1] - part.start]


def _is_one_a_line(part: Slice) -> bool:
    """Whether each line looks like one object. The decoder alone would accept two objects on a line, or one on two.

    If a closing brace, a line end and an opening brace follow one another, no JSON value can span the line end.
    """
    base = part.start
    firsts = _bytes_at(part.data, [start - base for start in part.starts])
    lasts = _bytes_at(part.data, [end - base - 2 for end in part.ends[:-1]])
    if lasts == _RETURN:
        lasts = _bytes_at(part.data, [end - base - 3 for end in part.ends[:-1]])
    return firsts == _OPENING and lasts <= _CLOSING


def _bytes_at(data: bytes, places: list[int]) -> set[int]:
    """Return the bytes at ``places``. One itemgetter for all takes half the time of one call each."""
    return set(itemgetter(places[0], *places)(data)) if places else set()  # two places, since one gives no tuple
