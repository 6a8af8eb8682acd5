"""The settings that all object stores share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from platform import machine
from typing import Any, Literal, TypedDict, get_args

from isal import __version__ as isal

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.sinks.dead_letters import DeadLetterRaw, RawBytes
from airflow_provider_genesys.sinks.objects.layout import DAY, check_partition_format
from airflow_provider_genesys.sinks.objects.parts import OutputFormat, RowForm
from airflow_provider_genesys.sinks.objects.publish import Publisher
from airflow_provider_genesys.stores.base import check_prefix

Fencing = Literal["conditional", "none"]

PART_SIZE = 64 * 1024 * 1024
LARGEST_PART_SIZE = 15 * 1024**3
"""With this limit a part stays below the 80 GB of :data:`.piece_writer.PIECE`, even if rows are five times as long as
their records."""


class RowSettings(TypedDict, total=False):
    """The arguments that the sinks of all stores have; see :class:`ObjectSettings` for what they mean."""

    output_format: OutputFormat
    part_size: int
    child_files: bool
    partition_format: str
    dead_letter_raw: DeadLetterRaw
    encrypt: Callable[[bytes, bytes], bytes] | None
    lists: Sequence[str]
    publisher: Publisher | None


@dataclass(frozen=True)
class ObjectSettings:
    """The settings that a user gives.

    :param prefix: beginning of every key, without the bucket. Slashes at its ends are ignored.
    :param output_format: ``ndjson.gz``, ``ndjson`` or ``parquet``.
    :param part_size: a part ends with the record that reaches the next multiple of this many unpacked source bytes.
    :param fencing: ``none`` for stores without ``If-None-Match``; see :class:`.ledger.Ledger`.
    :param child_files: write the contract's children to separate files.
    :param dead_letter_raw: how a dead letter's bytes are stored; see :class:`.dead_letters.RawBytes`.
    :param encrypt: encrypts them; needed for ``dead_letter_raw="encrypt"``.
    :param partition_format: name of the partition in strftime's letters, from the window's start in UTC.
    :param lists: warehouses to write lists for; see :mod:`.warehouse_lists`.
    :param publisher: commits a load to tables before it is complete; needs ``output_format="parquet"``.
    :raises ConfigurationError: a setting is unknown or out of range.
    """

    prefix: str
    output_format: OutputFormat = "ndjson.gz"
    part_size: int = PART_SIZE
    fencing: Fencing = "conditional"
    dead_letter_raw: DeadLetterRaw = "encrypt"
    encrypt: Callable[[bytes, bytes], bytes] | None = None
    child_files: bool = True
    partition_format: str = DAY
    lists: Sequence[str] = ()
    publisher: Publisher | None = None

    def __post_init__(self) -> None:
        check_prefix(self.prefix)
        check_partition_format(self.partition_format)
        _check_one_of("output_format", self.output_format, get_args(OutputFormat))
        _check_one_of("fencing", self.fencing, get_args(Fencing))
        if not 0 < self.part_size <= LARGEST_PART_SIZE:
            raise ConfigurationError(f"part_size is {self.part_size}; it has to be 1 to {LARGEST_PART_SIZE} bytes.")
        RawBytes(self.dead_letter_raw, self.encrypt)  # it checks both
        if self.publisher and self.output_format != "parquet":
            raise ConfigurationError(
                f"publish_to_iceberg needs output_format='parquet', and it is {self.output_format!r}."
            )

    @property
    def form(self) -> RowForm:
        """The form of rows."""
        return "iceberg" if self.publisher else self.output_format

    @property
    def packed_as(self) -> tuple[str, ...]:
        """What parts with the same rows differ by. It is in their keys, so that one key never has two contents.

        ISA-L finds other matches on another kind of processor.
        """
        forms = {"iceberg": ("iceberg", "8 MiB"), "parquet": ("8 MiB",), "ndjson.gz": ("head", machine(), isal)}
        return forms.get(self.form, ())

    def writes(self, contract: Contract) -> str:
        """Return the form of a load's parts, and whether children have separate files."""
        return f"{self.form} with child files" if self.child_files and contract.children else self.form


def check_retries(retries: int) -> None:
    """Raise :class:`ConfigurationError` for a negative number."""
    if retries < 0:
        raise ConfigurationError(f"retries is {retries}; it has to be 0 or more.")


def check_known(extra_args: dict[str, Any], known: Collection[str]) -> None:
    """Raise :class:`ConfigurationError` for an argument that is not in ``known``."""
    unknown = sorted(extra_args.keys() - set(known))
    if unknown:
        raise ConfigurationError(f"extra_args has {', '.join(unknown)}; it may have {', '.join(sorted(known))}.")


def _check_one_of(name: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ConfigurationError(f"{name} is {value!r}; it has to be one of: {', '.join(known)}.")
