"""The steps of a load, by name, so that it can be killed at each of them.

What a crash leaves behind depends on the step at which it happens. The steps that matter are microseconds apart:
between a part and its ledger entry, between the last statement and COMMIT. No timer hits them reliably. So the code
calls :func:`failpoint` at each step; the crash tests replace :data:`hook` in a child process and kill that the n-th
time a step is reached. In production :data:`hook` is an empty function.
"""

from __future__ import annotations

from collections.abc import Callable

CLAIMING = "claiming"
"""The tables and the new fence are written but not committed. PostgreSQL."""
CLAIMED = "claimed"
"""The ledger has the new fence; leftovers of earlier attempts are still there. Object stores."""
OPENED = "opened"
"""The sink has returned the checkpoint to continue from."""
SPLIT = "split"
"""A slice of whole records was read from the archive."""
WRITING = "writing"
"""The sink is given a batch."""
TAKEN_BACK = "taken back"
"""Rows that could not be copied into the table are taken back, e.g. since one has a key that the table has. They are to
be upserted. PostgreSQL."""
LANDED = "landed"
"""The rows of a commit are in the table; its dead letters and its checkpoint are not written. PostgreSQL."""
GATHERED = "gathered"
"""A batch is in the part but not committed. Object stores."""
COMMITTING = "committing"
"""A commit is about to begin. PostgreSQL: all is written, COMMIT comes next."""
PUTTING = "putting"
"""An object is about to be written in one request. Object stores."""
PIECE_SENT = "piece sent"
"""One piece of a large part has been sent. Object stores."""
COMPLETING = "completing"
"""All pieces of a large part have been sent, to Google all but the last; it is not visible yet. Object stores."""
PART_UPLOADED = "part uploaded"
"""A part is visible, and its ledger entry does not exist yet. Object stores."""
LEDGER_WRITTEN = "ledger written"
"""A ledger entry was written; its writer has no answer yet. Object stores."""
SENT = "sent"
"""The messages of a batch are in the queue; the checkpoint is not written. Queues."""
COMMITTED = "committed"
"""The sink has committed a batch; the loop does not know yet."""
REPORTED = "reported"
"""A committed checkpoint has been reported to the watcher."""
FINISHING = "finishing"
"""All batches are with the sink; the load is not complete."""
PUBLISHED = "published"
"""The staged rows are in the table but not committed. PostgreSQL with publish="atomic"."""
CHECKED = "checked"
"""The account agrees with the target; the load is not complete."""
PUBLISHING = "publishing"
"""The parts are all there; the commit to an Iceberg table comes next. Object stores with publish_to_iceberg."""
TABLE_COMMITTED = "table committed"
"""An Iceberg table has the load; the load is not complete. Object stores with publish_to_iceberg."""
MANIFEST_WRITTEN = "manifest written"
"""The manifest is written; objects that it does not list still exist. Object stores."""
CLEANED = "cleaned"
"""Objects that the manifest does not list are removed; the ledger does not say complete. Object stores."""
COMPLETE = "complete"
"""The sink has marked the load complete; the task has not ended."""


def _nobody_listens(step: str) -> None:
    pass


hook: Callable[[str], None] = _nobody_listens


def failpoint(step: str) -> None:
    """Mark that the load has reached ``step``, one of the constants above."""
    hook(step)
