"""The domains of the aggregates API: which metrics each counts, by what it groups, and what is asked for by default."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from airflow_provider_genesys.exceptions import ConfigurationError

_TABLE = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Domain:
    """One domain, as the official SDK's enumerations have it.

    :param metrics: what it counts.
    :param dimensions: what it can group by.
    :param views: functions of a view.
    :param group_by: the dimensions that are asked for by default.
    :param default_metrics: the metrics that are asked for by default.
    :param implied: dimensions that Genesys groups by even where nobody asks for them.
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

    :raises ConfigurationError: there is none; the message lists those there are.
    """
    if name not in domains():
        raise ConfigurationError(
            f"options of kind 'aggregates' need a domain, and {name!r} is none. Domains: {', '.join(domains())}."
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
