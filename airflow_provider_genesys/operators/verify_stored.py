"""Read a finished load back from its object store or table and compare it with its certificate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.hooks.clients import connect
from airflow_provider_genesys.hooks.object_store import open_folder
from airflow_provider_genesys.tasks.failures import failing_fast, of_window
from airflow_provider_genesys.tasks.landed import check_location
from airflow_provider_genesys.tasks.rendered import Rendered, text, text_or_none
from airflow_provider_genesys.tasks.xcoms import checked_summary

if TYPE_CHECKING:
    from airflow_provider_genesys.sinks.objects.verify import Verified
    from airflow_provider_genesys.sinks.postgres.verify import VerifiedRows

SHOWN = 5
"""Objects that differ, named in the error; the log has all."""


class GenesysVerifyStoredOperator(Rendered, BaseOperator):
    """Read a finished load back from its object store or PostgreSQL table, and fail if it differs from its certificate.

    Of an object store it reads every byte, and compares the size, SHA-256 and rows of each object of the manifest, and
    their sums with the counts of the certificate. Of a table it compares the rows, dead letters and, if it can be made
    from them, the digest. What is stored is compared with the certificate that was given. See ``docs/certificate.md``.

    XCom ``return_value`` is {location, load_id, export_id, window_start, window_end, objects, bytes, rows}. Of a table,
    ``objects`` and ``bytes`` are 0.

    :param certificate: what the loading operator returned. (templated)
    :param conn_id: the connection to the store; default ``aws_default``, ``wasb_default``, ``google_cloud_default`` or
        ``postgres_default``. (templated)
    :param below: URL of the folder below which the load has to be, if it is in an object store. Default: the folders of
        the loading tasks upstream. It has to be given where no such task is upstream.
    """

    template_fields: Sequence[str] = ("certificate", "conn_id")
    ui_color = "#e6f5e0"

    def __init__(
        self, *, certificate: dict[str, Any], conn_id: str | None = None, below: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.certificate = certificate
        self._certificate_in_dag = certificate
        self.conn_id = conn_id
        self.below = below

    def execute(self, context: Context) -> dict[str, Any]:
        """Read the load and return what it holds."""
        with failing_fast():
            given = checked_summary(self.certificate, "certificate")
            with of_window(given.get("window_start"), given.get("window_end")):
                found = self._verified(given, context)
        self.log.info("%s is as its certificate says: %s.", found.location, found.measured)
        certificate = found.certificate
        return {
            "location": found.location,
            "load_id": certificate.load_id,
            "export_id": certificate.export_id,
            "window_start": certificate.window_start,
            "window_end": certificate.window_end,
            "objects": getattr(found, "objects", 0),
            "bytes": getattr(found, "bytes", 0),
            "rows": found.rows,
        }

    def _found(self, given: dict[str, Any], context: Context) -> Verified | VerifiedRows:
        location, conn_id = given["location"], text_or_none(self.conn_id, "conn_id")
        if location.startswith("postgresql://"):
            from airflow_provider_genesys.sinks.postgres.verify import one_of, verify_table

            load_id = text(given.get("load_id"), "certificate's load_id")
            shard, opened = (given.get("shard") or {}).get("number", 0), conn_id or "postgres_default"
            return one_of(verify_table(lambda: connect(opened), location, load_id), load_id, shard, location)
        from airflow_provider_genesys.sinks.objects.layout import MANIFEST
        from airflow_provider_genesys.sinks.objects.verify import verify

        check_location(self, location, self.below, self._certificate_in_dag, context)
        store, folder = open_folder(location, conn_id)
        return verify(store, f"{folder}{MANIFEST}")

    def _verified(self, given: dict[str, Any], context: Context) -> Verified | VerifiedRows:
        found = self._found(given, context)
        problems = [*_other_load(given, found), *found.problems]
        for problem in problems:
            self.log.error("%s", problem)
        if problems:
            named = "; ".join(problems[:SHOWN])
            more = f"; and {len(problems) - SHOWN:,} more, which the log names" if len(problems) > SHOWN else ""
            raise AccountError(
                f"{found.location}, export {found.certificate.export_id}, is not as its certificate says: {named}"
                f"{more}. "
                "Something else changes, removes or expires what was loaded: find it, then clear the loading task."
            )
        return found


def _other_load(given: dict[str, Any], found: Verified | VerifiedRows) -> list[str]:
    """Say in what the stored certificate, of a manifest or a ledger, differs from the one that was given."""
    stored = found.certificate
    counts = {name: getattr(stored.counts, name) for name in given.get("counts") or {}}
    pairs = {
        "export_id": (given.get("export_id"), stored.export_id),
        "digest": (given.get("digest"), stored.digest),
        "counts": (given.get("counts") or {}, counts),
    }
    return [f"what is stored has {name} {has!r}, not {want!r}" for name, (want, has) in pairs.items() if want != has]
