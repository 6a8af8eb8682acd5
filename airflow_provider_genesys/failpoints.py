"""The steps of a load, by name, so that it can be killed at each of them.

What a crash leaves behind depends on the step that it strikes, and those that matter lie microseconds apart: between a
part and its ledger entry, between the last statement and COMMIT. No timer meets them reliably. So the code says where
it is; the crash tests replace :data:`hook` in a child process and kill that at the n-th time a step is reached.
In production nothing is listening, and a step costs the call of an empty function.
"""

from __future__ import annotations

from collections.abc import Callable

CLAIMING = "claiming"
"""The tables and the new fence are written, and not committed. PostgreSQL."""
CLAIMED = "claimed"
"""The ledger has the new fence; leftovers of earlier attempts are still there. Object stores."""
OPENED = "opened"
"""The sink has said where to go on."""
SPLIT = "split"
"""A slice of whole records has come out of the archive; the first of them follows the first bytes."""
WRITING = "writing"
"""The sink has a batch before it."""
GATHERED = "gathered"
"""A batch is in the part, and not committed. Object stores."""
COMMITTING = "committing"
"""A commit is about to begin. PostgreSQL: all is written, COMMIT comes next."""
PUTTING = "putting"
"""An object is about to be written at once. Object stores."""
PIECE_SENT = "piece sent"
"""One piece of a large part has been sent. Object stores."""
COMPLETING = "completing"
"""All pieces of a large part have been sent; it does not appear yet. Object stores."""
PART_UPLOADED = "part uploaded"
"""A part is visible, and its ledger entry does not exist yet. Object stores."""
LEDGER_WRITTEN = "ledger written"
"""A ledger entry is there; anyone who wrote it does not know yet. Object stores."""
SENT = "sent"
"""The messages of a batch are in the queue; the checkpoint does not know. Queues."""
COMMITTED = "committed"
"""The sink has committed a batch; nobody knows of it yet."""
REPORTED = "reported"
"""A committed checkpoint has been reported to the watcher."""
FINISHING = "finishing"
"""All batches are with the sink; the load is not complete."""
PUBLISHED = "published"
"""What was loaded beside the table is in it, and not committed. PostgreSQL with publish="atomic"."""
CHECKED = "checked"
"""The account agrees with what is there; the load is not complete."""
MANIFEST_WRITTEN = "manifest written"
"""The manifest lists the parts; what it does not list is still there. Object stores."""
CLEANED = "cleaned"
"""What the manifest does not list is gone; the ledger does not say complete. Object stores."""
COMPLETE = "complete"
"""The sink has marked the load complete; the task has not ended."""


def _nobody_listens(step: str) -> None:
    pass


hook: Callable[[str], None] = _nobody_listens


def failpoint(step: str) -> None:
    """Say that the load has come to ``step``, one of the constants above."""
    hook(step)
