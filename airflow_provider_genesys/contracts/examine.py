"""Examines a record that the compiled reader refused. Repairs it, or says what is wrong.

A value of another type is converted if nothing is lost (:mod:`.coerce`). Each difference from the contract is noted,
even if the record is rejected in the end. The contract's modes decide what a difference leads to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_genesys.contracts.child_values import ChildValues
from airflow_provider_genesys.contracts.coerce import coerced, default_of, is_of_kind
from airflow_provider_genesys.contracts.column import PROCESSED_AT, Column, Path
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.drift import Mode, Surprise
from airflow_provider_genesys.contracts.evolve import changes, variant_of
from airflow_provider_genesys.contracts.json_path import picked
from airflow_provider_genesys.contracts.pii import Protection
from airflow_provider_genesys.exceptions import RecordError
from airflow_provider_genesys.limits import MOST_NEW_NAMES

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_HALF_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_CUT = "truncated"  # the decoder also says this of half a surrogate pair near the end

Fields = dict[str, msgspec.Raw]


@dataclass
class Examined:
    """The result for one record: a row, or the error that rejects it, and all differences from the contract.

    Of unknown fields, the first :data:`.limits.MOST_NEW_NAMES` are among the ``surprises``; ``others`` counts the rest.
    """

    row: tuple[Any, ...] | None = None
    error: RecordError | None = None
    surprises: list[Surprise] = field(default_factory=list)
    others: int = 0


class Examiner:
    """Reads records by one contract, one at a time.

    :param protections: the function that protects personal data, by column name.
    :param children: judges the values of child rows.
    """

    def __init__(
        self,
        contract: Contract,
        processed_at: datetime,
        protections: Mapping[str, Protection],
        children: ChildValues,
    ) -> None:
        self.contract = contract
        self.children = children
        self.processed_at = processed_at
        self.protections = protections
        read = [column for column in (*contract.columns, *contract.dropped) if column.path != PROCESSED_AT]
        own = [column for column in read if not column.variant]
        parents = {column.keys[:length] for column in own for length in range(1, len(column.keys))}
        self.parents = sorted(parents, key=lambda path: (len(path), path))
        """Paths of the objects that the contract reads from, outer ones first."""
        self.named = parents | {column.keys for column in own}
        """Paths of the fields that the contract knows."""

    def examine(self, raw: bytes) -> Examined:
        """Return the result for the record ``raw``.

        :raises RecordError: it is not a JSON object in UTF-8, so it cannot be compared with the contract.
        """
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise RecordError("not-utf8", f"The record is not UTF-8: its byte {error.start} is wrong.") from None
        return _Reading(self, _object(raw, ())).examined()


class _Reading:
    """One record while it is read."""

    def __init__(self, examiner: Examiner, top: Fields) -> None:
        self._by = examiner
        self._contract = examiner.contract
        self._objects: dict[Path, Fields] = {(): top}
        self._broken: set[Path] = set()  # values inside these are not examined
        self._variants: dict[str, bytes] = {}  # values of another type than their path's column, by variant column
        self._result = Examined()

    def examined(self) -> Examined:
        for path in self._by.parents:
            self._enter(path)
        row = tuple(map(self._value, self._contract.columns))
        self._judge_children(row)
        noted = 0
        for path, fields in self._objects.items():
            for name, value in fields.items():
                if (*path, name) in self._by.named:
                    continue
                if noted < MOST_NEW_NAMES:
                    self._unknown((*path, name), bytes(value))
                    noted += 1
                else:
                    self._result.others += 1
        if self._result.error is None:
            self._result.row = row
        return self._result

    def _judge_children(self, row: tuple[Any, ...]) -> None:
        for fault in self._by.children.faults(row):
            mode = self._contract.modes.type if fault.rule else None
            self._surprise(Surprise(fault.path, "type", fault.text, mode), fault.rule or "", fault.message)

    def _enter(self, path: Path) -> None:
        raw = self._objects.get(path[:-1], {}).get(path[-1])
        if raw is None or bytes(raw) == b"null":
            return
        if bytes(raw).startswith(b"{"):
            self._objects[path] = _object(raw, path)
            return
        self._other_type(path, bytes(raw), None, "not-an-object", f"{'.'.join(path)} is not a JSON object.")

    def _value(self, column: Column) -> Any:
        if column.path == PROCESSED_AT:
            return self._by.processed_at
        if column.variant:
            return self._variant(column)
        if any(column.keys[:length] in self._broken for length in range(1, len(column.keys))):
            return None
        found = self._objects.get(column.keys[:-1], {}).get(column.keys[-1])
        text = None if found is None else bytes(found)
        if text is None or text == b"null":
            return self._absent(column, text)
        return self._read(column, text)

    def _read(self, column: Column, found: bytes) -> Any:
        try:
            text = picked(found, column.inside)
            value = None if text is None else coerced(column.type, text)
        except ValueError:
            return self._mismatch(column, found)
        if text is None or (value == "" and column.name == self._contract.key):
            return self._absent(column, text)
        if _NUL.search(text):
            self._reject("nul-character", f"{column.path} holds a NUL character, which PostgreSQL cannot store.")
            return None
        if not is_of_kind(column.type, text):
            self._result.surprises.append(Surprise(_path(column), "type", text, None, column))
        return self._protected(column, value)

    def _mismatch(self, column: Column, text: bytes) -> Any:
        message = f"{column.path} is not of type {column.type}."
        mode = self._other_type(_path(column), text, column, "wrong-type", message)
        return self._absent(column, text) if mode == "discard_value" else None

    def _other_type(self, path: Path, text: bytes, column: Column | None, rule: str, message: str) -> Mode | None:
        """Note a value of a wrong type. Return the mode that applies; None if a variant column takes the value."""
        if _NUL.search(text):
            self._reject("nul-character", f"{'.'.join(path)} holds a NUL character, which PostgreSQL cannot store.")
        wanted = self._contract.modes.type
        variant = variant_of(self._contract, path, text, column) if wanted == "evolve" else None
        if variant and variant in self._contract.columns:
            self._variants[variant.name] = text
            return None
        mode = self._surprise(Surprise(path, "type", text, wanted, column), rule, message)
        if mode != "discard_value":
            self._broken.add(path)
        return mode

    def _variant(self, column: Column) -> Any:
        text = self._variants.get(column.name)
        return None if text is None else self._protected(column, coerced(column.type, text))

    def _absent(self, column: Column, text: bytes | None) -> Any:
        if column.default is not None:
            return default_of(column)
        if not column.required and not column.expected:
            return None
        message = f"{column.path} is missing or null; the contract requires it."
        if text == b'""':
            message = f"{column.path} is empty; it has to tell one record from another."
        mode = self._contract.modes.missing
        if mode == "discard_value" and not column.expected:  # it is the key, and a row needs a key
            mode = "quarantine"
        self._surprise(Surprise(_path(column), "missing", text, mode, column), "missing-required", message)
        return None

    def _unknown(self, path: Path, text: bytes) -> None:
        surprise = Surprise(path, "unknown", text, self._contract.modes.unknown)
        if surprise.mode == "evolve" and not changes(self._contract, surprise):
            surprise = replace(surprise, mode="discard_value")
        self._surprise(surprise, "unknown-field", f"{'.'.join(path)[:200]} is not in the contract.")

    def _surprise(self, surprise: Surprise, rule: str, message: str) -> Mode | None:
        """Note ``surprise`` and return its mode. If that rejects the record, use ``rule`` and ``message``."""
        if surprise.mode == "evolve" and not changes(self._contract, surprise):
            surprise = replace(surprise, mode="quarantine")
        self._result.surprises.append(surprise)
        if surprise.mode == "quarantine":
            self._reject(rule, message)
        return surprise.mode

    def _protected(self, column: Column, value: Any) -> Any:
        protect = self._by.protections.get(column.name)
        if protect is None:
            return value
        try:
            return protect(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._reject("wrong-type", f"{column.path} cannot be read as JSON, so it cannot be {column.pii}ed.")
            return None

    def _reject(self, rule: str, message: str) -> None:
        self._result.error = self._result.error or RecordError(rule, message)


def _path(column: Column) -> Path:
    return tuple(column.path.split("."))


def _object(raw: bytes | msgspec.Raw, path: Path) -> Fields:
    place = ".".join(path) or "the record"
    try:
        return _fields.decode(raw)
    except msgspec.ValidationError:
        raise RecordError("not-an-object", f"{place} is not a JSON object.") from None
    except msgspec.DecodeError as error:
        why = "half a surrogate pair" if _HALF_PAIR.search(raw) and _CUT in str(error) else error
        raise RecordError("not-json", f"{place} is not JSON: {why}.") from None
    except UnicodeDecodeError:
        raise RecordError("not-json", f"{place} has a key that is not UTF-8.") from None
    except RecursionError:
        raise RecordError("too-deep", f"{place} is nested too deep.") from None
