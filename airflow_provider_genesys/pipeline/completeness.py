"""Whether an export holds as many records as Genesys tells."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal, get_args

from airflow_provider_genesys.exceptions import ConfigurationError, IncompleteError

log = logging.getLogger(__name__)

ExpectRecords = Literal["fail", "warn", "ignore"]
"""What a difference does: the load is not marked complete · it is, and the log says so · it is."""


@dataclass(frozen=True)
class Completeness:
    """The comparison of one load.

    :param reported: number of records that Genesys reports; None if it reports no number.
    :raises ConfigurationError: ``expect`` is unknown.
    """

    reported: int | None = None
    expect: ExpectRecords = "warn"

    def __post_init__(self) -> None:
        if self.expect not in get_args(ExpectRecords):
            raise ConfigurationError(f"expect_records is {self.expect!r}; it has to be one of: fail, warn, ignore.")

    def check(self, export_id: str, read: int) -> None:
        """Compare; whatever was read counts, set aside or not.

        :raises IncompleteError: the numbers differ, and ``expect`` is ``fail``.
        """
        if self.reported in (None, read) or self.expect == "ignore":
            return
        message = (
            f"Export {export_id} holds {read} records, but Genesys reports {self.reported}. Look at the export in "
            "Genesys Cloud, and create it again."
        )
        if self.expect == "fail":
            raise IncompleteError(f"{message} Where the difference is meant, set expect_records='warn'.")
        log.warning("%s", message)
