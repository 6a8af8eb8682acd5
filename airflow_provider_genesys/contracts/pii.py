"""Protects personal data: replaces a value by a keyed hash, a masked form, or nothing."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from airflow_provider_genesys.contracts.column import EVERY, PROCESSED_AT, Column, Pii, Steps, steps
from airflow_provider_genesys.exceptions import ConfigurationError

MASK = "***"
_SHOWN = 4
_LONG_ENOUGH = 8
_any = msgspec.json.Decoder(Any, float_hook=str)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])

Protection = Callable[[Any], Any]
"""Takes a value of a column, never None, and returns the protected value."""

ProtectRecord = Callable[[bytes], bytes | None]
"""Takes a record's original bytes and returns them without personal data; None if the record cannot be read."""


def protection(column: Column, key: bytes | None) -> Protection | None:
    """Return the function that protects each value of ``column``; None if values land unchanged.

    :param key: key of the hash.
    :raises ConfigurationError: the column is hashed, and there is no key.
    """
    if column.pii_inside:
        places = [(steps(path), _of_json(action, key, column)) for path, action in column.pii_inside]
        return lambda text: _protected_inside(text, places)
    if column.pii == "keep":
        return None
    return _of_json(column.pii, key, column) if column.type == "json" else _of_text(column.pii, key, column)


def record_protection(columns: Sequence[Column], key: bytes | None) -> ProtectRecord | None:
    """Return the function that protects all personal data of ``columns`` in a raw record; None if there is none.

    :param columns: all columns of a contract, including those that do not land.
    """
    own = [column for column in columns if column.path != PROCESSED_AT and not column.variant]
    whole = [(steps(column.path), _of_json(column.pii, key, column)) for column in own if column.pii != "keep"]
    places = [(column, path, action) for column in own for path, action in column.pii_inside if action != "keep"]
    inside = [(steps(column.path) + steps(path), _of_json(action, key, column)) for column, path, action in places]
    if not whole and not inside:
        return None

    def protect(raw: bytes) -> bytes | None:
        try:
            raw.decode()
            _object.decode(raw)
            return _protected_inside(raw, [*whole, *inside])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None

    return protect


def masked(text: str) -> str:
    """Return ``***`` and, of eight characters or more, the last four; of an e-mail address, its domain."""
    name, at, domain = text.rpartition("@")
    if at and name:
        return f"{MASK}@{domain}"
    return f"{MASK}{text[-_SHOWN:]}" if len(text) >= _LONG_ENOUGH else MASK


def hashed(text: str, key: bytes) -> str:
    """Return the HMAC-SHA-256 of ``text`` in 64 hex digits. The same value and key give the same hash in every load."""
    return hmac.digest(key, text.encode(), "sha256").hex()


def _of_text(action: Pii, key: bytes | None, column: Column) -> Protection:
    if action == "mask":
        return masked
    known = _needed(key, column)
    return lambda text: hashed(text, known)


def _of_json(action: Pii, key: bytes | None, column: Column) -> Protection:
    if action == "mask":
        return lambda text: msgspec.json.encode(_masked_value(_any.decode(text)))
    if action == "drop":
        return lambda _: None
    if action == "keep":
        return lambda text: text
    known = _needed(key, column)
    return lambda text: msgspec.json.encode(hashed(_as_text(text), known))


def _needed(key: bytes | None, column: Column) -> bytes:
    if not key:
        raise ConfigurationError(
            f"Column {column.name!r} is hashed, which needs a key. Name where it is kept: pii_key='variable:<key>' or "
            "'connection:<id>' in the operator, or pii_key in the contract file."
        )
    return key


def _as_text(text: bytes) -> str:
    """Return the text to hash. A JSON string is hashed without its quotes, so it equals a hashed string column."""
    if text.startswith(b'"'):
        return str(msgspec.json.decode(text))
    return msgspec.json.format(text, indent=-1).decode()


def _masked_value(value: Any) -> Any:
    """Return ``value`` with each text and number masked; its structure stays."""
    if isinstance(value, dict):
        return {key: _masked_value(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_masked_value(entry) for entry in value]
    if isinstance(value, str):
        return masked(value)
    return value if value is None or isinstance(value, bool) else MASK


def _protected_inside(text: bytes, places: list[tuple[Steps, Protection]]) -> bytes:
    for path, protect in places:
        text = _rewritten(text, path, protect)
    return text


def _rewritten(text: bytes, path: Steps, protect: Protection) -> bytes:
    """Return the JSON value ``text`` with the value at ``path`` protected.

    If a value on the way is neither the object nor the list that the path expects, that whole value is protected.
    """
    if text == b"null":
        return text
    step, rest = (path[0], path[1:]) if path else (None, ())
    if step is None or not text.startswith(b"{" if isinstance(step, str) else b"["):
        return protect(text) or b"null"
    if isinstance(step, str):
        return _rewritten_object(text, step, rest, protect)
    entries = _list.decode(text)
    chosen = range(len(entries)) if step == EVERY else range(step, min(step + 1, len(entries)))
    for place in chosen:
        entries[place] = msgspec.Raw(_rewritten(bytes(entries[place]), rest, protect))
    return msgspec.json.encode(entries)


def _rewritten_object(text: bytes, key: str, rest: Steps, protect: Protection) -> bytes:
    fields = _object.decode(text)
    if key not in fields:
        return text
    value = _rewritten(bytes(fields.pop(key)), rest, protect)
    if rest or value != b"null":
        fields[key] = msgspec.Raw(value)
    return msgspec.json.encode(fields)
