"""Hands out the pages of the listing ``users``: ``python -m benchmarks.listing_server FOLDER PAGES SIZE``.

As :mod:`.details_server`, whose handler it has: the fake Genesys Cloud makes a page, and each has other ids.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from airflow_provider_genesys.entities.declaration import built_in
from airflow_provider_genesys.testing.fake_genesys.listings import render
from airflow_provider_genesys.testing.fake_genesys.organisation import made
from benchmarks.details_server import Handler, serve

_PAGE = "@@@@@@@@"


class ListingHandler(Handler):
    """Answers what a walk asks."""

    pages_below, page_parameter = "/users", "pageNumber"


def write_pages(folder: Path, pages: int, size: int) -> None:
    """Write the answers, each of the same ``size`` users, with other ids."""
    listing, entries = built_in("users"), [made("users", number) for number in range(size)]
    users = [render(listing, replace(entry, id=_PAGE + entry.id[8:])) for entry in entries]
    counts = {"total": pages * size, "pageCount": pages, "pageSize": size}
    text = json.dumps({"entities": users, **counts})
    for page in range(1, pages + 1):
        (folder / str(page)).write_text(text.replace(_PAGE, f"{page:08}"))


def main() -> None:
    """Write the pages, and serve them."""
    folder = Path(sys.argv[1])
    write_pages(folder, int(sys.argv[2]), int(sys.argv[3]))
    serve(folder, ListingHandler)


if __name__ == "__main__":
    main()
