"""``demo``: shows on this machine what the package promises: a load is killed, continues, and loses no record."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_provider_genesys.commands.output import say
from airflow_provider_genesys.times import now

if TYPE_CHECKING:
    from airflow_provider_genesys.testing.fake_genesys import FakeGenesys, Tally

_KIND = "recordings"
_PART_SIZE = 4 * 1024 * 1024
"""Bytes between two commits: few, so that several are made before the load is killed."""
_BROKEN = 0.0005


def demo(
    records: Annotated[int, typer.Option(help="Recordings in the export.", min=1_000)] = 60_000,
    folder: Annotated[
        Path | None, typer.Option(help="An empty folder to load into, which stays. [default: one that is removed]")
    ] = None,
) -> None:
    """Load a made-up day into a folder, kill the load half way, let it go on, and count what arrived.

    A fake Genesys Cloud runs inside this command. It starts no Airflow and needs no connection.

    Example: airflow-genesys demo --records 20000
    """
    from airflow_provider_genesys.testing.fake_genesys import FakeGenesys

    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="genesys-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        genesys = stack.enter_context(FakeGenesys(records=records, seed=7, broken=_BROKEN))
        task = _task(genesys, folder)
        say(f"A fake Genesys Cloud has made an export of {records:,} recordings.")
        killed, _ = _attempt(task, kill_at=records // 2)
        say(f"First try: {killed[-1]:,} records are committed, and the process is killed (SIGKILL).")
        resumed, certificate = _attempt(task)
        say(f"Second try: it continues after record {resumed[0]:,} and ends.")
        problems = list(_problems(genesys.expected(), certificate, Counter(_ids(folder))))
    for problem in problems:
        say(f"PROBLEM: {problem}")
    if problems:
        raise typer.Exit(1)
    say("Each record of the export is there once. That is what the package promises for every sink.")


@dataclass(frozen=True)
class _Task:
    """What a process needs to load the export."""

    connection: str
    export_id: str
    window_start: datetime
    window_end: datetime
    folder: Path


def _task(genesys: FakeGenesys, folder: Path) -> _Task:
    from airflow_provider_genesys.cloud.exports.base import ExportRequest
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

    end = now().replace(hour=0, minute=0, second=0, microsecond=0)
    start = end - timedelta(days=1)
    os.environ["AIRFLOW_CONN_GENESYS_DEMO"] = genesys.connection_json()
    with GenesysCloudHook("genesys_demo") as hook:
        export_id = hook.create_export(_KIND, ExportRequest(start, end))
    return _Task(genesys.connection_json(), export_id, start, end, folder)


def _attempt(task: _Task, kill_at: int | None = None) -> tuple[list[int], dict[str, Any]]:
    """Load in another process, and kill the process when ``kill_at`` records are committed.

    :return: the records in each checkpoint that was seen, and the certificate's summary; empty if it was killed.
    """
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_load, args=(task, there))
    process.start()
    there.close()
    counts: list[int] = []
    summary: dict[str, Any] = {}
    with suppress(EOFError):
        while not summary:
            found = here.recv()
            if isinstance(found, dict):
                summary = found
            else:
                counts.append(found)
                if kill_at is not None and found >= kill_at:
                    process.kill()
    process.join()
    return counts, summary


def _load(task: _Task, seen: Connection) -> None:
    from airflow_provider_genesys.contracts.contract import built_in
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
    from airflow_provider_genesys.pipeline.load import Load
    from airflow_provider_genesys.pipeline.run import Options, run
    from airflow_provider_genesys.sinks.local import LocalSink
    from airflow_provider_genesys.tasks.landed import NOWHERE
    from airflow_provider_genesys.tasks.result import open_archive

    os.environ["AIRFLOW_CONN_GENESYS_DEMO"] = task.connection
    window = (task.window_start, task.window_end)
    with GenesysCloudHook("genesys_demo") as hook:
        status = hook.get_export(task.export_id, _KIND)
        handle = hook.make_handle(status, window_start=task.window_start, window_end=task.window_end)
        load = Load("demo", task.export_id, _KIND, *window, task.window_start, built_in(_KIND), "demo")
        sink = LocalSink(task.folder, part_size=_PART_SIZE, encrypt=hook.encrypt_dead_letter)
        certificate = run(
            load,
            lambda start: open_archive(hook, handle, start.source, NOWHERE),
            sink,
            Options(),
            lambda checkpoint: seen.send(checkpoint.counts.read),
        )
        seen.send(certificate.summary())


def _ids(folder: Path) -> Iterator[str]:
    """Yield the id of each row of the files that the manifest lists."""
    (manifest,) = folder.rglob("_manifest.json")
    for part in json.loads(manifest.read_bytes())["parts"]:
        with gzip.open(folder / part["key"]) as rows:
            for row in rows:
                yield json.loads(row)["recordingId"]


def _problems(made: Tally, certificate: dict[str, Any], ids: Counter[str]) -> Iterator[str]:
    """Say what arrived, and yield what differs from what the fake Genesys Cloud made."""
    if not certificate:
        yield "The second try did not end. Run the command again, and report it if that fails, too."
        return
    counts, rules = certificate["counts"], certificate["rules"]
    letters = counts["dead_letters"]
    say(f"Certificate: {counts['read']:,} read = {counts['written']:,} written + {letters:,} dead letters.")
    say(f"Dead letters by rule: {', '.join(f'{rule} {number:,}' for rule, number in rules.items())}.")
    say(f"Files: {ids.total():,} rows, {len(ids):,} different ids.")
    if letters != sum(made.broken.values()):
        yield f"Genesys made {sum(made.broken.values()):,} broken records."
    if not ids.total() == len(ids) == counts["written"] == made.good:
        yield f"Genesys made {made.good:,} readable records."
