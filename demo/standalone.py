"""An Airflow as one command starts it: ``airflow standalone``, or the API server with its UI alone."""

from __future__ import annotations

from demo.live_airflow import LiveAirflow


class Standalone(LiveAirflow):
    """A whole Airflow as one command starts it."""

    def start_parts(self) -> None:
        """Start the command."""
        self.start("standalone", "standalone")


class ApiServer(LiveAirflow):
    """The UI, to look at what has run. Nothing else runs, so nothing can be started from it."""

    def start_parts(self) -> None:
        """Start the command."""
        self.start("api-server", "api-server")

    def is_healthy(self) -> bool:
        """Tell whether the server answers and reaches its database."""
        health = self._client.get("/api/v2/monitor/health").json()
        return bool(health["metadatabase"]["status"] == "healthy")
