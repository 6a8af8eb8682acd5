"""A pytest fixture.

A ``conftest.py`` makes it known: ``pytest_plugins = ["airflow_provider_genesys.testing.fault_proxy.fixtures"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from airflow_provider_genesys.testing.fault_proxy.proxy import FaultProxy


@pytest.fixture
def fault_proxy() -> Iterator[Callable[..., FaultProxy]]:
    """Start proxies with the arguments of :class:`.FaultProxy`; the test's end closes them."""
    with ExitStack() as stack:

        def start(origin: str, **settings: Any) -> FaultProxy:
            return stack.enter_context(FaultProxy(origin, **settings))

        yield start
