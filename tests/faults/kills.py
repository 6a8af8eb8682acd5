"""At which steps loads are killed, sink by sink, and how each of them is taken up: the table of docs/guarantees.md."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path
from typing import Literal

from airflow_provider_genesys import failpoints

Way = Literal["begins again", "goes on", "closes"]
"""From the first record · from the last commit · nothing is read any more, and the load is completed."""

TABLES = ("postgres", "postgres-atomic")
UPSERTED = ("postgres-upsert", "postgres-atomic-upsert", "postgres-window-upsert")
"""No batch goes straight into the table, and two make a commit. As the tables of the same names, and a window in which
an older export is replaced."""
OBJECT_STORES = ("s3", "local", "azure", "gcs")
SINKS = (*TABLES, *OBJECT_STORES, "sqs")
EVERYWHERE = {
    failpoints.OPENED: (1,),
    failpoints.SPLIT: (1, 7),
    failpoints.WRITING: (7,),
    failpoints.COMMITTING: (1, 3),
    failpoints.COMMITTED: (3,),
    failpoints.REPORTED: (1,),
    failpoints.FINISHING: (1,),
    failpoints.CHECKED: (1,),
    failpoints.COMPLETE: (1,),
}
"""At which of the times that it is reached a step is deadly. At the seventh batch a second commit has begun, so the
first is durable, also in sinks that commit in the background."""
OF_TABLES = {failpoints.CLAIMING: (1,), failpoints.LANDED: (3,)}
UPSERTED_STEPS = [
    *((sink, step, nth) for sink in UPSERTED for step, times in (EVERYWHERE | OF_TABLES).items() for nth in times),
    ("postgres-atomic-upsert", failpoints.PUBLISHED, 1),
]
OF_MET_KEYS = {
    failpoints.TAKEN_BACK: (1, 2),
    failpoints.LANDED: (2,),
    failpoints.COMMITTING: (2,),
    failpoints.COMMITTED: (2,),
}
"""Of the second batch or commit, which meets a key of the first, and of the next one that is copied in vain."""
OF_OBJECTS = {
    failpoints.CLAIMED: (1,),
    failpoints.GATHERED: (7,),
    failpoints.PUTTING: (1, 6),
    failpoints.PART_UPLOADED: (1, 3),
    failpoints.LEDGER_WRITTEN: (1, 3),
    failpoints.MANIFEST_WRITTEN: (1,),
    failpoints.CLEANED: (1,),
}
OF_QUEUES = {failpoints.SENT: (1, 3)}
OF_LARGE_PARTS = {failpoints.PIECE_SENT: (1,), failpoints.COMPLETING: (1,)}
STEPS = [
    *((sink, step, nth) for sink in SINKS for step, times in EVERYWHERE.items() for nth in times),
    *((sink, step, nth) for sink in TABLES for step, times in OF_TABLES.items() for nth in times),
    ("postgres-atomic", failpoints.PUBLISHED, 1),
    *(("sqs", step, nth) for step, times in OF_QUEUES.items() for nth in times),
    *((sink, step, nth) for sink in OBJECT_STORES for step, times in OF_OBJECTS.items() for nth in times),
]
MET_KEYS = [(sink, step, nth) for sink in TABLES for step, times in OF_MET_KEYS.items() for nth in times]
OF_ICEBERG = [
    (sink, step, 1) for sink in ("s3", "azure") for step in (failpoints.PUBLISHING, failpoints.TABLE_COMMITTED)
]
LARGE = [(sink, step, nth) for sink in OBJECT_STORES for step, times in OF_LARGE_PARTS.items() for nth in times]

_CLOSING = {
    failpoints.CHECKED,
    failpoints.PUBLISHED,
    failpoints.PUBLISHING,
    failpoints.TABLE_COMMITTED,
    failpoints.MANIFEST_WRITTEN,
    failpoints.CLEANED,
}
_BEGINNING = {failpoints.CLAIMING, failpoints.CLAIMED, failpoints.OPENED, failpoints.COMPLETE, *OF_LARGE_PARTS}
"""Before anything is committed, and once the load is complete: a complete load is loaded again."""
_BEFORE_COMMIT = {
    failpoints.SPLIT,
    failpoints.PUTTING,
    failpoints.COMMITTING,
    failpoints.PART_UPLOADED,
    failpoints.SENT,
}
"""When they are reached for the first time, nothing is committed."""


def taken_up(sink: str, step: str, nth: int) -> Way:
    """Return how the next attempt takes up a load that was killed at the ``nth`` time of ``step``."""
    # An object store commits its last part after the last record has been read.
    if step in _CLOSING or (step == failpoints.FINISHING and sink not in OBJECT_STORES):
        return "closes"
    return "begins again" if step in _BEGINNING or (step in _BEFORE_COMMIT and nth == 1) else "goes on"


def described() -> dict[str, tuple[str, str]]:
    """Return the constant's name and what is so at each step, in the order of the module."""
    body = ast.parse(Path(str(failpoints.__file__)).read_text()).body
    pairs = itertools.pairwise(body)
    named = [(one.targets[0].id, text.value.value) for one, text in pairs if _is_step(one, text)]  # type: ignore[attr-defined]  # as _is_step found
    return {getattr(failpoints, name): (name, " ".join(said.split())) for name, said in named}


def _is_step(assigned: ast.stmt, text: ast.stmt) -> bool:
    return isinstance(assigned, ast.Assign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)


def kill_table() -> str:
    """Return the table of docs/guarantees.md, as Markdown."""
    ways: dict[str, dict[str, list[Way]]] = {}
    for sink, step, nth in (*STEPS, *MET_KEYS, *LARGE, *OF_ICEBERG):
        ways.setdefault(step, {}).setdefault(sink, []).append(taken_up(sink, step, nth))
    lines = [f"| {' | '.join(['Killed at', *SINKS])} |\n{'|---' * (len(SINKS) + 1)}|\n"]
    for step, (_, said) in described().items():
        cells = [", later ".join(dict.fromkeys(ways[step].get(sink, []))) or "-" for sink in SINKS]
        lines.append(f"| *{step}*: {said} | {' | '.join(cells)} |\n")
    return "".join(lines)
