r"""Stores our own texts (names in ledgers, dead letters, messages) in a database that is not in UTF-8.

A LATIN1 database refuses characters that it lacks, and its ``jsonb`` refuses their escapes as well. So each
character beyond ASCII is written as the text ``\u20ac`` there, and read back as the character. Values of records stay
as they are: a row that such a database cannot hold is rejected, like any row that PostgreSQL refuses.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from airflow_provider_genesys.sinks.postgres.session import Cursor

_ANY_TEXT = {"UTF8", "SQL_ASCII"}
_BEYOND = re.compile(r"\\(?=u)|[^\x00-\x7f]+")
_WRITTEN = re.compile(r"(?:\\u[0-9a-f]{4})+")


def holds_any_text(cursor: Cursor) -> bool:
    """Return whether the database can store every character."""
    return cursor.connection.info.parameter_status("server_encoding") in _ANY_TEXT


def storable(cursor: Cursor, text: str) -> str:
    """Return a name for people as the database can hold it."""
    return text if holds_any_text(cursor) else legible(text)


def storable_json(cursor: Cursor, text: str | bytes) -> str:
    """Return JSON text as the database can hold it; :func:`restored` undoes it."""
    if holds_any_text(cursor):
        return text if isinstance(text, str) else text.decode()
    return json.dumps(_each(json.loads(text), lambda part: _BEYOND.sub(_escaped, part)))


def restored(cursor: Cursor, value: Any) -> Any:
    """Return a JSON value as it was before :func:`storable_json`."""
    return value if holds_any_text(cursor) else _each(value, lambda part: _WRITTEN.sub(_character, part))


def storable_letter(letter: dict[str, Any]) -> dict[str, Any]:
    """Return a dead letter in ASCII. The bytes of its record stay what they are: ``raw`` becomes base64."""
    raw, form = letter["raw"], letter["raw_form"]
    if form == "text" and not raw.isascii():
        raw, form = base64.b64encode(raw.encode()).decode(), "base64"
    kept = {"raw": raw and legible(raw), "raw_form": form}
    kept |= {name: legible(letter[name]) for name in ("message", "run_id")}
    return {**letter, **kept}


def legible(text: str) -> str:
    """Return ``text`` in ASCII, for people to read."""
    return text.encode("ascii", "backslashreplace").decode()


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """Return ``value`` with every text in it changed, names of members included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_each(one, change) for one in value]
    if isinstance(value, dict):
        return {change(name): _each(one, change) for name, one in value.items()}
    return value


def _escaped(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be", "surrogatepass").hex()
    return re.sub("(....)", r"\\u\1", units)


def _character(found: re.Match[str]) -> str:
    return bytes.fromhex(found.group().replace("\\u", "")).decode("utf-16-be", "surrogatepass")
