"""How many records may be set aside before a load is a failure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from airflow_provider_genesys.exceptions import DeadLetterBudgetError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint

RATIO_FROM = 10_000
"""A share is judged from this many records on, and at the end."""


@dataclass(frozen=True)
class Budget:
    """The limits of one load.

    :param most: dead letters in all; None for any number.
    :param ratio: dead letters as a share of the records read, 0 to 1; None for any share.
    """

    most: int | None
    ratio: float | None

    def check(self, account: Checkpoint | Certificate, *, ended: bool = False) -> None:
        """Raise :class:`DeadLetterBudgetError`, with the three most frequent reasons, where a limit is passed.

        :param account: how far the load has come, with its account since its beginning, over all tries; or all of it.
        """
        read, dead_letters = account.counts.read, account.counts.dead_letters
        limit = self._passed(read, dead_letters, judged=ended or read >= RATIO_FROM)
        if limit is None:
            return
        reasons = ", ".join(f"{rule} ({count})" for rule, count in Counter(account.rules).most_common(3))
        raise DeadLetterBudgetError(
            f"{dead_letters} of {read} records of export {account.export_id} were set aside, more than {limit} "
            f"allows. Most frequent: {reasons or 'refused by the sink'}. What was committed of them is kept as dead "
            "letters: look at them, mend the contract or raise the limit, and clear the task."
        )

    def _passed(self, read: int, dead_letters: int, *, judged: bool) -> str | None:
        if self.most is not None and dead_letters > self.most:
            return f"max_dead_letters={self.most}"
        if self.ratio is not None and judged and dead_letters > self.ratio * read:
            return f"max_dead_letter_ratio={self.ratio}"
        return None
