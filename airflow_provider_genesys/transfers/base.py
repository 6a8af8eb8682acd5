"""What every loading operator does, whatever the sink."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.configuration import conf
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import AssetAlias, BaseOperator, BaseOperatorLink, Context

from airflow_provider_genesys.exceptions import (
    CloudUnavailableError,
    SourceUnavailableError,
    UrlExpiredError,
)
from airflow_provider_genesys.links.genesys import GenesysExportLink
from airflow_provider_genesys.tasks import reports
from airflow_provider_genesys.tasks.arguments import check_contract, contract_for, hash_key_of, number, shard_of
from airflow_provider_genesys.tasks.checkpoint_mirror import CheckpointMirror
from airflow_provider_genesys.tasks.failures import failing_fast
from airflow_provider_genesys.tasks.handle import asked_of, read_handle, window_of
from airflow_provider_genesys.tasks.outage import Outage
from airflow_provider_genesys.tasks.recreate import load_asking_anew
from airflow_provider_genesys.tasks.reports import emit
from airflow_provider_genesys.tasks.result import open_result
from airflow_provider_genesys.tasks.task_state import is_first_try

if TYPE_CHECKING:
    from airflow_provider_genesys.contracts.contract import Contract
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
    from airflow_provider_genesys.pipeline.certificate import Certificate
    from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
    from airflow_provider_genesys.pipeline.load import Load
    from airflow_provider_genesys.pipeline.run import Options
    from airflow_provider_genesys.pipeline.sink import Sink
    from airflow_provider_genesys.source.base import Archive
    from airflow_provider_genesys.source.pages import Pages


class GenesysExportTransferOperator(BaseOperator):
    """Load an export into a sink, from the last committed checkpoint to the end.

    A *retry* continues where the try before it stopped: the checkpoint is kept with the data. A *cleared* task loads
    from the beginning, unless ``on_clear="resume"``; the result is the same.

    XCom ``return_value`` is the certificate's summary. XCom ``checkpoint`` is kept current while the task runs, about
    every 5 seconds; on Airflow 3.3 the task's state store shows the same.

    :param handle: what the sensor returned, or the id of an export that has ended; or where its archive was landed with
        ``output_format="raw"``: what that task returned, or the location in it, ``s3://…`` or ``az://…``. (templated)
    :param kind: kind of the export, where ``handle`` is an id. (templated)
    :param window_start: start of the window, where the handle has none. (templated)
    :param window_end: end of the window, where the handle has none. (templated)
    :param filters: the filters that the export was asked with, if any: loads of one window with different filters are
        different loads. (templated)
    :param contract: what the records are read by: the name of a built-in contract, the path of a YAML file (a relative
        one begins at the DAG file's folder), or a :class:`~airflow_provider_genesys.contracts.contract.Contract`.
        Default: the built-in contract of the kind. A file is checked when the DAG is parsed. (templated)
    :param contract_modes: other modes than the contract has, by kind of surprise (``unknown``, ``type``, ``missing``):
        ``evolve``, ``freeze``, ``discard_value`` or ``quarantine``. (templated)
    :param pii_key: where the key is kept that the contract's personal data is hashed with: ``variable:<key>`` or
        ``connection:<id>`` (its password). Default: as the contract says. (templated)
    :param drift_alias: name of the asset alias through which an event is emitted where records differ from the
        contract, with the report in its extra; None for no event.
    :param shard: the part of the archive to load, one of those that GenesysPlanShardsOperator planned; None for all.
        (templated)
    :param batch_size: records in a batch, at most.
    :param flush_interval: seconds after which a batch is handed to the sink though it is not full.
    :param page_size: records in a page, for kinds whose result is pages; a page is held in memory, and costs a request.
    :param max_dead_letters: records that may be set aside before the load fails; None for any number. (templated)
    :param max_dead_letter_ratio: share of the records that may be set aside, 0 to 1; None for any share. (templated)
    :param dead_letter_raw: what is kept of a record that is set aside: ``encrypt`` (its bytes, encrypted with the
        connection's client secret), ``keep`` (in clear, but for what the contract protects) or ``drop``.
    :param allow_empty: whether an export without a single record is a success.
    :param expect_records: what is done where Genesys tells another number of records than the export holds: ``fail``,
        ``warn`` in the log, or ``ignore``. The certificate holds both numbers.
    :param on_clear: ``restart`` or ``resume``.
    :param deferrable: while the archive cannot be reached, pause in the triggerer rather than in a worker.
        Default: ``[operators] default_deferrable`` of airflow.cfg.
    :param max_outage: seconds (or timedelta) without a new commit after which the try fails because the archive cannot
        be reached. Until then the task pauses and goes on in the same try.
    :param max_memory_mb: memory in MB (10**6 bytes) that the task's process may hold, Airflow included; a load that
        needs more fails with an explanation instead of being killed by the system. Default: no limit.
    :param genesys_conn_id: the Genesys connection. (templated)
    :param source_conn_id: the connection to where an archive was landed; default: ``aws_default`` for ``s3://…``,
        ``wasb_default`` for ``az://…``. (templated)
    :param checkpoint_mirror_conn_id: a connection to Redis or DynamoDB, where the checkpoint is shown as in XCom. No
        try goes on from there. (templated)
    """

    template_fields: Sequence[str] = (
        "handle",
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
        "genesys_conn_id",
        "source_conn_id",
        "checkpoint_mirror_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "handle": "json",
        "filters": "json",
        "contract_modes": "json",
        "shard": "json",
    }
    operator_extra_links: Collection[BaseOperatorLink] = (GenesysExportLink(),)
    ui_color = "#e0f0ff"
    outage_pause: ClassVar[tuple[float, float]] = (30.0, 600.0)
    """Seconds of the shortest and the longest pause in an outage."""

    def __init__(  # noqa: PLR0913 - Airflow operators take what a user may set as keywords
        self,
        *,
        handle: dict[str, Any] | str,
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
        expect_records: Literal["fail", "warn", "ignore"] = "warn",
        on_clear: Literal["restart", "resume"] = "restart",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        max_outage: float | timedelta = timedelta(hours=6),
        max_memory_mb: float | None = None,
        genesys_conn_id: str = "genesys_default",
        source_conn_id: str | None = None,
        checkpoint_mirror_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.handle = handle
        self.kind = kind
        self.window_start = window_start
        self.window_end = window_end
        self.filters = filters
        self.contract = contract
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
        self.expect_records = expect_records
        self.on_clear = on_clear
        self.deferrable = deferrable
        self.max_outage = max_outage.total_seconds() if isinstance(max_outage, timedelta) else max_outage
        self.max_memory_mb = max_memory_mb
        self.genesys_conn_id = genesys_conn_id
        self.source_conn_id = source_conn_id
        self.checkpoint_mirror_conn_id = checkpoint_mirror_conn_id
        check_contract(contract, contract_modes, kind=kind, folder=self._folder)

    @property
    def _folder(self) -> str:
        return str(self.dag.folder) if self.get_dag() else "."

    @abstractmethod
    def make_sink(self) -> Sink:
        """Return the sink, not opened."""

    def evolution_sql(self, before: Contract, after: Contract) -> str:  # noqa: ARG002 - only a sink with SQL has some
        """Return the SQL by which the sink goes from one contract to the next; empty where it needs none."""
        return ""

    @cached_property
    def hook(self) -> GenesysCloudHook:
        """The hook of ``genesys_conn_id``."""
        from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

        return GenesysCloudHook(self.genesys_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Load the export and return the certificate's summary."""
        restart = self.on_clear == "restart" and is_first_try(context, self.retries or 0)
        return self._load_through_outages(context, Outage(context["ti"].start_date), restart=restart)

    def resume(self, context: Context, event: Any = None, began: str | None = None, **_: Any) -> dict[str, Any]:  # noqa: ARG002 - event: of a timer, says nothing
        """Go on after an outage's pause, from the checkpoint that the sink holds."""
        # dag.test() of Airflow 3.3 gives no ``began``; the try began before the outage, so it is the safe answer.
        outage = Outage(datetime.fromisoformat(began) if began else context["ti"].start_date)
        return self._load_through_outages(context, outage, restart=False)

    def _load_through_outages(self, context: Context, outage: Outage, *, restart: bool) -> dict[str, Any]:
        """Load. Where the source cannot be reached, pause, without holding a worker, and go on in the same try."""
        while True:
            mirror = CheckpointMirror(context, self.checkpoint_mirror_conn_id)
            try:
                with failing_fast(), mirror, self.hook:
                    return self._load_once(context, mirror, restart=restart)
            except (SourceUnavailableError, UrlExpiredError, CloudUnavailableError) as error:
                outage = outage.after(mirror.committed_at)
                if outage.seconds > self.max_outage:
                    raise
                reports.paused(reports.tags_of(context))
                self.log.warning("%s", error)
            pause = outage.pause(*self.outage_pause)
            self.log.warning("The outage lasts %.0f s so far; going on in %.0f s.", outage.seconds, pause)
            if self.deferrable:
                self.defer(
                    trigger=TimeDeltaTrigger(timedelta(seconds=pause)),
                    method_name="resume",
                    kwargs={"began": outage.began.isoformat()},
                )
            time.sleep(pause)
            restart = False

    def _load_once(self, context: Context, mirror: CheckpointMirror, *, restart: bool) -> dict[str, Any]:
        handle = self.find_handle(context)
        return load_asking_anew(self, context, handle, lambda one: self._load_export(one, context, mirror, restart))

    def find_handle(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - for a load that is of no export
        """Return the handle of what is loaded."""
        return read_handle(self.handle, self.kind, self.hook, self.source_conn_id)

    def _load_export(
        self,
        handle: dict[str, Any],
        context: Context,
        mirror: CheckpointMirror,
        restart: bool,  # noqa: FBT001 - passed on in one place
    ) -> dict[str, Any]:
        mirror.show(handle)
        GenesysExportLink.persist(context, self.hook.config.api_url)
        load = self._load(handle, context)
        handle |= {"window_start": load.window_start.isoformat(), "window_end": load.window_end.isoformat()}
        options = self._options(handle, load.contract, restart=restart)
        certificate = self.run_load(load, handle, options, mirror.committed)
        reports.loaded(certificate, reports.tags_of(context))
        reports.report(self.hook, certificate)
        self._announce(context, certificate)
        self._report_drift(context, certificate, load.contract)
        return certificate.summary()

    def run_load(
        self, load: Load, handle: dict[str, Any], options: Options, watch: Callable[[Checkpoint], None]
    ) -> Certificate:
        """Load the records that ``handle`` leads to into the sink; ``watch`` is told every checkpoint."""
        from airflow_provider_genesys.pipeline.run import run

        def result(start: Checkpoint) -> Archive | Pages:
            return open_result(self.hook, handle, start, page_size=self.page_size, source_conn_id=self.source_conn_id)

        return run(load, result, self.make_sink(), options, watch)

    def read_by(self, contract: Contract) -> str:
        """Return what stands, in the load's id, for how the export is read."""
        return contract.fingerprint

    def encrypt(self, raw: bytes) -> bytes:
        """Encrypt the bytes of a dead letter with a key of the Genesys connection."""
        return self.hook.encrypt_dead_letter(raw)

    def _load(self, handle: dict[str, Any], context: Context) -> Load:
        from airflow_provider_genesys.pipeline.load import Load

        contract = contract_for(handle, self.contract, self.contract_modes, self._folder)
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
        # With another key it is another load: hashes of two keys must not mix.
        if key := hash_key_of(self.pii_key, contract):
            identity.append(hmac.digest(key, b"identity", "sha256").hex()[:16])
        return Load(
            load_id=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16],
            export_id=handle["export_id"],
            kind=handle["kind"],
            window_start=window.start,
            window_end=window.end,
            submitted_at=self._submitted_at(handle, context),
            contract=contract,
            run_id=f"{ti.dag_id}/{ti.run_id}/{ti.task_id}",
            shard=shard.number,
            range=shard,
        )

    @staticmethod
    def _submitted_at(handle: dict[str, Any], context: Context) -> datetime:
        """Return when the export was asked for; where Genesys does not tell, when this DAG run was to begin."""
        told = handle.get("submitted_at")
        return datetime.fromisoformat(told.replace("Z", "+00:00")) if told else context["dag_run"].run_after

    def _options(self, handle: dict[str, Any], contract: Contract, *, restart: bool) -> Options:
        from airflow_provider_genesys.pipeline.completeness import Completeness
        from airflow_provider_genesys.pipeline.run import Options

        return Options(
            batch_size=self.batch_size,
            flush_interval=self.flush_interval,
            max_dead_letters=number(self.max_dead_letters, int),
            max_dead_letter_ratio=number(self.max_dead_letter_ratio, float),
            allow_empty=self.allow_empty,
            restart=restart,
            max_memory_mb=self.max_memory_mb,
            pii_key=hash_key_of(self.pii_key, contract),
            completeness=Completeness(handle.get("records"), self.expect_records),
        )

    def _announce(self, context: Context, certificate: Certificate) -> None:
        """Give the certificate to whoever is scheduled on the task's assets."""
        for outlet in self.outlets:
            if not isinstance(outlet, AssetAlias):
                context["outlet_events"][outlet].extra.update(certificate.summary())

    def _report_drift(self, context: Context, certificate: Certificate, contract: Contract) -> None:
        """Emit an event for whoever is scheduled on drift; only where there is some."""
        if self.drift_alias and certificate.drift:
            sql = self.evolution_sql(contract, contract.evolved(certificate.evolved))
            emit(context, self.drift_alias, certificate, sql)
