"""A server that answers in a store's place what a test scripts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.cloud.scripted_server import ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Answers over HTTP on a free port."""
    running = ScriptedServer()
    yield running
    running.close()
