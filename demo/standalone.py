"""``airflow standalone``: API server, scheduler, DAG processor, triggerer, LocalExecutor."""

from __future__ import annotations

from demo.live_airflow import LiveAirflow


class Standalone(LiveAirflow):
    """A whole Airflow as one command starts it."""

    def start_parts(self) -> None:
        """Start the command."""
        self.start("standalone", "standalone")
