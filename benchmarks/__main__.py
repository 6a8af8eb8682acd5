"""``./run bench``: the whole path against its peers, with contract, exact drift, dead letters and offsets on.

It makes its archives, serves them from a process that costs next to nothing, and runs each figure in processes of
their own, ours and the peer's in turn. The table is Markdown; ``--write`` puts it into ``docs/performance.md``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.archives import shelf
from benchmarks.report import header, line, table, write
from benchmarks.result import Result
from benchmarks.rows import ROWS
from benchmarks.scale import FULL, QUICK


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="50 MB and three runs instead of 1 GB and five")
    parser.add_argument("--row", choices=ROWS, action="append", help="only this row; may be given again")
    parser.add_argument("--write", action="store_true", help="put what is measured into docs/performance.md")
    chosen = parser.parse_args()
    if chosen.write and chosen.quick:
        parser.error("--write is for what is measured at full size; leave out --quick")
    scale = QUICK if chosen.quick else FULL
    results, failed = list[Result](), list[str]()
    with shelf() as archives:
        for name in chosen.row or ROWS:
            print(f"measuring {name}", flush=True)
            try:
                for found in ROWS[name](archives, scale):
                    print(line(found), flush=True)
                    results.append(found)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # the others took long
                print(f"{name} failed: {error}", file=sys.stderr, flush=True)
                failed.append(name)
    print(f"\n{header(scale)}\n\n{table(results)}")
    if chosen.write:
        write(results, scale)
    if failed:
        sys.exit(f"Not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
