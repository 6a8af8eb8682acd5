"""An Airflow as it scales past one machine: each part on its own, CeleryExecutor, a Redis, two workers."""

from __future__ import annotations

import secrets
import subprocess
import sys

from celery import Celery
from cryptography.fernet import Fernet

from airflow_provider_genesys.testing.services import RedisServer
from demo.embedded import Embedded
from demo.live_airflow import LiveAirflow

PARTS = ("scheduler", "dag-processor", "api-server", "triggerer")
WORKERS = ("worker-1", "worker-2")
SETTINGS = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    # Of a machine that is gone nobody reports the end of its tasks; the scheduler misses their heartbeat, here early.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    # Tests trigger the runs that they want.
    "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "172800",
    # Both workers are on this machine: the name of the environment's user stands for that of the machine.
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "getpass.getuser",
}


class CeleryAirflow(LiveAirflow):
    """Its workers take one task at a time, and give their own names as their hosts'."""

    def __init__(self, services: Embedded, broker: RedisServer) -> None:
        metadata = services.metadata_dsn.replace("postgresql://", "db+postgresql+psycopg2://")
        own = {
            "AIRFLOW__CELERY__BROKER_URL": broker.url,
            "AIRFLOW__CELERY__RESULT_BACKEND": metadata,
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        }
        super().__init__(services, SETTINGS | own)
        self._broker = broker

    def start_parts(self) -> None:
        """Start everything that a production deployment has."""
        migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
        done = subprocess.run(migrate, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"airflow db migrate failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        for part in PARTS:
            self.start(part, part)
        for worker in WORKERS:
            self._start_worker(worker)

    def is_healthy(self) -> bool:
        """Tell whether the workers answer, too."""
        return super().is_healthy() and self.workers() == {f"celery@{worker}" for worker in WORKERS}

    def workers(self) -> set[str]:
        """Return the Celery names of the workers that answer."""
        with Celery(broker=self._broker.url) as app:
            answers = app.control.ping(timeout=1)
        return {name for answer in answers for name in answer}

    def _start_worker(self, name: str) -> None:
        place = ["--celery-hostname", f"celery@{name}", "--pid", str(self.home / f"{name}.pid")]
        alone = ["--concurrency", "1", "--skip-serve-logs", "--without-mingle", "--without-gossip"]
        self.start(name, "celery", "worker", *place, *alone, LOGNAME=name)
