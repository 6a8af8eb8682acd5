"""How much memory this process holds, and a limit that stops it before the kernel does."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_genesys.exceptions import MemoryLimitError

_PAGE = os.sysconf("SC_PAGE_SIZE")
_KEPT = 8 * 2**20  # bytes; the C library ignores blocks of more than 32 MiB


def peak_memory_mb() -> float:
    """Return the most memory that this process ever held, in MB (10**6 bytes), as the system reports it."""
    try:
        # Linux; getrusage would count what the parent held before this process was made from it.
        text = Path("/proc/self/status").read_text()
        return int(text.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def held_memory_mb() -> float:
    """Return the memory that this process holds now, in MB (10**6 bytes), or else the most it ever held."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6
    except (OSError, IndexError, ValueError):
        return peak_memory_mb()


def keep_freed_memory() -> None:
    """Make the C library keep the memory that a batch frees, for the next batch.

    The GNU library gives blocks of some 100 KB back to the system, which clears and maps them again each time: a load
    took 1.07 times as long (``docs/performance.md``). It keeps blocks up to the size of the largest block ever freed,
    so this frees a large one. That block is never written to, and so takes no memory. (``M_MMAP_THRESHOLD`` in
    ``mallopt(3)``.)
    """
    freed = bytes(_KEPT)
    del freed


@dataclass(frozen=True)
class MemoryLimit:
    """The memory that a load may use.

    :param megabytes: 10**6 bytes, of the whole process, Airflow included; None for no limit.
    """

    megabytes: float | None

    def check(self, where: str) -> None:
        """Raise :class:`MemoryLimitError`, naming ``where``, when the process holds more."""
        if self.megabytes is None or (held := held_memory_mb()) <= self.megabytes:
            return
        raise MemoryLimitError(
            f"{where}: the process holds {held:.0f} MB, more than max_memory_mb={self.megabytes:g}, and was stopped "
            "before the system would kill it. What is committed stays. Records of many MB need memory for a whole "
            "batch of them: lower batch_size, or give the worker more memory and raise the limit."
        )
