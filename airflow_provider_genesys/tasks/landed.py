"""Archives landed in the user's own object store: where they may be read from, and their handles.

A location may come from an XCom or a run's parameters, which many people may write. It is read only below a folder that
the DAG itself names: ``source_prefix`` of the operator, the text of ``handle`` up to its first template, or the bucket
and prefix of a task upstream that lands archives.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.object_store import folder_of, open_folder
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.tasks.files import mapped_arguments

if TYPE_CHECKING:
    from airflow_provider_genesys.source.base import Archive
    from airflow_provider_genesys.source.position import Identity
    from airflow_provider_genesys.stores.base import ObjectStore

log = logging.getLogger(__name__)

LOCATION = "landed_at"
"""Key in the handle of a landed archive: the URL of its folder."""

_TARGETS = (
    ("s3", "s3_bucket", "s3_prefix"),
    ("az", "container_name", "blob_prefix"),
    ("gs", "gcs_bucket", "gcs_prefix"),
)
_URL = re.compile(r"((?:s3|az|gs)://[^/{]+)(?:/(.*))?", re.DOTALL)


@dataclass(frozen=True)
class LandedArchives:
    """Reads landed archives, below the folders that the DAG names.

    :param conn_id: the connection to the store; None for the default of its kind.
    :param below: URLs of folders; only locations below them are read.
    """

    conn_id: str | None
    below: tuple[str, ...] = ()

    def handle(self, url: str) -> dict[str, Any]:
        """Return the handle of the archive landed at ``url``, from its manifest.

        :raises ConfigurationError: it is below no folder that the DAG names.
        :raises SourceRefusedError: no archive was landed there.
        """
        from airflow_provider_genesys.source.landed import find_landed

        return {**find_landed(*self._open(url)).handle, LOCATION: url}

    def archive(self, url: str, known: Identity) -> Archive:
        """Return the archive landed at ``url``. Its identity has to be ``known``.

        Raises as :meth:`handle` does.
        """
        from airflow_provider_genesys.source.landed import LandedArchive, find_landed

        store, folder = self._open(url)
        return LandedArchive(store, find_landed(store, folder), identity=known)

    def _open(self, url: str) -> tuple[ObjectStore, str]:
        if not any(_is_in(url, place) for place in self.below):
            named = f"only {', '.join(self.below)}" if self.below else "no such place"
            raise ConfigurationError(
                f"The handle leads to {url!r:.300}, and the DAG names {named}. If archives are to be read from there, "
                "set source_prefix of this operator, e.g. source_prefix='s3://lake/genesys/raw/'."
            )
        return open_folder(url, self.conn_id)


NOWHERE = LandedArchives(None)


def landed_archives(
    task: BaseOperator, named: tuple[str | None, str | None], conn_id: str | None, upstream: Sequence[str]
) -> LandedArchives:
    """Return the landed archives that ``task`` may read, by the folders that its DAG names.

    :param named: ``source_prefix`` and ``handle`` as they were before rendering.
    :param upstream: ids of the tasks upstream.
    """
    dag = task.get_dag()
    tasks = dag.task_dict if dag else {}
    # A mapped task's arguments may come from an XCom; its definition in the DAG does not.
    definition = getattr(tasks.get(task.task_id), "partial_kwargs", None)
    own = named if definition is None else (definition.get("source_prefix"), definition.get("handle"))
    raw = (tasks[one] for one in upstream if one in tasks and _arguments(tasks[one]).get("output_format") == "raw")
    found = [*own, *_targets(raw)]
    return LandedArchives(conn_id, tuple(dict.fromkeys(place for text in found if (place := _named(text)))))


def check_location(task: BaseOperator, url: str, below: str | None, written: Any, context: Context) -> None:
    """Check that a load's location, which may come from an XCom, is where the DAG says that loads are.

    That is below the folders of the loading tasks upstream. A bucket that is a template there is rendered for this
    run, as it was for those tasks.

    :param below: URL of a folder, as the DAG names it; it takes the place of those of the tasks upstream.
    :param written: the certificate as the operator was given it. The DAG may name one itself.
    :raises ConfigurationError: it is elsewhere, or the DAG names no place.
    """
    if isinstance(written, Mapping) and written.get("location") == url and mapped_arguments(task) is None:
        return
    given = [below] if below else _targets(_upstream(task), partial(_rendered, task, context))
    places = [place for text in given if (place := _named(text))]
    if not any(_is_in(url, place) for place in places):
        named = f"only {', '.join(places)}" if places else "no place of loads"
        raise ConfigurationError(
            f"The certificate leads to {shown(url)!r}, and the DAG names {named}. If the load is to be read there, set "
            "below of this operator, e.g. below='s3://lake/genesys/'."
        )


def _upstream(task: BaseOperator) -> list[Any]:
    """Return the tasks upstream of ``task``, or their definitions if they are mapped."""
    dag = task.get_dag()
    return [dag.task_dict[one] for one in sorted(task.get_flat_relative_ids(upstream=True))] if dag else []


def _rendered(task: BaseOperator, context: Context, bucket: Any) -> Any:
    """Return what a bucket of a task upstream is in this run; None if that cannot be said."""
    try:
        return task.render_template(bucket, context)
    except Exception as error:  # noqa: BLE001 - a template may run any code; the error that follows says what to do
        log.warning("The bucket %s cannot be rendered: %s", shown(bucket, 80), shown(error))
        return None


def _is_in(url: str, place: str) -> bool:
    from airflow_provider_genesys.stores.base import is_below

    scheme, bucket, folder = folder_of(url)
    own = folder_of(place)
    return (scheme, bucket) == own[:2] and is_below(folder, own[2])


def _arguments(task: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(task, "partial_kwargs", None) or vars(task)
    return found


def _targets(tasks: Iterable[Any], rendered: Callable[[Any], Any] = lambda bucket: bucket) -> Iterator[str]:
    """Yield the folders that tasks load into, as written in the DAG.

    :param rendered: makes the name of a bucket of what is written.
    """
    for task in tasks:
        arguments = _arguments(task)
        for scheme, bucket, prefix in _TARGETS:
            name = rendered(arguments[bucket]) if arguments.get(bucket) else None
            if name:
                yield f"{scheme}://{name}/{str(arguments.get(prefix) or '').strip('/')}/"


def _named(text: Any) -> str | None:
    """Return the folder that ``text`` names, up to its first template; None if it names no bucket."""
    found = _URL.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    plain, template, _ = (found[2] or "").partition("{")
    return f"{found[1]}/{plain[: plain.rfind('/') + 1] if template else plain}"
