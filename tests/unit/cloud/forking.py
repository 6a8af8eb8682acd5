"""A forked child of the test's process, as Airflow makes them for tasks."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

LONGEST = 20
"""Seconds after which a child that hangs ends."""


class Forked:
    """Do ``work`` in a forked child; :meth:`result` is what it returns, which has to be JSON."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._read, write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _be_child(work, write)
        os.close(write)

    def result(self) -> Any:
        with os.fdopen(self._read) as pipe:
            text = pipe.read()
        _, status = os.waitpid(self._pid, 0)
        assert status == 0, f"the child ended with status {status}"
        return json.loads(text)


def _be_child(work: Callable[[], Any], write: int) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LONGEST)
    code = 1
    try:
        with os.fdopen(write, "w") as pipe:
            json.dump(work(), pipe)
        code = 0
    except BaseException:  # noqa: BLE001 -- nothing of pytest may go on in the child
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)
