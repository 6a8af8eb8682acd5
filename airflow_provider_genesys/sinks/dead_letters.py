"""How dead letters are stored: with the same fields and the same encoding in every sink.

Each holds the rejected record, its load, the reason and the time. :func:`opened` returns the record's exact bytes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from airflow_provider_genesys.contracts.pii import ProtectRecord
from airflow_provider_genesys.exceptions import ConfigurationError, DeadLetterError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.replay import Open
from airflow_provider_genesys.source.records import DeadLetter
from airflow_provider_genesys.times import now

DeadLetterRaw = Literal["encrypt", "keep", "drop"]
"""How a dead letter's bytes are stored."""

RawForm = Literal["text", "base64", "encrypted", "dropped", "protected"]
"""The encoding of ``raw``: UTF-8 text · base64 · encrypted · not stored · UTF-8 text in which personal data was
dropped, hashed or masked as the contract says."""

_IN_CLEAR = {"text", "base64"}

_OPEN = {"state": "open", "replayed_at": None, "replayed_by": None, "replayed_contract": None}
"""The fields that a replay changes."""

Encrypt = Callable[[bytes, bytes], bytes]
"""Takes a record, and what it is bound to; returns ASCII. It is decrypted together with the same only."""
Decrypt = Callable[[bytes, bytes], bytes]
"""The inverse: takes what :data:`Encrypt` returned, and what it is bound to."""


class RawBytes:
    """Encodes a record's bytes for storage.

    :param encrypt: needed if ``how`` is ``encrypt``.
    :raises ConfigurationError: ``how`` is unknown, or ``encrypt`` is missing.
    """

    def __init__(self, how: DeadLetterRaw, encrypt: Encrypt | None) -> None:
        if how not in ("encrypt", "keep", "drop"):
            raise ConfigurationError(f"dead_letter_raw is {how!r}; it has to be one of: encrypt, keep, drop.")
        if how == "encrypt" and encrypt is None:
            raise ConfigurationError(
                "dead_letter_raw='encrypt' needs the function that encrypts. Give it as encrypt, or choose 'keep' "
                "(records are stored in clear) or 'drop' (they are not stored)."
            )
        self._how = how
        self._encrypt = encrypt

    def kept(
        self, raw: bytes, bound_to: bytes = b"", protect: ProtectRecord | None = None
    ) -> tuple[str | None, RawForm]:
        """Return what is stored of ``raw``, and its encoding.

        :param bound_to: what encrypted bytes are bound to.
        :param protect: removes personal data before bytes are stored in clear. Bytes that it cannot read are not stored
            in clear.
        """
        if self._how == "drop":
            return None, "dropped"
        shown = protect(raw) if protect and raw and self._how == "keep" else raw
        if self._how == "keep" and shown is not None:
            return _readable(raw) if shown == raw else (shown.decode(), "protected")
        if self._encrypt is None:
            return None, "dropped"
        return self._encrypt(raw, bound_to).decode("ascii"), "encrypted"


class DeadLetterRows:
    """The dead letters of one load as rows. Each row holds all that a replay needs.

    {load_id, shard, export_id, kind, window_start, window_end, submitted_at, processed_at, contract, run_id,
    source_offset, stage, rule, message, raw, raw_form, created_at}; times are aware.
    """

    def __init__(self, load: Load, raw_bytes: RawBytes) -> None:
        self._raw_bytes = raw_bytes
        self._facts = vars(load.facts)

    def rows(
        self, letters: Sequence[DeadLetter], processed_at: str, protect: ProtectRecord | None
    ) -> list[dict[str, Any]]:
        """Return one row for each letter.

        :param processed_at: of the load, ISO 8601.
        :param protect: see :attr:`.load.Batch.protect`.
        """
        facts = {
            **self._facts,
            "processed_at": datetime.fromisoformat(processed_at),
            "created_at": now(),
        }
        return [{**facts, **self._own(letter, protect)} for letter in letters]

    def _own(self, letter: DeadLetter, protect: ProtectRecord | None) -> dict[str, Any]:
        bound_to = _bound_to({**self._facts, "source_offset": letter.offset})
        raw, form = self._raw_bytes.kept(letter.raw, bound_to, protect)
        return {
            "source_offset": letter.offset,
            "stage": letter.stage,
            "rule": letter.rule,
            "message": letter.message.replace("\0", "\ufffd"),
            "raw": raw,
            "raw_form": form,
        }


class DeadLetterEncoder:
    """Dead letters as JSON, for a queue."""

    def __init__(self, load: Load, how: DeadLetterRaw, encrypt: Encrypt | None) -> None:
        self._rows = DeadLetterRows(load, RawBytes(how, encrypt))

    def encode(self, letter: DeadLetter, batch: Batch) -> bytes:
        """Return a letter of ``batch``."""
        [row] = self._rows.rows([letter], batch.checkpoint.processed_at, batch.protect)
        return msgspec.json.encode(row)


class DeadLetterLines:
    """The dead letters of a part as NDJSON; implements :class:`.parts.Rows`."""

    def __init__(self, rows: DeadLetterRows) -> None:
        self._rows = rows

    def pack(self, batch: Batch) -> bytes:
        """Take the dead letters of ``batch`` and return them."""
        rows = self._rows.rows(batch.dead_letters, batch.checkpoint.processed_at, batch.protect)
        return msgspec.json.Encoder().encode_lines([{**row, **_OPEN} for row in rows])

    def end(self) -> bytes:
        """Return nothing, since no bytes are held back."""
        return b""


def opened(letter: Mapping[str, Any], decrypt: Decrypt) -> bytes:
    """Return the exact bytes of the record of a dead letter.

    :param letter: a row of a sink's dead letters. Encrypted bytes are bound to load, shard, export and offset, so they
        open in no other letter.
    :param decrypt: the inverse of ``encrypt`` of :class:`RawBytes`.
    :raises DeadLetterError: they were not stored, or cannot be read.
    """
    raw, form = letter.get("raw"), letter.get("raw_form")
    if isinstance(form, str) and form in _KEPT:
        try:
            return _KEPT[form](raw, lambda token: decrypt(token, _bound_to(letter)))
        except (AttributeError, TypeError, ValueError) as error:
            raise DeadLetterError(f"The raw bytes of the dead letter cannot be read as {form} ({error}).") from error
    if form == "protected":
        raise DeadLetterError(
            "This record was not kept unchanged: personal data in it was dropped, hashed or masked as the contract "
            "says (dead_letter_raw='keep'). Its export and its offset say where it is in the archive."
        )
    if form == "dropped":
        raise DeadLetterError(
            "The bytes of this record were not kept (dead_letter_raw='drop'). Its export and its offset say where it "
            "is in the archive."
        )
    raise DeadLetterError(f"This is no dead letter that this release can read: its raw_form is {shown(form, 40)!r}.")


_KEPT: dict[str, Callable[[Any, Callable[[bytes], bytes]], bytes]] = {
    "text": lambda raw, _: raw.encode(),
    "encrypted": lambda raw, decrypt: decrypt(raw.encode()),
    "base64": lambda raw, _: base64.b64decode(raw, validate=True),
}


def _bound_to(letter: Mapping[str, Any]) -> bytes:
    return json.dumps([letter.get(name) for name in ("load_id", "shard", "export_id", "source_offset")]).encode()


def only_encrypted(opened: Open) -> Open:
    """Return ``opened`` for loads that encrypt all dead letters: it refuses a letter in clear."""

    def opened_if_encrypted(letter: Mapping[str, Any]) -> bytes:
        if letter["raw_form"] in _IN_CLEAR:
            raise DeadLetterError(
                "This dead letter is in clear, and all letters should be encrypted: anybody who may write there can "
                "have made it. If its load kept letters in clear, replay with dead_letter_raw='keep'."
            )
        return opened(letter)

    return opened_if_encrypted


def _readable(raw: bytes) -> tuple[str, RawForm]:
    """Return ``raw`` as text if every sink can store that (PostgreSQL's text has no NUL); else as base64."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "\0"
    return (text, "text") if "\0" not in text else (base64.b64encode(raw).decode(), "base64")
