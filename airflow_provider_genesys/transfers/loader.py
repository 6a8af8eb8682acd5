"""From the handle of an export to the certificate of its load: the base of every loading operator."""

from __future__ import annotations

import hashlib
import hmac
import json
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.configuration import conf
from airflow.sdk import AssetAlias, BaseOperator, BaseOperatorLink, Context

from airflow_provider_genesys.links.genesys import GenesysExportLink
from airflow_provider_genesys.tasks import reports
from airflow_provider_genesys.tasks.arguments import (
    check_contract,
    contract_for,
    hash_key_of,
    is_rendered_later,
    shard_of,
)
from airflow_provider_genesys.tasks.checkpoint_mirror import CheckpointMirror
from airflow_provider_genesys.tasks.connection import UsesGenesys, dag_folder
from airflow_provider_genesys.tasks.files import check_file
from airflow_provider_genesys.tasks.handle import asked_of, window_of
from airflow_provider_genesys.tasks.landed import LandedArchives
from airflow_provider_genesys.tasks.reconcile import SinkView, check_mode, reconciled
from airflow_provider_genesys.tasks.rendered import json_mapping, limit, text_or_none
from airflow_provider_genesys.tasks.result import open_result
from airflow_provider_genesys.times import parse_time

if TYPE_CHECKING:
    from airflow_provider_genesys.contracts.contract import Contract
    from airflow_provider_genesys.pipeline.certificate import Certificate
    from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
    from airflow_provider_genesys.pipeline.load import Load
    from airflow_provider_genesys.pipeline.run import Options
    from airflow_provider_genesys.pipeline.sink import Sink
    from airflow_provider_genesys.source.base import Archive
    from airflow_provider_genesys.source.pages import Pages

    Results = Callable[[Checkpoint], Archive | Pages]


class ExportLoader(UsesGenesys, BaseOperator):
    """Loads exports into a sink, each with :meth:`load_export`. The operator says which exports.

    The parameters are those of :class:`.base.GenesysExportTransferOperator`, except its ``handle``.
    """

    template_fields: Sequence[str] = (
        "kind",
        "window_start",
        "window_end",
        "filters",
        "contract",
        "contract_modes",
        "pii_key",
        "shard",
        "max_dead_letters",
        "max_dead_letter_ratio",
        "reconcile",
        "genesys_conn_id",
        "source_conn_id",
        "checkpoint_mirror_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "filters": "json",
        "contract_modes": "json",
        "shard": "json",
    }
    operator_extra_links: Collection[BaseOperatorLink] = (GenesysExportLink(),)
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        kind: str = "recordings",
        window_start: datetime | str | None = None,
        window_end: datetime | str | None = None,
        filters: dict[str, Any] | None = None,
        contract: str | Contract | None = None,
        contract_modes: dict[str, str] | None = None,
        pii_key: str | None = None,
        drift_alias: str | None = "genesys_drift",
        shard: dict[str, Any] | None = None,
        batch_size: int = 500,
        flush_interval: float = 0.05,
        page_size: int = 500,
        max_dead_letters: int | None = None,
        max_dead_letter_ratio: float | None = 0.1,
        dead_letter_raw: Literal["encrypt", "keep", "drop"] = "encrypt",
        allow_empty: bool = False,
        allow_unused_protected: bool = False,
        expect_records: Literal["at_least", "fail", "warn", "ignore"] = "at_least",
        reconcile: Literal["warn", "fail", "off"] = "warn",
        on_clear: Literal["restart", "resume"] = "restart",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        max_outage: float | timedelta = timedelta(hours=6),
        max_memory_mb: float | None = None,
        processes: int | Literal["auto"] = 1,
        genesys_conn_id: str = "genesys_default",
        source_conn_id: str | None = None,
        checkpoint_mirror_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.window_start = window_start
        self.window_end = window_end
        self.filters = filters
        self.contract = contract
        self._contract_in_dag = contract
        self.contract_modes = contract_modes
        self.pii_key = pii_key
        self.drift_alias = drift_alias
        if drift_alias:
            self.outlets = [*self.outlets, AssetAlias(drift_alias)]
        self.shard = shard
        self.batch_size = batch_size
        self.flush_interval = flush_interval
        self.page_size = page_size
        self.max_dead_letters = max_dead_letters
        self.max_dead_letter_ratio = max_dead_letter_ratio
        self.dead_letter_raw = dead_letter_raw
        self.allow_empty = allow_empty
        self.allow_unused_protected = allow_unused_protected
        self.expect_records = expect_records
        self.reconcile = reconcile
        self.on_clear = on_clear
        self.deferrable = deferrable
        self.max_outage = max_outage.total_seconds() if isinstance(max_outage, timedelta) else max_outage
        self.max_memory_mb = max_memory_mb
        self.processes = processes
        self.genesys_conn_id = genesys_conn_id
        self.source_conn_id = source_conn_id
        self.checkpoint_mirror_conn_id = checkpoint_mirror_conn_id
        if not is_rendered_later(reconcile):
            check_mode(reconcile)
        check_contract(contract, contract_modes, kind=kind, folder=dag_folder(self), check=self.fits)

    @abstractmethod
    def make_sink(self) -> Sink:
        """Return the sink, not opened."""

    def fits(self, contract: Contract) -> None:
        """Raise :class:`ContractError` if the sink cannot hold the contract's columns. Called at parsing, too."""

    def evolution_sql(self, before: Contract, after: Contract) -> str:  # noqa: ARG002 - only sinks with SQL use them
        """Return the SQL that changes the sink from one contract to the other; empty if it needs none."""
        return ""

    def letters_at(self, certificate: Certificate) -> str:
        """Return where the load's dead letters can be looked at: a query or a place."""
        return f"the dead letters of load {certificate.load_id}"

    def sink_view(self, contract: Contract) -> SinkView | None:  # noqa: ARG002 - for sinks that can be read back
        """Return the view of the sink for its reconciliation; None if it cannot be read back."""
        return None

    def read_by(self, contract: Contract) -> str:
        """Return how the export is read, as a part of the load's id."""
        return contract.fingerprint

    def results(self, handle: dict[str, Any]) -> AbstractContextManager[Results]:
        """Open the export's result: a function from the checkpoint to an archive or pages, read from there."""
        page_size, landed = self.page_size, self.landed
        return nullcontext(lambda start: open_result(self.hook, handle, start, page_size=page_size, landed=landed))

    @property
    def landed(self) -> LandedArchives:
        """The landed archives that may be read."""
        return LandedArchives(text_or_none(self.source_conn_id, "source_conn_id"))

    def encrypt(self, raw: bytes, bound_to: bytes) -> bytes:
        """Encrypt the bytes of a dead letter, bound to that letter, with a key of the Genesys connection."""
        return self.hook.encrypt_dead_letter(raw, bound_to)

    def load_export(
        self, context: Context, mirror: CheckpointMirror, handle: dict[str, Any], *, restart: bool
    ) -> dict[str, Any]:
        """Load the export of ``handle`` into the sink, report it, and return the certificate's summary.

        :param mirror: shows every checkpoint.
        :param handle: with the window of the export.
        :param restart: load from the beginning, even if the sink has a checkpoint.
        """
        from airflow_provider_genesys.pipeline.run import run

        load, options = self.prepare(context, mirror, handle, restart=restart)
        sink = self.make_sink()
        with self.results(handle) as result:
            certificate = run(load, result, sink, options, mirror.committed)
        view = partial(self.sink_view, load.contract)
        filtered = bool(json_mapping(self.filters, "filters") or (handle.get("request") or {}).get("filters"))
        certificate = reconciled(certificate, sink, self.hook, view, context, self.reconcile, filtered=filtered)
        return self.report(context, certificate, load.contract)

    def prepare(
        self, context: Context, mirror: CheckpointMirror, handle: dict[str, Any], *, restart: bool
    ) -> tuple[Load, Options]:
        """Show what is to be loaded in the UI, and return it with the options of the run."""
        from airflow_provider_genesys.pipeline.budget import Completeness
        from airflow_provider_genesys.pipeline.run import Options

        check_mode(self.reconcile)
        mirror.show(handle)
        GenesysExportLink.persist(context, self.hook.config.api_url)
        load = self.load_of(handle, context)
        return load, Options(
            batch_size=self.batch_size,
            flush_interval=self.flush_interval,
            max_dead_letters=limit(self.max_dead_letters, "max_dead_letters", int),
            max_dead_letter_ratio=limit(self.max_dead_letter_ratio, "max_dead_letter_ratio", float),
            allow_empty=self.allow_empty,
            allow_unused_protected=self.allow_unused_protected,
            restart=restart,
            max_memory_mb=self.max_memory_mb,
            processes=self.processes,
            pii_key=hash_key_of(self.pii_key, load.contract),
            completeness=Completeness(handle.get("records"), self.expect_records, handle.get("size")),
        )

    def load_of(self, handle: dict[str, Any], context: Context) -> Load:
        """Return the load of an export. The same arguments always give the same ``load_id``."""
        from airflow_provider_genesys.pipeline.load import Load

        check_file(self, "contract", self.contract, self._contract_in_dag)
        contract = contract_for(handle, self.contract, self.contract_modes, dag_folder(self), self.fits)
        shard = shard_of(self.shard, contract)
        window = window_of(handle, self.window_start, self.window_end)
        ti = context["ti"]
        identity = [
            handle["kind"],
            str(window.start),
            str(window.end),
            asked_of(handle, self.filters),
            self.read_by(contract),
        ]
        # Another key makes another load: hashes of two keys must not mix.
        if key := hash_key_of(self.pii_key, contract):
            identity.append(hmac.digest(key, b"identity", "sha256").hex()[:16])
        return Load(
            load_id=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16],
            export_id=handle["export_id"],
            kind=handle["kind"],
            window_start=window.start,
            window_end=window.end,
            submitted_at=parse_time(handle.get("submitted_at")),
            contract=contract,
            run_id=f"{ti.dag_id}/{ti.run_id}/{ti.task_id}",
            shard=shard.number,
            range=shard,
        )

    def arrived(self, certificate: Certificate) -> str:
        """Return what of the export is there, for the last line of the log."""
        counts, rules = certificate.counts, ", ".join(f"{rule}: {n:,}" for rule, n in certificate.rules.items())
        of_rules = f" ({rules})" if rules else ""
        see = f" See them: {self.letters_at(certificate)}" if counts.dead_letters else ""
        return (
            f"{counts.read:,} records read, {counts.written:,} written, {counts.duplicates:,} duplicates, "
            f"{counts.dead_letters:,} rejected{of_rules}.{see}"
        )

    def report(self, context: Context, certificate: Certificate, contract: Contract) -> dict[str, Any]:
        """Report the load to Airflow: metrics, lineage, assets, drift. Return the certificate's summary.

        :param contract: the load's contract, before it evolved.
        """
        reports.loaded(certificate, reports.tags_of(context))
        reports.report(self.hook, certificate)
        summary = certificate.summary()
        self.log.info(
            "Export %s, %s to %s, is in %s: %s",
            *(certificate.export_id, certificate.window_start, certificate.window_end, certificate.location),
            self.arrived(certificate),
        )
        for outlet in self.outlets:
            if not isinstance(outlet, AssetAlias):
                context["outlet_events"][outlet].extra.update(summary)
        if self.drift_alias and certificate.drift:
            sql = self.evolution_sql(contract, contract.evolved(certificate.evolved))
            reports.emit(context, self.drift_alias, certificate, sql)
        return summary
