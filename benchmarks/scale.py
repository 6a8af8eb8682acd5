"""How much ``./run bench`` measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """How much is measured. Sizes in MB, 10**6 bytes of the unpacked document."""

    megabytes: int
    runs: int
    largest: int
    """Of the archive that shows whether memory grows."""
    slow: int
    """Of the archives on a slow link and into a slow sink, each at 1 MB/s."""
    pages: int
    """Cursor pages, of :data:`PAGE_SIZE` conversations each."""
    aggregates: int
    """Pages of 20,000 rows."""
    listing: int
    """Pages of :data:`USERS` users."""
    media: int
    """Files of 1 to 5 MB."""
    messages: float
    """MB of records that are sent as messages: moto, not the client, is what takes the time."""
    parses: int
    """Times that each DAG is parsed, an Airflow started for each."""


PAGE_SIZE = 200
USERS = 500
FULL = Scale(
    megabytes=1_000,
    runs=5,
    largest=5_000,
    slow=40,
    pages=400,
    aggregates=50,
    listing=400,
    media=1_000,
    messages=1,
    parses=5,
)
QUICK = Scale(
    megabytes=50, runs=3, largest=300, slow=5, pages=40, aggregates=10, listing=40, media=100, messages=0.2, parses=1
)
