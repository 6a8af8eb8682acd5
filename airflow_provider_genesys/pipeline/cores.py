"""How many processor cores this process may use: as many as its container's quota gives, not as the machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from airflow_provider_genesys.exceptions import ConfigurationError

Processes = int | Literal["auto"]

_GROUPS = Path("/sys/fs/cgroup")


def worker_count(processes: Processes) -> int:
    """Return the number of worker processes that ``processes`` asks for: 0 if the task's process works alone.

    :raises ConfigurationError: it is neither ``auto`` nor a number from 1 on.
    """
    if processes != "auto" and (not isinstance(processes, int) or processes < 1):
        raise ConfigurationError(f"processes is {processes!r}; it has to be a number from 1 on, or 'auto'.")
    count = cores() if processes == "auto" else processes
    return count if count > 1 else 0


def cores(groups: Path = _GROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Return the cores that this process may run on, at most what the quotas of its control groups give, at least 1."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([free, *_quotas(groups, own)])))


def _quotas(groups: Path, own: Path) -> Iterator[float]:
    """Yield the quota of each control group that this process is in, in cores."""
    with suppress(OSError, ValueError):
        group = Path(own.read_text().rpartition("0::/")[2].strip() if own.exists() else "")
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):
                quota, period = (groups / folder / "cpu.max").read_text().split()
                yield int(quota) / int(period)
    with suppress(OSError, ValueError):  # version 1
        quota, period = ((groups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        if int(quota) > 0:
            yield int(quota) / int(period)
