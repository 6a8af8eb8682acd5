"""Aggregates jobs of the analytics API: what a domain counted in each bucket of a window, as pages of rows.

Genesys gives a group with all its buckets, and a bucket with all its metrics. Here each combination of group, bucket
and metric becomes one row. A job's id here is ``domain:id``, because each domain has its own path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from airflow_provider_genesys.cloud.exports.aggregate_domains import domain_of
from airflow_provider_genesys.cloud.exports.aggregate_query import AggregateQuery
from airflow_provider_genesys.cloud.exports.analytics_jobs import AnalyticsJobs, job_path
from airflow_provider_genesys.cloud.exports.base import ExportRequest, Page
from airflow_provider_genesys.cloud.exports.buckets import cut_buckets
from airflow_provider_genesys.times import api_time, parse_time

KIND = "aggregates"
_DIGITS = 16


class _Metric(msgspec.Struct):
    stats: msgspec.Raw
    metric: str = ""
    name: str = ""
    """The name of a view; a view has no ``metric``."""
    qualifier: str | None = None


class _Bucket(msgspec.Struct):
    interval: str
    metrics: list[_Metric] = []
    views: list[_Metric] = []


class _Group(msgspec.Struct):
    group: dict[str, Any] = {}
    data: list[_Bucket] = []


class _Answer(msgspec.Struct):
    results: list[_Group] | None = None
    cursor: str | None = None


_ANSWERS = msgspec.json.Decoder(_Answer)


class Aggregates(AnalyticsJobs):
    """Implements :class:`~.base.PagedFamily` on the aggregates API of every domain."""

    kind = KIND
    member = "results"

    def bodies(self, request: ExportRequest, pieces: int) -> Iterator[dict[str, Any]]:
        """Yield the request bodies for the window in that many pieces. Each piece has whole buckets.

        :raises WindowTooLargeError: the window has fewer buckets than pieces.
        :raises WindowError: window and buckets do not agree.
        :raises ConfigurationError: the domain does not have a metric or dimension.
        """
        query = AggregateQuery.of(request.filters, request.options)
        bounds = query.bounds(request)
        for start, end in cut_buckets(bounds, pieces):
            yield query.body(start, end, bounds.index(end) - bounds.index(start))

    def path_of(self, request: ExportRequest) -> str:
        """Return the path of the domain's jobs."""
        return _jobs_of(str(request.options.get("domain")))

    def path(self, job: str) -> str:
        """Return the path of a job.

        :raises ConfigurationError: ``job`` is not the id of a job.
        """
        domain, _, one = job.partition(":")
        return job_path(_jobs_of(domain), one)

    def named(self, request: ExportRequest, job: str) -> str:
        """Return the id of a new job with its domain: ``domain:id``."""
        return f"{request.options['domain']}:{job}"

    def page_params(self, size: int) -> dict[str, str | int | bool]:  # noqa: ARG002 - the job was given it
        """Return no parameters: the request that created the job set the page size."""
        return {}

    def read_page(self, job: str, body: bytes) -> Page:
        """Return the rows of a page.

        :raises msgspec.MsgspecError: ``body`` is not a page.
        """
        answer = _ANSWERS.decode(body)
        ids: list[str] = []
        records: list[memoryview] = []
        write = _writer(job.partition(":")[0])
        for group in answer.results or []:
            for one, record in write(group):
                ids.append(one)
                records.append(memoryview(record))
        return Page(ids, records, answer.cursor or None)


def asked_of(handle: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters and options of an export, which tell it from others of the same window. May be empty."""
    request = handle.get("request") or {}
    return {**(request.get("filters") or {}), **(request.get("options") or {})}


def group_by_of(handle: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the dimensions of an export's rows; empty if the handle has no options."""
    request = handle.get("request") or {}
    options = request.get("options") or {}
    return AggregateQuery.of(request.get("filters") or {}, options).group_by if options else ()


def _jobs_of(domain: str) -> str:
    return f"/api/v2/analytics/{domain_of(domain).name}/aggregates/jobs"


def _writer(domain: str) -> Callable[[_Group], Iterator[tuple[str, bytes]]]:
    """Return a function from a group to its rows. A row's id: domain, bucket, metric and a digest of the group.

    There are many rows, so each is joined from byte strings that are made once.
    """

    @cache
    def bucket(interval: str) -> tuple[bytes, bytes]:
        start, _, end = interval.partition("/")
        begun, ended = (_text(moment) for moment in (start, end))
        head = b'","domain":"%b","intervalStart":%b,"intervalEnd":%b' % (domain.encode(), begun, ended)
        return b"%b/%b/%b/" % (domain.encode(), begun[1:-1], ended[1:-1]), head

    @cache
    def metric(name: str, qualifier: str | None) -> tuple[bytes, bytes]:
        quoted = msgspec.json.encode(name)
        said = msgspec.json.encode(qualifier)
        label = quoted[1:-1] + (b":" + said[1:-1] if qualifier is not None else b"") + b"/"
        return label, b',"metric":%b,"qualifier":%b' % (quoted, said)

    def rows(group: _Group) -> Iterator[tuple[str, bytes]]:
        dimensions = msgspec.json.encode(group.group, order="sorted")
        digest = hashlib.sha256(dimensions).hexdigest()[:_DIGITS].encode()
        behind = b"," + dimensions[1:-1] if group.group else b""
        for one in group.data:
            place, head = bucket(one.interval)
            for found in (*one.metrics, *one.views):
                label, named = metric(found.metric or found.name, found.qualifier)
                own = place + label + digest
                stats = bytes(found.stats)[1:]
                row = b'{"id":"' + own + head + named + behind + (b"," + stats if len(stats) > 1 else stats)
                yield own.decode(), row

    return rows


def _text(moment: str) -> bytes:
    """Return a time as JSON, in UTC. A text that is not a time is returned unchanged: the contract rejects it."""
    found = parse_time(moment)
    return msgspec.json.encode(api_time(found) if found else moment)
