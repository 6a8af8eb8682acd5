"""Values inside lists, which the compiled structs do not look into: ``participants[0].userId``."""

from __future__ import annotations

import msgspec

from airflow_provider_genesys.contracts.column import EVERY, Steps

_list = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def picked(text: bytes, path: Steps) -> bytes | None:
    """Return the JSON text at ``path`` inside the JSON value ``text``; None where it is missing or null.

    Of :data:`EVERY` element: a list with as many entries as there are elements, null for those that have no value.

    :raises ValueError: something on the way is neither list nor object, as the path wants it.
    """
    for place, step in enumerate(path):
        if text == b"null":
            return None
        if step == EVERY:
            entries = [picked(bytes(entry), path[place + 1 :]) or b"null" for entry in _entries(text)]
            return b"[" + b",".join(entries) + b"]"
        found = _field(text, step) if isinstance(step, str) else next(iter(_entries(text)[step : step + 1]), None)
        if found is None:
            return None
        text = bytes(found)
    return None if text == b"null" else text


def has_value(text: bytes, path: Steps) -> bool:
    """Whether the JSON value ``text`` holds something but null at ``path``, or something else on the way there."""
    for place, step in enumerate(path):
        if text == b"null":
            return False
        try:
            if step == EVERY:
                return any(has_value(bytes(entry), path[place + 1 :]) for entry in _entries(text))
            found = _field(text, step) if isinstance(step, str) else next(iter(_entries(text)[step : step + 1]), None)
        except ValueError:
            return True
        if found is None:
            return False
        text = bytes(found)
    return text != b"null"


def _entries(text: bytes) -> list[msgspec.Raw]:
    try:
        return _list.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        raise ValueError from None


def _field(text: bytes, name: str) -> msgspec.Raw | None:
    try:
        return _object.decode(text).get(name)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError from None
