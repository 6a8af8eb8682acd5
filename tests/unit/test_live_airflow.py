"""How the Airflow of the demo and of tests is started and stopped, where that goes wrong."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from demo.live_airflow import LiveAirflow


class Broken(LiveAirflow):
    """Its Python does not start."""

    def start_parts(self) -> None:
        self.start("one", "scheduler", PYTHONHOME=str(self.home))


class Half(LiveAirflow):
    """Its second part does not start."""

    def start_parts(self) -> None:
        self.start("one", "scheduler")
        self.session = self._parts["one"].pid
        raise LookupError("the second part is missing")


def running(session: int) -> list[psutil.Process]:
    """Return what lives of a session."""
    found = []
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):  # it has ended meanwhile
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def test_a_part_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    services = SimpleNamespace(home=tmp_path, environment=lambda: dict(os.environ))
    with Broken(services) as airflow, pytest.raises(RuntimeError, match=r"one ended with code 1:(.|\n)*encodings"):
        airflow.wait()


def test_parts_are_ended_where_another_one_does_not_start(tmp_path: Path) -> None:
    services = SimpleNamespace(home=tmp_path, environment=lambda: dict(os.environ))
    airflow = Half(services)
    with pytest.raises(LookupError), airflow:
        pass
    assert (tmp_path / "one.log").exists()
    assert not running(airflow.session)
