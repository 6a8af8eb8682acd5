"""The domains of the aggregates API: the metrics and dimensions of each, and those that are asked for by default."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from airflow_provider_genesys.exceptions import ConfigurationError

_TABLE = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Domain:
    """One domain, with the names in the official SDK's enumerations.

    :param metrics: metrics that it counts.
    :param dimensions: dimensions that it can group by.
    :param views: functions that a view can have.
    :param group_by: the dimensions that are asked for by default.
    :param default_metrics: the metrics that are asked for by default.
    :param implied: dimensions that Genesys always groups by, even if the request does not name them.
    """

    name: str
    metrics: tuple[str, ...]
    dimensions: tuple[str, ...]
    views: tuple[str, ...]
    group_by: tuple[str, ...]
    default_metrics: tuple[str, ...]
    implied: tuple[str, ...] = ()


def domain_of(name: str | None) -> Domain:
    """Return the domain of that name.

    :raises ConfigurationError: there is no such domain; the message lists all.
    """
    if name not in domains():
        raise ConfigurationError(
            f"options of kind 'aggregates' need a domain; {name!r} is not one. Domains: {', '.join(domains())}."
        )
    return domains()[name]


@cache
def domains() -> dict[str, Domain]:
    """Return all domains by name."""
    table = yaml.safe_load(_TABLE.read_text())
    return {name: _domain(name, facts) for name, facts in table.items()}


def _domain(name: str, facts: dict[str, list[str]]) -> Domain:
    defaults = facts.get("default_metrics", facts["metrics"])
    return Domain(name, **{key: tuple(values) for key, values in {**facts, "default_metrics": defaults}.items()})
