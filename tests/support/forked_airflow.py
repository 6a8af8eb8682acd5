"""The command ``airflow``, whose ``standalone`` forks its parts: each would take seconds to import what it needs.

At SIGUSR1 it forks another triggerer.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any

IMPORTED = (
    "airflow.api_fastapi.core_api.app",
    "airflow.api_fastapi.execution_api.app",
    "airflow.cli.commands.api_server_command",
    "airflow.cli.commands.dag_processor_command",
    "airflow.cli.commands.scheduler_command",
    "airflow.cli.commands.triggerer_command",
    "airflow.dag_processing.bundles.local",
    "airflow.dag_processing.manager",
    "airflow.dag_processing.processor",
    "airflow.executors.local_executor",
    "airflow.providers.amazon.aws.hooks.s3",
    "airflow.providers.postgres.hooks.postgres",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow_provider_genesys.cloud.http.shared",
    "airflow_provider_genesys.hooks.genesys",
    "airflow_provider_genesys.operators.export",
    "airflow_provider_genesys.operators.verify",
    "airflow_provider_genesys.pipeline.run",
    "airflow_provider_genesys.sensors.export",
    "airflow_provider_genesys.sinks.postgres.sink",
    "airflow_provider_genesys.sinks.s3",
    "airflow_provider_genesys.source.download",
    "airflow_provider_genesys.transfers.genesys_to_postgres",
    "airflow_provider_genesys.transfers.genesys_to_s3",
    "jinja2.ext",
)


class Part:
    """Takes the place of the class that starts ``airflow <command>`` in a process and copies what it prints."""

    def __init__(self, _: object, *, name: str, command: list[str], env: dict[str, str]) -> None:
        self.name, self.command = name, command
        self._pid = 0

    def start(self) -> None:
        sys.stdout.flush()
        self._pid = os.fork()
        if self._pid:
            return
        from airflow.__main__ import main
        from setproctitle import setproctitle

        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        setproctitle(f"airflow {self.name}")
        sys.argv[1:] = self.command
        try:
            main()
        finally:
            sys.stdout.flush()
            os._exit(0)

    def stop(self) -> None:
        os.kill(self._pid, signal.SIGTERM)

    def join(self) -> None:
        os.waitpid(self._pid, 0)


def import_all() -> None:
    for name in IMPORTED:
        with suppress(ImportError):  # an older Airflow has not all of it
            import_module(name)
    for package in ("airflow._shared", "airflow.sdk._shared"):
        with suppress(ImportError, AttributeError):
            # Each process, also that of a task, would read the list of all metrics, which takes two seconds.
            import_module(f"{package}.observability.metrics.stats")._get_registry()
    with suppress(ImportError, AttributeError):
        make_execution_api()
    gc.freeze()  # else the first collection in each fork would copy every page


def speak_new_versions() -> None:
    """Let the application that serves tasks have the newest versions of its routes: all nine take six seconds to make.

    The newest two bring back what was moved, without which the routes cannot be made.
    """
    from airflow.api_fastapi.execution_api import versions
    from cadwyn import HeadVersion, Version, VersionBundle

    *new, oldest = versions.bundle.versions[:3]
    for change in (change for version in new for change in version.changes):
        change._bound_version_bundle = None
    versions.bundle = VersionBundle(HeadVersion(), *new, Version(oldest.value))


def make_execution_api() -> None:
    """Make the application that serves tasks, of which each process but the scheduler has one.

    On a busy machine a first request that has to wait for it would run into its time limit.
    """
    from airflow.api_fastapi import app as whole
    from airflow.api_fastapi.execution_api import app

    speak_new_versions()

    made: Any = app.create_task_execution_api_app()
    made._cadwyn_initialize()

    def of_this_process(lifespan: Any = app.lifespan) -> Any:
        made.router.lifespan_context = lifespan
        return made

    app.create_task_execution_api_app = whole.create_task_execution_api_app = of_this_process


def main() -> None:
    import yaml
    from airflow.__main__ import main

    yaml.safe_load = partial(yaml.load, Loader=yaml.CSafeLoader)
    if sys.argv[1:] == ["standalone"]:
        from airflow.cli.commands import standalone_command

        import_all()
        standalone_command.SubCommand = Part  # type: ignore[misc, assignment]
        another = Part(None, name="triggerer", command=["triggerer"], env={})
        signal.signal(signal.SIGUSR1, lambda *_: another.start())
    main()


if __name__ == "__main__":
    main()
