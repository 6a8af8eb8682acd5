"""Why a load fails although all of it was read: too many dead letters, or not as many records as Genesys reports."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

from airflow_provider_genesys.exceptions import ConfigurationError, DeadLetterBudgetError, IncompleteError
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
"""What a difference does: the load is not marked complete where records are missing · where their number differs ·
it is, and the log says so · it is."""


@dataclass(frozen=True)
class Completeness:
    """The comparison of one load.

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
        """Compare; whatever was read counts, set aside or not.

        :param length: bytes of the unpacked document. It is compared with the reported size, which may be packed or
            not: a document that is shorter is not the whole.
        :raises IncompleteError: there is less than ``expect`` asks for.
        """
        found = [("records", read, self.reported), ("bytes", length, self.reported_bytes)]
        missing = [f"{has} of {tells} {what}" for what, has, tells in found if tells is not None and has < tells]
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
