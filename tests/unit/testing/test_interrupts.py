"""Ctrl-C: a line, the exit code 130, no traceback, and no process that is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest


@pytest.mark.parametrize("module", ["demo", "demo.up"])
def test_an_interrupt_ends_everything_without_a_traceback(module: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", module],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        said = process.stdout.readline()
        assert "starting a fake Genesys Cloud" in said
        begun = psutil.Process(process.pid).children(recursive=True)
        for _ in range(2):  # people press it twice
            os.killpg(process.pid, signal.SIGINT)
        said += process.stdout.read()
        assert process.wait() == 130, said
    assert "Traceback" not in said
    assert psutil.wait_procs(begun, timeout=60)[1] == []
