"""Compares the certificates of one export."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_genesys.exceptions import AccountError, ConfigurationError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.tasks.failures import failing_fast
from airflow_provider_genesys.tasks.rendered import (
    NATIVE,
    Rendered,
    decoded,
    is_list,
    json_mapping,
    text_or_none,
    words,
)
from airflow_provider_genesys.tasks.xcoms import certificate_of
from airflow_provider_genesys.window import absent

COMPARED = (
    *("export_id", "kind", "window_start", "window_end", "length", "etag", "bytes_read"),
    *("read", "digest", "min_timestamp", "max_timestamp", "contract"),
)
"""What has to be equal in all certificates of one export. Dead letters may differ: a sink may refuse rows itself."""


class GenesysVerifyExportOperator(Rendered, BaseOperator):
    """Compare the certificates of several sinks for one export, and fail if they differ.

    The certificates must name the same export and window, and agree on its source, on the number, digest and first and
    last time of its records, and on the contract; and each account must close: read = written + dead letters +
    duplicates. See ``docs/certificate.md``.

    XCom ``return_value`` is {export_id, window_start, window_end, read, digest, state, sinks: {location: {written,
    dead_letters, duplicates}}}. ``state`` is ``final`` where every sink agreed with Genesys' aggregates twice, a day
    apart, and ``provisional`` otherwise.

    :param certificates: outputs of the loading operators. The output of an operator that is mapped over shards is a
        list of certificates, which are joined first. (templated)
    :param may_differ: names in :data:`COMPARED` that may differ, e.g. ``contract`` if the sinks are loaded with
        different ones. (templated)
    """

    template_fields: Sequence[str] = ("certificates", "may_differ")
    ui_color = "#e6f5e0"

    def __init__(
        self,
        *,
        certificates: Sequence[dict[str, Any] | Sequence[dict[str, Any]]],
        may_differ: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.certificates = certificates
        self.may_differ = may_differ

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare the certificates and return what they agree on."""
        with failing_fast():
            verified = compare(self._given(), words(self.may_differ, "may_differ", ()))
        self.log.info(
            "Export %s, %s to %s, is the same in %s: %s records, digest %s, %s.",
            *(verified["export_id"], verified["window_start"], verified["window_end"]),
            *(" and ".join(verified["sinks"]), f"{verified['read']:,}", verified["digest"], verified["state"]),
        )
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra.update(verified)
        return verified

    def _given(self) -> list[dict[str, Any]]:
        given = decoded(self.certificates, "certificates")
        if not is_list(given):
            raise ConfigurationError(f"certificates is {shown(given, 80)!r}; it has to be a list. {NATIVE}")
        return [_whole(one, f"certificates[{number}]") for number, one in enumerate(given)]


def _whole(given: Any, name: str) -> dict[str, Any]:
    """Return the summary of the whole, if an export was loaded in shards; empty if there is none."""
    found = None if absent(given) else decoded(given, name)
    if found is None or found in ({}, []):  # compare reports it as missing
        return {}
    from airflow_provider_genesys.pipeline.shards import whole_of

    summaries = [json_mapping(one, name) for one in (found if is_list(found) else [found])]
    original = text_or_none(summaries[0].get("original_export_id"), f"original_export_id in {name}")
    whole = whole_of([certificate_of(one, name) for one in summaries])
    return {**whole.summary(), "original_export_id": original}


def compare(certificates: list[dict[str, Any]], may_differ: Collection[str] = ()) -> dict[str, Any]:
    """Return what ``certificates`` agree on.

    :raises AccountError: they differ, or the account of one does not close.
    :raises ConfigurationError: there are none, or ``may_differ`` has an unknown name.
    """
    if not certificates or not all(certificates):
        raise ConfigurationError("There are no certificates to verify. Give the outputs of the loading tasks.")
    if unknown := set(may_differ) - set(COMPARED):
        raise ConfigurationError(
            f"may_differ has {shown(', '.join(sorted(unknown)))}; it may have {', '.join(COMPARED)}."
        )
    first = certificates[0]
    if len({one["location"] for one in certificates}) < len(certificates):
        raise ConfigurationError(
            "certificates has two of the same place. Give it the output of each loading task once."
        )
    for certificate in certificates:
        _check_same(certificate, first, [name for name in COMPARED if name not in may_differ])
        _check_closed(certificate)
    return {
        "export_id": first["export_id"],
        "window_start": first["window_start"],
        "window_end": first["window_end"],
        "read": first["counts"]["read"],
        "digest": first["digest"],
        "state": "final" if all(map(_is_final, certificates)) else "provisional",
        "sinks": {
            certificate["location"]: {name: count for name, count in certificate["counts"].items() if name != "read"}
            for certificate in certificates
        },
    }


def _check_same(certificate: dict[str, Any], first: dict[str, Any], names: list[str]) -> None:
    one, other = _describe(certificate), _describe(first)
    differing = [
        f"{name} ({shown(one[name], 80)} and {shown(other[name], 80)})" for name in names if one[name] != other[name]
    ]
    if differing:
        raise AccountError(
            f"{certificate['location']} and {first['location']} do not hold the same load of {_named(first)}: they "
            f"differ in {', '.join(differing)}. Clear the loading task that is behind; where the sinks are meant to "
            "differ in this, name it in may_differ."
        )


def _named(certificate: dict[str, Any]) -> str:
    return f"export {certificate['export_id']}, {certificate['window_start']} to {certificate['window_end']}"


def _is_final(certificate: dict[str, Any]) -> bool:
    return (certificate.get("reconciliation") or {}).get("state") == "final"


def _describe(certificate: dict[str, Any]) -> dict[str, Any]:
    """Return what is compared. An export that was created again counts as the original one."""
    original = certificate.get("original_export_id") or certificate["export_id"]
    counts = certificate["counts"]
    return {**certificate, **certificate["source"], "export_id": original, "read": counts["read"]}


def _check_closed(certificate: dict[str, Any]) -> None:
    counts = certificate["counts"]
    if counts["read"] != counts["written"] + counts["dead_letters"] + counts["duplicates"]:
        raise AccountError(
            f"The account of {certificate['location']}, {_named(certificate)}, does not close: {counts}. Clear the "
            "loading task."
        )
