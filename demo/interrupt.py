"""Ctrl-C and SIGTERM: they end what runs, once and without a traceback."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType

CODE = 130
"""What a shell takes for: interrupted."""


def run(main: Callable[[], int]) -> None:
    """Exit with what ``main`` returns. It should import what takes long by itself."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, _interrupt)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped", flush=True)
        sys.exit(CODE)


def _interrupt(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - what signal.signal calls
    # A second Ctrl-C must not interrupt the end of the services.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt
