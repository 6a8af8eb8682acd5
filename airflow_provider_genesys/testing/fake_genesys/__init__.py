"""A Genesys Cloud that runs on this machine, to test DAGs against.

In a test::

    with FakeGenesys(records=50_000, seed=7) as genesys:
        monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", genesys.connection_json())

From a shell: ``python -m airflow_provider_genesys.testing.fake_genesys --help``. The pytest fixture is in
:mod:`.fixtures`. What it imitates and what not: docs/fake-genesys.md.
"""

from airflow_provider_genesys.testing.fake_genesys.archive import Archive, Tally
from airflow_provider_genesys.testing.fake_genesys.exports import Export
from airflow_provider_genesys.testing.fake_genesys.fake import FakeGenesys, Seen
from airflow_provider_genesys.testing.fake_genesys.messages import error_body, missing_permissions

__all__ = ["Archive", "Export", "FakeGenesys", "Seen", "Tally", "error_body", "missing_permissions"]
