"""The settings that S3 and Azure Blob share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, get_args

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.sinks.formats import OutputFormat, RawForm
from airflow_provider_genesys.sinks.layout import check_prefix

Fencing = Literal["conditional", "none"]

PART_SIZE = 64 * 1024 * 1024
LARGEST_PART_SIZE = 16 * 1024**3
"""Keeps a part below the 80 GB of :data:`.parts.PIECE`, were its rows five times as long as its records."""


@dataclass(frozen=True)
class ObjectSettings:
    """What a user sets.

    :param prefix: of every key, without the bucket. Slashes at its ends do not matter.
    :param output_format: ``ndjson.gz``, ``ndjson`` or ``parquet``.
    :param part_size: a part ends with the record that reaches the next multiple of this many unpacked source bytes.
    :param fencing: ``none`` for stores that do not know ``If-None-Match``; see :class:`.ledger.Ledger`.
    :param dead_letter_raw: what becomes of a dead letter's record; see :class:`.formats.DeadLetterEncoder`.
    :param encrypt: encrypts it; needed for ``dead_letter_raw="encrypt"``.
    :raises ConfigurationError: a setting is not one of those, or out of range.
    """

    prefix: str
    output_format: OutputFormat = "ndjson.gz"
    part_size: int = PART_SIZE
    fencing: Fencing = "conditional"
    dead_letter_raw: RawForm = "encrypt"
    encrypt: Callable[[bytes], bytes] | None = None

    def __post_init__(self) -> None:
        check_prefix(self.prefix)
        _check_one_of("output_format", self.output_format, get_args(OutputFormat))
        _check_one_of("fencing", self.fencing, get_args(Fencing))
        _check_one_of("dead_letter_raw", self.dead_letter_raw, get_args(RawForm))
        if not 0 < self.part_size <= LARGEST_PART_SIZE:
            raise ConfigurationError(f"part_size is {self.part_size}; it has to be 1 to {LARGEST_PART_SIZE} bytes.")
        if self.dead_letter_raw == "encrypt" and self.encrypt is None:
            raise ConfigurationError(
                "dead_letter_raw='encrypt' needs the function that encrypts. Give it as encrypt, or choose 'keep' "
                "(records are stored in clear) or 'drop' (they are not stored)."
            )


def _check_one_of(name: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ConfigurationError(f"{name} is {value!r}; it has to be one of: {', '.join(known)}.")
