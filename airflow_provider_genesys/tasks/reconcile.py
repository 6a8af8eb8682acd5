"""Compares a window in a task's sink with Genesys' aggregates, and fails the task if they differ and it should."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal, get_args

from airflow.sdk import Context

from airflow_provider_genesys.exceptions import ConfigurationError, GenesysError, IncompleteError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.window import Window

if TYPE_CHECKING:
    from airflow_provider_genesys.completeness.comparisons import History
    from airflow_provider_genesys.completeness.tally import Tally
    from airflow_provider_genesys.completeness.verdict import Reconciliation
    from airflow_provider_genesys.contracts.contract import Contract
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
    from airflow_provider_genesys.pipeline.certificate import Certificate
    from airflow_provider_genesys.pipeline.sink import Sink
    from airflow_provider_genesys.stores.base import ObjectStore

log = logging.getLogger(__name__)

KIND = "conversation_details"
"""The kinds that aggregates can be compared with."""
Reconcile = Literal["warn", "fail", "off"]
"""If a window differs: log a warning · fail the task. ``off``: do not compare."""
XCOM = "reconciliation"
"""Key of the XCom with the comparison."""


@dataclass(frozen=True)
class SinkView:
    """What a sink can answer: the counts of a window, and the results of earlier comparisons."""

    count: Callable[[Window], Tally]
    history: History


def check_mode(mode: str) -> None:
    """Raise :class:`ConfigurationError` if ``mode`` is unknown."""
    if mode not in get_args(Reconcile):
        raise ConfigurationError(
            f"reconcile is {shown(mode, 80)!r}; it has to be one of: {', '.join(get_args(Reconcile))}."
        )


def reconciled(
    certificate: Certificate,
    sink: Sink,
    hook: GenesysCloudHook,
    view: Callable[[], SinkView | None],
    context: Context,
    mode: str,
    *,
    filtered: bool,
) -> Certificate:
    """Return the certificate with the comparison of its window, if Genesys' aggregates count its kind.

    :param sink: has finished the load; where it keeps the certificate, that has the comparison from now on.
    :param view: returns the sink's view; None if the sink cannot be read back.
    :param filtered: whether the export has filters, which aggregates cannot apply.
    :raises IncompleteError: it differs, and ``mode`` is ``fail``.
    """
    check_mode(mode)
    if certificate.kind != KIND or mode == "off" or certificate.shard:
        return certificate
    from airflow_provider_genesys.completeness.verdict import not_comparable

    window = Window(*(datetime.fromisoformat(one) for one in (certificate.window_start, certificate.window_end)))
    if filtered:
        found = not_comparable(window, "the export has filters, which Genesys' aggregates do not know")
    else:
        found = compare(hook, window, view(), mode)
    context["ti"].xcom_push(key=XCOM, value=found.as_json())
    certificate = replace(certificate, reconciliation=found.as_json())
    _keep(sink, certificate)
    judge(found, mode)
    return certificate


def _keep(sink: Sink, certificate: Certificate) -> None:
    from airflow_provider_genesys.pipeline.sink import AmendingSink

    if isinstance(sink, AmendingSink):
        try:
            sink.amend(certificate)
        except GenesysError as error:
            log.warning("The load is complete, but its certificate does not have the comparison: %s", error)


def view_of_table(connect: Callable[[], object], schema: str, table: str, contract: Contract) -> SinkView | None:
    """Return the view of a PostgreSQL table; None if the contract keeps too few columns to count."""
    from airflow_provider_genesys.completeness import postgres
    from airflow_provider_genesys.completeness.comparisons import PostgresHistory
    from airflow_provider_genesys.completeness.tally import columns_of

    if (columns := columns_of(contract)) is None:
        return None
    count = postgres.counter(connect, schema, table, columns)  # type: ignore[arg-type]  # psycopg is not imported here
    return SinkView(count, PostgresHistory(connect, schema, f"{schema}.{table}"))  # type: ignore[arg-type]  # as above


def view_of_folder(store: ObjectStore, prefix: str, partition_format: str, contract: Contract) -> SinkView | None:
    """Return the view of a prefix of an object store; None if the contract keeps too few columns to count."""
    from airflow_provider_genesys.completeness import objects
    from airflow_provider_genesys.completeness.comparisons import ObjectHistory
    from airflow_provider_genesys.completeness.tally import columns_of

    if (columns := columns_of(contract)) is None:
        return None
    return SinkView(objects.counter(store, prefix, partition_format, columns), ObjectHistory(store, prefix))


def compare(hook: GenesysCloudHook, window: Window, view: SinkView | None, mode: str) -> Reconciliation:
    """Compare one window. With ``warn``, an error gives ``not comparable`` and does not fail the load."""
    from airflow_provider_genesys.completeness.comparisons import with_state
    from airflow_provider_genesys.completeness.verdict import not_comparable, reconcile

    if view is None:
        return not_comparable(window, "the sink cannot be read back, or its contract keeps too little to count")
    try:
        return with_state(reconcile(hook.get_conn(), window, view.count), view.history)
    except GenesysError as error:
        if mode == "fail":
            raise
        return not_comparable(window, str(error))


def judge(found: Reconciliation, mode: str) -> None:
    """Log the result, or raise.

    :raises IncompleteError: it differs, and ``mode`` is ``fail``.
    """
    said = f"{found.window_start} to {found.window_end}: {found.verdict} ({found.reason}); {found.state}."
    if found.verdict == "agrees":
        log.info("Reconciled %s", said)
        return
    if found.verdict == "differs" and mode == "fail":
        raise IncompleteError(
            f"Genesys' aggregates and the sink differ. Window {said} Counts: {found.counts}. First differences: "
            f"{found.differences[:3]}. Export the window again; details may come days late. Where the difference is "
            "meant, set reconcile='warn'."
        )
    log.warning("Reconciled %s First differences: %s", said, found.differences[:3])
