"""What a script does that only pages: ``python -m benchmarks.bare_listing CONNECTION PAGE_SIZE``.

Each page is asked for once, over one connection, and decoded. Nothing is checked and nothing is kept.
"""

from __future__ import annotations

import json
import sys
import time

import httpx


def main() -> None:
    """Page to the end, and print what that took."""
    url, size = json.loads(sys.argv[1])["host"], int(sys.argv[2])
    cpu, began, page, users, read, pages = time.process_time(), time.perf_counter(), 1, 0, 0, 1
    with httpx.Client(base_url=url) as client:
        while page <= pages:
            answer = client.get("/api/v2/users", params={"pageSize": size, "pageNumber": page, "state": "any"})
            body = answer.json()
            users, read = users + len(body["entities"]), read + len(answer.content)
            page, pages = page + 1, body["pageCount"]
    figures = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "bytes": read}
    print(json.dumps({**figures, "records": users}))


if __name__ == "__main__":
    main()
