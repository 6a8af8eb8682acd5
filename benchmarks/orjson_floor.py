"""The floor: ``python -m benchmarks.orjson_floor FILE`` decodes the same records, in memory, with orjson.

No download, no offsets, no contract, no checkpoint: what any pipeline has to pay that looks at the records.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import orjson


def main(path: str) -> None:
    """Decode, and print what that took."""
    lines = Path(path).read_bytes().splitlines()
    cpu, began = time.process_time(), time.perf_counter()
    for line in lines:
        orjson.loads(line)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "cpu": time.process_time() - cpu,
                "bytes": sum(map(len, lines)) + len(lines),
                "records": len(lines),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
