"""Read one record with care: what the compiled way refuses, this names or mends.

A value of another type is taken where nothing is lost by it (``"1500"`` and ``1500.0`` for an integer, a time
without a zone for one in UTC); otherwise the record is set aside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import RecordError
from airflow_provider_genesys.pipeline.coerce import coerced
from airflow_provider_genesys.pipeline.column import PROCESSED_AT, Column
from airflow_provider_genesys.pipeline.compile import Path
from airflow_provider_genesys.pipeline.contract import Contract

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_HALF_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_CUT = "truncated"  # what the decoder says of half a surrogate pair near the end, too


def examine(raw: bytes, contract: Contract, processed_at: datetime) -> tuple[tuple[Any, ...], list[Path]]:
    """Return the row of one record, and the paths of its fields that the contract does not name.

    :raises RecordError: it is no JSON object in UTF-8, or breaks the contract.
    """
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise RecordError("not-utf8", f"The record is not UTF-8 from its byte {error.start} on.") from None
    objects = _objects(_object(raw, ()), contract)
    row = tuple(processed_at if column.path == PROCESSED_AT else _value(column, objects) for column in contract.columns)
    if row[contract.index(contract.key)] == "":
        raise RecordError("missing-required", f"{contract.key} is empty; it has to tell one record from another.")
    return row, list(_unnamed(objects, contract))


def _object(raw: bytes | msgspec.Raw, path: Path) -> dict[str, msgspec.Raw]:
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


def _objects(top: dict[str, msgspec.Raw], contract: Contract) -> dict[Path, dict[str, msgspec.Raw]]:
    """Return every object that the contract reads from, by path; those that are missing or null are left out."""
    objects: dict[Path, dict[str, msgspec.Raw]] = {(): top}
    for path in sorted(_parents(contract), key=len):
        raw = objects.get(path[:-1], {}).get(path[-1])
        if raw is not None and bytes(raw) != b"null":
            objects[path] = _object(raw, path)
    return objects


def _parents(contract: Contract) -> set[Path]:
    steps = [tuple(column.path.split(".")) for column in contract.columns]
    return {path[:length] for path in steps for length in range(1, len(path))}


def _unnamed(objects: dict[Path, dict[str, msgspec.Raw]], contract: Contract) -> Iterator[Path]:
    named = {tuple(column.path.split(".")) for column in contract.columns} | _parents(contract)
    for path, fields in objects.items():
        for key in fields:
            if (*path, key) not in named:
                yield (*path, key)


def _value(column: Column, objects: dict[Path, dict[str, msgspec.Raw]]) -> Any:
    *parent, name = column.path.split(".")
    raw = objects.get(tuple(parent), {}).get(name)
    text = b"null" if raw is None else bytes(raw)
    if text == b"null":
        if column.required:
            raise RecordError("missing-required", f"{column.path} is missing or null; the contract requires it.")
        return None
    if _NUL.search(text):
        raise RecordError("nul-character", f"{column.path} holds a NUL character, which PostgreSQL cannot store.")
    return _coerced(column, text)


def _coerced(column: Column, text: bytes) -> Any:
    try:
        return coerced(column.type, text)
    except ValueError:
        raise RecordError("wrong-type", f"{column.path} is not of type {column.type}.") from None
