"""Cut an archive so that several tasks load it at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, Context

from airflow_provider_genesys.tasks.failures import failing_fast
from airflow_provider_genesys.tasks.rendered import Rendered, number, text, text_or_none
from airflow_provider_genesys.times import now


class GenesysPlanShardsOperator(Rendered, BaseOperator):
    """Cut an archive into byte ranges of whole records, for loading operators that are mapped over them.

    ``load.partial(handle=wait.output, ...).expand(shard=plan.output)`` loads each range in a separate task, with its
    own checkpoint; the last one closes the account of all. See ``docs/scaling.md``.

    Only plain NDJSON can be cut. For another archive, or a short one, the plan is one task that loads all of it.

    XCom ``return_value`` is a list of {number, count, start, end, proof, source, planned_at}, with offsets in bytes, or
    [None].

    :param handle: what the sensor returned, or the id of an export that has ended, or the location of a landed archive.
        (templated)
    :param shard_size: bytes of the archive per shard, at least. (templated)
    :param max_shards: number of shards, at most. (templated)
    :param kind: kind of the export, where ``handle`` is an id. (templated)
    :param genesys_conn_id: the Genesys connection. (templated)
    :param source_conn_id: the connection to the store of a landed archive. (templated)
    :param source_prefix: URL of the folder below which landed archives may be read; see the loading operators.
    """

    template_fields: Sequence[str] = (
        "handle",
        "shard_size",
        "max_shards",
        "kind",
        "genesys_conn_id",
        "source_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"handle": "json"}
    ui_color = "#e6f5e0"

    def __init__(
        self,
        *,
        handle: dict[str, Any] | str,
        shard_size: int = 1_000_000_000,
        max_shards: int = 16,
        kind: str = "recordings",
        genesys_conn_id: str = "genesys_default",
        source_conn_id: str | None = None,
        source_prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.handle = handle
        self.shard_size = shard_size
        self.max_shards = max_shards
        self.kind = kind
        self.genesys_conn_id = genesys_conn_id
        self.source_conn_id = source_conn_id
        self.source_prefix = source_prefix
        self._handle_in_dag = handle if isinstance(handle, str) else None

    def execute(self, context: Context) -> list[dict[str, Any] | None]:  # noqa: ARG002 - Airflow's signature
        """Look at the archive and return its shards."""
        from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
        from airflow_provider_genesys.source.shards import plan_shards
        from airflow_provider_genesys.tasks.handle import read_handle, upstream_of
        from airflow_provider_genesys.tasks.landed import landed_archives
        from airflow_provider_genesys.tasks.result import open_archive

        named = (self.source_prefix, self._handle_in_dag)
        with failing_fast(), GenesysCloudHook(text(self.genesys_conn_id, "genesys_conn_id")) as hook:
            conn_id = text_or_none(self.source_conn_id, "source_conn_id")
            landed = landed_archives(self, named, conn_id, upstream_of(self))
            shard_size = number(self.shard_size, "shard_size", int, least=1)
            max_shards = number(self.max_shards, "max_shards", int, least=1)
            handle = read_handle(self.handle, self.kind, hook, landed)
            shards = plan_shards(
                lambda known: open_archive(hook, handle, known, landed),
                handle["export_id"],
                shard_size=shard_size,
                max_shards=max_shards,
                now=now().replace(microsecond=0).isoformat(),
            )
        self.log.info("Export %s is loaded in %d pieces.", handle["export_id"], len(shards) or 1)
        return [asdict(shard) for shard in shards] or [None]
