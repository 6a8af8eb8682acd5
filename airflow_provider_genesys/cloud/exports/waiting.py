"""When to poll an export again, and when to give up. The trigger and the sensor's loop on the worker share this."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow_provider_genesys.cloud.exports.base import ExportState, ExportStatus
from airflow_provider_genesys.exceptions import CloudUnavailableError, GenesysError
from airflow_provider_genesys.retries import pause
from airflow_provider_genesys.times import now

MAX_ERRORS = 30
"""A wait gives up after this many errors in a row: about half an hour at a pause of one minute."""

RATE_LIMITED = 429


def seconds_left(deadline: datetime) -> float:
    """Return the seconds until ``deadline`` (aware); negative if it has passed."""
    return (deadline - now()).total_seconds()


class Watch:
    """One wait for one export: holds the number of polls, the last status, and the number of errors in a row.

    :param first: seconds before the first poll, see :func:`.retries.pause`.
    :param longest: the longest pause between two polls, in seconds.
    :param log: a logger of ``logging`` or of Airflow. It gets each change of state or progress once.
    """

    def __init__(self, export_id: str, first: float, longest: float, log: Any) -> None:
        self.export_id = export_id
        self.seen = ""
        self._progress: float | None = None
        self._first = first
        self._longest = longest
        self._log = log
        self._polls = 0
        self._errors = 0
        self._retry_after = 0.0

    def pause(self) -> float:
        """Return the seconds to sleep before the next poll, at least as long as Genesys' last error asked for."""
        seconds = max(pause(self._polls, self._first, self._longest), self._retry_after)
        self._polls += 1
        self._retry_after = 0.0
        return seconds

    def ended(self, status: ExportStatus) -> bool:
        """Note a status; return whether the export has ended, well or badly."""
        self._errors = 0
        if (status.raw_state, status.progress) != (self.seen, self._progress):
            self.seen, self._progress = status.raw_state, status.progress
            self._tell(status)
        return status.state.terminal

    def _tell(self, status: ExportStatus) -> None:
        if status.state is ExportState.UNKNOWN:
            self._log.warning(
                "Genesys reports state %r for export %s, which this release does not know. Still waiting.",
                status.raw_state,
                self.export_id,
            )
        else:
            progress = "" if status.progress is None else f", {status.progress:g} %"
            reason = f" {status.message}" if status.message else ""
            self._log.info("Export %s is %s%s.%s", self.export_id, status.raw_state, progress, reason)

    def tolerates(self, error: GenesysError) -> bool:
        """Note an error. Return True if it may be temporary and fewer than :data:`MAX_ERRORS` came in a row.

        A 429 is not counted: it is not a failure, and the deadline limits the wait.
        """
        if not isinstance(error, CloudUnavailableError):
            return False
        self._retry_after = error.retry_after or 0.0
        self._errors += error.status != RATE_LIMITED
        if self._errors >= MAX_ERRORS:
            return False
        self._log.warning("Export %s: %s Asking again (%d of %d).", self.export_id, error, self._errors, MAX_ERRORS)
        return True
