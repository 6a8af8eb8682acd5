"""Runs each measurement several times, each time in a new process, and gives the medians."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_genesys.testing.process import ServerProcess

NODE = Path(__file__).parent / "node"
LIMIT = 900
"""Seconds that one run may take."""

Figures = dict[str, float]
"""seconds (wall) · cpu (seconds, of the process and its threads) · bytes (unpacked) · records · peak_mib · base_mib
(peak when the imports were done, before the work began). Not every peer has all."""


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this package."""
    return [sys.executable, "-m", f"benchmarks.{module}", *arguments]


@contextmanager
def serving(module: str, *arguments: str) -> Iterator[str]:
    """Run a module of this package that serves until its standard input ends; give the line that it prints first."""
    with subprocess.Popen(
        python(module, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None  # noqa: S101 - it was asked for
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


@contextmanager
def apart(server: ServerProcess) -> Iterator[None]:
    """Run ``server`` on the last core, and what is measured meanwhile on the others, so that neither slows the other.

    With one core, or where the system cannot pin processes, nothing is pinned.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:  # noqa: PLR2004 - one for the server, one for the load
        with server:
            yield
        return
    try:
        os.sched_setaffinity(0, cores[-1:])
        with server:
            os.sched_setaffinity(0, cores[:-1])
            yield
    finally:
        os.sched_setaffinity(0, cores)


def node(*arguments: str) -> list[str]:
    """Return the command that runs the Node.js pipeline; its packages are installed on the first call."""
    if not (NODE / "node_modules").exists():
        npm = shutil.which("npm") or "npm"
        subprocess.run([npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=NODE, check=True, timeout=LIMIT)
    return ["node", str(NODE / "pipeline.mjs"), *arguments]


def curl(url: str) -> list[str]:
    """Return the command that downloads ``url``, keeps nothing, and prints what that took."""
    figures = '{"seconds": %{time_total}, "bytes": %{size_download}}'
    return ["curl", "--silent", "--fail", "--output", os.devnull, "--write-out", figures, url]


@dataclass(frozen=True)
class Compared:
    """Medians of two commands that were run in turn, so that both met the same noise."""

    ours: Figures
    theirs: Figures

    @property
    def throughput(self) -> float:
        """How many times as fast we are."""
        return speed(self.ours) / speed(self.theirs)


def measured(command: Sequence[str], runs: int) -> Figures:
    """Return the medians of what ``command`` prints, as JSON in its last line."""
    return _median([_run(command) for _ in range(runs)])


def compared(ours: Sequence[str], theirs: Sequence[str], runs: int) -> Compared:
    """Run both in turn: ours, theirs, ours, theirs, and so on."""
    pairs = [(_run(ours), _run(theirs)) for _ in range(runs)]
    return Compared(_median([one for one, _ in pairs]), _median([other for _, other in pairs]))


def speed(figures: Figures) -> float:
    """Return MB/s of the unpacked document."""
    return figures["bytes"] / figures["seconds"] / 1e6


def _run(command: Sequence[str]) -> Figures:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def _median(runs: list[Figures]) -> Figures:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}
