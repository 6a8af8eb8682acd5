"""What a dead letter says of its load, so that a replay can stand in for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_genesys.pipeline.contract import Contract
from airflow_provider_genesys.pipeline.replay import Window
from airflow_provider_genesys.sinks.base import Load


@dataclass(frozen=True)
class LetterFacts:
    """The load that a letter is of."""

    load_id: str
    shard: int
    export_id: str
    kind: str
    window_start: datetime
    window_end: datetime
    submitted_at: datetime

    def meets(self, window: Window) -> bool:
        """Whether the load is to be replayed."""
        return self.window_end > window.since and self.window_start < window.until

    def load(self, contract_of: Callable[[str], Contract], run_id: str) -> Load:
        """Return the load, as it is replayed through today's contract."""
        return Load(**vars(self), contract=contract_of(self.kind), run_id=run_id)


def facts_of(letter: Mapping[str, Any]) -> LetterFacts:
    """Return what ``letter``, as JSON has it, says.

    :raises msgspec.ValidationError: it is no dead letter.
    """
    return msgspec.convert(letter, LetterFacts)
