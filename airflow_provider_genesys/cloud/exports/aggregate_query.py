"""Builds the request for aggregates from an export's options, after checking them against the domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_genesys.cloud.exports.aggregate_domains import Domain, domain_of, domains
from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.cloud.exports.buckets import Granularity
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.times import api_time

ROWS_IN_PAGE = 20_000
"""About this many rows are made of a page. A page is held in memory."""
MOST_GROUPS = 1_000
"""Largest number of groups in a page."""
_FLAGS = {
    "flatten_multivalued_dimensions": "flattenMultivaluedDimensions",
    "alternate_time_dimension": "alternateTimeDimension",
}
_OPTIONS = ("domain", "metrics", "group_by", "granularity", "time_zone", "views", "page_size", *_FLAGS)


@dataclass(frozen=True)
class AggregateQuery:
    """A query of one domain.

    :param group_by: all dimensions, including those that Genesys always groups by.
    :param others: further members of the request, with Genesys' names.
    """

    domain: Domain
    metrics: tuple[str, ...]
    group_by: tuple[str, ...]
    granularity: Granularity
    zone: ZoneInfo
    views: tuple[dict[str, Any], ...] = ()
    filter: dict[str, Any] | None = None
    page_size: int | None = None
    others: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, filters: Mapping[str, Any], options: Mapping[str, Any]) -> AggregateQuery:
        """Read the filters and options of an export of kind ``aggregates``.

        :raises ConfigurationError: an option is unknown, or the domain does not have a metric or dimension.
        """
        if unknown := sorted(set(options) - set(_OPTIONS)):
            known = ", ".join(_OPTIONS)
            raise ConfigurationError(f"options must not hold {', '.join(unknown)}; aggregates take {known}.")
        if unknown := sorted(set(filters) - {"filter"}):
            raise ConfigurationError(f"filters must not hold {', '.join(unknown)}; aggregates take filter.")
        domain = domain_of(options.get("domain"))
        views = tuple(options.get("views") or ())
        return cls(
            domain=domain,
            metrics=_metrics(domain, _names(options, "metrics") or domain.default_metrics, views),
            group_by=_dimensions(domain, options),
            granularity=Granularity.of(str(options.get("granularity") or "PT30M")),
            zone=_zone(str(options.get("time_zone") or "UTC")),
            views=views,
            filter=filters.get("filter"),
            page_size=options.get("page_size"),
            others={member: options[name] for name, member in _FLAGS.items() if options.get(name) is not None},
        )

    def bounds(self, request: ExportRequest) -> list[datetime]:
        """Return the start of each bucket of the request's window, and then the window's end.

        :raises WindowError: window and buckets do not agree.
        """
        return self.granularity.bounds(request.window_start, request.window_end, self.zone)

    def body(self, start: datetime, end: datetime, buckets: int) -> dict[str, Any]:
        """Return the request's body for ``buckets`` buckets from ``start`` to ``end``."""
        given = {"filter": self.filter, "views": list(self.views), **self.others}
        return {
            "interval": f"{api_time(start)}/{api_time(end)}",
            "granularity": self.granularity.text,
            "timeZone": self.zone.key,
            "groupBy": list(self.group_by),
            "metrics": list(self.metrics),
            **{name: value for name, value in given.items() if value not in (None, [])},
            "pageSize": self.page_size or self._fitting(buckets),
        }

    def _fitting(self, buckets: int) -> int:
        """Return how many groups make a page of about :data:`ROWS_IN_PAGE` rows."""
        rows = buckets * (len(self.metrics) + len(self.views))
        return min(max(ROWS_IN_PAGE // rows, 1), MOST_GROUPS)


def _names(options: Mapping[str, Any], option: str) -> tuple[str, ...]:
    names = options.get(option) or ()
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{option} is {names!r}; it has to be a list of names.")
    return tuple(dict.fromkeys(names))


def _metrics(domain: Domain, metrics: tuple[str, ...], views: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return the metrics. A metric that no domain has is allowed: Genesys may be newer than this release.

    :raises ConfigurationError: a metric belongs to another domain, or a view is not valid.
    """
    for metric in (*metrics, *(str(view.get("target")) for view in views)):
        others = [one.name for one in domains().values() if metric in one.metrics]
        if others and domain.name not in others:
            raise ConfigurationError(
                f"The domain {domain.name!r} has no metric {metric!r}; {' and '.join(map(repr, others))} has it. "
                f"Ask for it with domain={others[0]!r}, in a separate export."
            )
    _check_views(domain, metrics, views)
    return metrics


def _check_views(domain: Domain, metrics: tuple[str, ...], views: Sequence[dict[str, Any]]) -> None:
    names = [str(view.get("name")) for view in views]
    for view in views:
        if view.get("function") not in domain.views:
            raise ConfigurationError(
                f"The view {view.get('name')!r} has the function {view.get('function')!r}; {domain.name} has "
                f"{', '.join(domain.views)}."
            )
    # A view becomes a row like a metric's, with the view's name.
    if len(set(names) | set(metrics)) < len(names) + len(metrics):
        raise ConfigurationError(f"Views need names that differ from each other and from the metrics: {names}.")


def _dimensions(domain: Domain, options: Mapping[str, Any]) -> tuple[str, ...]:
    given = _names(options, "group_by") if "group_by" in options else domain.group_by
    for dimension in given:
        others = [one.name for one in domains().values() if dimension in one.dimensions]
        if others and domain.name not in others:
            raise ConfigurationError(
                f"The domain {domain.name!r} does not group by {dimension!r}. It groups by: "
                f"{', '.join(domain.dimensions)}."
            )
    return tuple(dict.fromkeys([*given, *domain.implied]))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        what = f"time_zone is {name!r}; write a name of the IANA database, e.g. Europe/London."
        raise ConfigurationError(what) from error
