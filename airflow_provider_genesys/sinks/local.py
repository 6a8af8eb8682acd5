"""A folder as a sink: for trying out, for tests, and for a file system that all workers mount.

Keys, and which files count, are as in S3 (:mod:`.layout`, :mod:`.ledger`). Everything is synced to the disk before it
counts. Two attempts can be distinguished if the file system makes hard links atomically, as POSIX and NFS do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from airflow_provider_genesys.sinks.dead_letters import DeadLetterRaw
from airflow_provider_genesys.sinks.objects.layout import DAY
from airflow_provider_genesys.sinks.objects.parts import OutputFormat
from airflow_provider_genesys.sinks.objects.settings import PART_SIZE, ObjectSettings
from airflow_provider_genesys.sinks.objects.sink import ObjectSink
from airflow_provider_genesys.stores.folder import OWNER_ONLY, FolderStore


class LocalSink(ObjectSink):
    """Lands a load in a folder; see :class:`.sink.Sink` for what it promises.

    :param folder: an existing folder: if its file system is not mounted, that is an error.
    :param output_format: ``ndjson.gz``, ``ndjson`` or ``parquet`` (which needs the extra ``parquet``).
    :param part_size: parts are cut at multiples of this many unpacked source bytes.
    :param child_files: write the contract's children to separate files, in a folder named after the child.
    :param partition_format: names the partition below the folder, in strftime's letters, by the window's start in UTC.
    :param dead_letter_raw: ``encrypt``, ``keep`` or ``drop`` the bytes of rejected records.
    :param encrypt: encrypts the bytes of a record; needed for ``encrypt``.
    :param file_mode: rights of each file, e.g. ``0o640``, regardless of the umask. The folders below ``folder`` may be
        entered by all who may read the files. ``folder`` itself is not changed.
    :raises ConfigurationError: a setting is unknown or out of range.
    """

    def __init__(
        self,
        folder: str | Path,
        output_format: OutputFormat = "ndjson.gz",
        *,
        part_size: int = PART_SIZE,
        child_files: bool = True,
        partition_format: str = DAY,
        dead_letter_raw: DeadLetterRaw = "encrypt",
        encrypt: Callable[[bytes, bytes], bytes] | None = None,
        file_mode: int = OWNER_ONLY,
    ) -> None:
        settings = ObjectSettings(
            "", output_format, part_size, "conditional", dead_letter_raw, encrypt, child_files, partition_format
        )
        super().__init__(lambda: FolderStore(Path(folder), mode=file_mode), settings)
