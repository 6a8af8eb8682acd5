"""Two reasons for a load to fail although all of it was read: too many dead letters, or too few records."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

from airflow_provider_genesys.exceptions import ConfigurationError, DeadLetterBudgetError, IncompleteError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint

RATIO_FROM = 10_000
"""``max_dead_letter_ratio`` is checked once this many records are read, and at the end."""


@dataclass(frozen=True)
class Budget:
    """The limits of one load.

    :param most: dead letters in all; None for any number.
    :param ratio: dead letters as a share of the records read, 0 to 1; None for any share.
    """

    most: int | None
    ratio: float | None

    def check(self, account: Checkpoint | Certificate, *, ended: bool = False) -> None:
        """Raise :class:`DeadLetterBudgetError`, with the three most frequent reasons, if a limit is exceeded.

        :param account: the counts since the load's beginning, over all tries.
        """
        read, dead_letters = account.counts.read, account.counts.dead_letters
        limit = self._passed(read, dead_letters, judged=ended or read >= RATIO_FROM)
        if limit is None:
            return
        reasons = ", ".join(f"{rule} ({count})" for rule, count in Counter(account.rules).most_common(3))
        raise DeadLetterBudgetError(
            f"{dead_letters} of {read} records of export {account.export_id} were rejected, more than {limit} "
            f"allows. Most frequent: {reasons or 'refused by the sink'}. What was committed of them is kept as dead "
            "letters: look at them, correct the contract or raise the limit, and clear the task."
        )

    def _passed(self, read: int, dead_letters: int, *, judged: bool) -> str | None:
        if self.most is not None and dead_letters > self.most:
            return f"max_dead_letters={self.most}"
        if self.ratio is not None and judged and dead_letters > self.ratio * read:
            return f"max_dead_letter_ratio={self.ratio}"
        return None


log = logging.getLogger(__name__)

ExpectRecords = Literal["at_least", "fail", "warn", "ignore"]
"""What happens if the number of records differs from what Genesys reports: fail if records are missing · fail in any
case · log a warning · nothing. A load that fails is not marked complete."""


@dataclass(frozen=True)
class Completeness:
    """Compares what was read with what Genesys reports.

    :param reported: records that Genesys reports; None if it reports none.
    :param reported_bytes: the archive's size that Genesys reports; None if it reports none.
    :raises ConfigurationError: ``expect`` is unknown.
    """

    reported: int | None = None
    expect: ExpectRecords = "at_least"
    reported_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.expect not in get_args(ExpectRecords):
            names = ", ".join(get_args(ExpectRecords))
            raise ConfigurationError(f"expect_records is {self.expect!r}; it has to be one of: {names}.")

    def check(self, export_id: str, read: int, length: int) -> None:
        """Compare. Records read count, rejected ones included.

        :param length: bytes of the unpacked document. The reported size may be that of the packed archive, so only a
            shorter document is an error.
        :raises IncompleteError: there is less than ``expect`` asks for.
        """
        found = [("records", read, self.reported), ("bytes", length, self.reported_bytes)]
        missing = [
            f"{has} of {reported} {what}" for what, has, reported in found if reported is not None and has < reported
        ]
        if self.expect == "ignore" or (self.reported in (None, read) and not missing):
            return
        holds = " and ".join(missing) or f"{read} records instead of the {self.reported}"
        message = (
            f"Export {export_id} holds {holds} that Genesys reports. Look at the export in Genesys Cloud, and clear "
            "the create task to have it made again."
        )
        if self.expect == "fail" or (self.expect == "at_least" and missing):
            raise IncompleteError(f"{message} Where the difference is meant, set expect_records='warn'.")
        log.warning("%s", message)
