"""What is kept of a record that was set aside."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DeadLetter:
    """A record that could not be read or breaks the contract.

    ``raw`` are its exact bytes (up to the record-size cap), ``offset`` the place of its first byte in the unpacked
    archive. ``stage`` is ``source`` (Genesys itself tells of a failure), ``split``, ``decode``, ``contract`` or
    ``sink``; ``rule`` a short stable name, ``message`` free of values.
    """

    offset: int
    raw: bytes
    stage: str
    rule: str
    message: str
