"""Whether an export holds as much as Genesys reports."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal, get_args

from airflow_provider_genesys.exceptions import ConfigurationError, IncompleteError

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
