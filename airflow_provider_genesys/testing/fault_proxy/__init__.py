"""A proxy that breaks answers on purpose, to test a load with a network or a store that misbehaves.

In a test::

    with FakeGenesys() as genesys, FaultProxy(genesys.url) as proxy:
        proxy.plan(Fault(after=100_000), Fault(status=503, body=b""), path="/archive/")
        connection = genesys.connection() | {"host": proxy.url}

From a shell: ``python -m airflow_provider_genesys.testing.fault_proxy --help``. The pytest fixture is in
:mod:`.fixtures`. Every fault, with examples: docs/fault-proxy.md.
"""

from airflow_provider_genesys.testing.fault_proxy.fault import Fault, s3_error
from airflow_provider_genesys.testing.fault_proxy.listener import Seen
from airflow_provider_genesys.testing.fault_proxy.proxy import FaultProxy

__all__ = ["Fault", "FaultProxy", "Seen", "s3_error"]
