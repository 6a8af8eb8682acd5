"""What :class:`airflow_provider_genesys.pipeline.sink.Sink` promises, as tests for any sink.

::

    from airflow_provider_genesys.testing.sink_conformance import Contents, SinkConformance

    class MyPlace:
        def make_sink(self):
            return MySink(...)

        def read_back(self, load):
            return Contents(rows=[...], dead_letters=[...])

    class TestMySink(SinkConformance):
        @pytest.fixture
        def place(self, tmp_path):
            return MyPlace(tmp_path)

docs/custom-sink.md shows it whole, with a sink to go with it.
"""

import pytest

# Before the suite is imported: it is no test module, and its asserts would say nothing but False.
pytest.register_assert_rewrite(f"{__name__}.suite")

from airflow_provider_genesys.testing.sink_conformance.place import Contents, Place  # noqa: E402 - see above
from airflow_provider_genesys.testing.sink_conformance.source import LENGTH, PART_SIZE  # noqa: E402 - see above
from airflow_provider_genesys.testing.sink_conformance.suite import SinkConformance  # noqa: E402 - see above

__all__ = ["LENGTH", "PART_SIZE", "Contents", "Place", "SinkConformance"]
