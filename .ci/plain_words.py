"""Words that make a reader stop: found in the package and in docs/, they fail the lint.

Each has a plain word in its place; an exception needs its reason here.
"""

# ruff: noqa: INP001 - a script, not a package
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTEAD = {
    "anew": "again",
    "whoever": "anyone who, the caller",
    "told": "reported, described, asked",
    "of its own": "its own, separate",
    "so many": "that many",
    "lies in": "is in",
    "stands": "is, represents",
    "mended": "repaired, corrected",
    "set aside": "rejected, becomes a dead letter",
}
WORDS = re.compile(rf"\b({'|'.join(INSTEAD)})\b", re.IGNORECASE)
EXCEPTIONS = {
    ("docs/dead-letters.md", "mended"): "a field of the replay's account, which DAGs read",
    ("airflow_provider_genesys/operators/dead_letters.py", "mended"): "as above",
    ("airflow_provider_genesys/pipeline/replay.py", "mended"): "as above",
}


def found() -> list[str]:
    """Return a line for each riddle, with its place."""
    listed = ["git", "ls-files", "airflow_provider_genesys/*.py", "airflow_provider_genesys/*.yaml", "docs/*.md"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603 - fixed
    return [
        f"{name}:{number}: {match[0]!r} ({INSTEAD[match[0].lower()]})"
        for name in names
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1)
        for match in WORDS.finditer(line)
        if (name, match[0].lower()) not in EXCEPTIONS
    ]


if __name__ == "__main__":
    sys.exit("\n".join(found()) or 0)
