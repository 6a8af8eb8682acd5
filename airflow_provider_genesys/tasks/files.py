"""Which YAML files of a worker an argument may name: a contract, or the declaration of a listing.

The author of a DAG may name any file. A template or an XCom may be filled in by people who may only start runs: it
names files below the folder of the DAG, or below the folder that the argument itself begins with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.tasks.connection import dag_folder


def check_file(task: BaseOperator, name: str, value: Any, written: Any) -> None:
    """Check the file that the argument ``name`` names after rendering, if it names one.

    :param written: the argument as the operator was given it, before rendering.
    :raises ConfigurationError: the DAG does not name the file, and it is elsewhere.
    """
    if not isinstance(value, str) or not value.endswith((".yaml", ".yml")):
        return
    if (definition := mapped_arguments(task)) is not None:
        written = definition.get(name)
    if value == written:
        return
    folder = Path(dag_folder(task))
    below = [place.resolve() for place in (folder, *_beginning(folder, written))]
    if not any((folder / value).resolve().is_relative_to(place) for place in below):
        raise ConfigurationError(
            f"{name} became {shown(value)!r} by a template, and files that a template names have to be below "
            f"{' or '.join(map(str, below))}. Put the file there, or write the folder into the DAG before the "
            f"template, e.g. {name}='/opt/contracts/{{{{ params.name }}}}.yaml'."
        )


def mapped_arguments(task: BaseOperator) -> Mapping[str, Any] | None:
    """Return the arguments that the DAG gives to all instances of a mapped task; None if it is not mapped.

    The others come from what the task is mapped over, which may be an XCom.
    """
    dag = task.get_dag()
    return getattr(dag.task_dict.get(task.task_id) if dag else None, "partial_kwargs", None)


def _beginning(folder: Path, written: Any) -> Iterator[Path]:
    """Yield the folder that a template begins with, if any."""
    plain, template, _ = written.partition("{") if isinstance(written, str) else ("", "", "")
    if template and "/" in plain:
        yield folder / plain[: plain.rfind("/") + 1]
