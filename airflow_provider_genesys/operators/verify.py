"""Hold the certificates of one export against each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_genesys.exceptions import AccountError, ConfigurationError
from airflow_provider_genesys.operators.failures import failing_fast

COMPARED = ("export_id", "window_start", "window_end", "bytes_read", "digest", "source")
"""What must be the same in all certificates of one export."""


class GenesysVerifyExportOperator(BaseOperator):
    """Compare what several sinks say of one export, and fail where they differ.

    The certificates must name the same export, window, source and digest of records, and each account must close:
    read = written + set aside + duplicates. XCom ``return_value`` is {export_id, window_start, window_end, read,
    digest, sinks: {location: {written, dead_letters, duplicates}}}.

    :param certificates: what the loading operators returned. (templated)
    """

    template_fields: Sequence[str] = ("certificates",)
    ui_color = "#e6f5e0"

    def __init__(self, *, certificates: Sequence[dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.certificates = certificates

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare the certificates and return what they agree on."""
        with failing_fast():
            verified = compare(list(self.certificates))
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra.update(verified)
        return verified


def compare(certificates: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what ``certificates`` agree on.

    :raises AccountError: they differ, or the account of one does not close.
    :raises ConfigurationError: there is none.
    """
    if not certificates or not all(certificates):
        raise ConfigurationError("There are no certificates to verify. Give the outputs of the loading tasks.")
    first = certificates[0]
    for certificate in certificates:
        differing = [name for name in COMPARED if certificate[name] != first[name]]
        differing += [] if certificate["counts"]["read"] == first["counts"]["read"] else ["counts.read"]
        if differing:
            raise AccountError(
                f"{certificate['location']} and {first['location']} do not hold the same load of export "
                f"{first['export_id']}: they differ in {', '.join(differing)}. Clear the loading task that is behind."
            )
        _check_closed(certificate)
    return {
        "export_id": first["export_id"],
        "window_start": first["window_start"],
        "window_end": first["window_end"],
        "read": first["counts"]["read"],
        "digest": first["digest"],
        "sinks": {
            certificate["location"]: {name: count for name, count in certificate["counts"].items() if name != "read"}
            for certificate in certificates
        },
    }


def _check_closed(certificate: dict[str, Any]) -> None:
    counts = certificate["counts"]
    if counts["read"] != counts["written"] + counts["dead_letters"] + counts["duplicates"]:
        raise AccountError(f"The account of {certificate['location']} does not close: {counts}.")
