"""A pytest fixture.

A ``conftest.py`` makes it known: ``pytest_plugins = ["airflow_provider_genesys.testing.fake_genesys.fixtures"]``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_genesys.testing.fake_genesys.fake import FakeGenesys


@pytest.fixture
def fake_genesys(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGenesys]:
    """Run a fake Genesys Cloud for one test, with the connection ``genesys_default`` leading to it.

    Change its settings before the export is created, e.g. ``fake_genesys.records = 50_000``.
    """
    with FakeGenesys() as genesys:
        monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", genesys.connection_json())
        yield genesys
