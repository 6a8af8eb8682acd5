"""Aggregates jobs of the analytics API: what a domain counted in each bucket of a window, as pages of rows.

Genesys gives a group with all its buckets, and a bucket with all its metrics. Here each combination of group, bucket
and metric becomes one row. A job's id here is ``domain:id``, because each domain has its own path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from airflow_provider_genesys.cloud.exports.aggregate_domains import domain_of
from airflow_provider_genesys.cloud.exports.aggregate_query import AggregateQuery
from airflow_provider_genesys.cloud.exports.analytics_jobs import AnalyticsJobs, job_path
from airflow_provider_genesys.cloud.exports.base import ExportRequest, Page
from airflow_provider_genesys.cloud.exports.buckets import cut_buckets
from airflow_provider_genesys.cloud.exports.elements import check_values, cursor_of, too_large
from airflow_provider_genesys.limits import LONGEST_PAGE
from airflow_provider_genesys.times import api_time, parse_time

KIND = "aggregates"
_DIGITS = 16
_INTERVALS = 3
"""How often a row has its interval: in its id, in the record's copy of that, and as start and end."""


class _Metric(msgspec.Struct):
    stats: msgspec.Raw
    metric: str = ""
    name: str = ""
    """The name of a view; a view has no ``metric``."""
    qualifier: str | None = None


class _Bucket(msgspec.Struct):
    interval: str
    metrics: list[_Metric] | None = None
    views: list[_Metric] | None = None


class _Group(msgspec.Struct):
    group: dict[str, Any] | None = None
    data: list[_Bucket] | None = None


class _Answer(msgspec.Struct):
    results: list[_Group] | None = None
    cursor: msgspec.Raw = msgspec.Raw()


class _Unread(msgspec.Struct):
    """A page whose groups are not read yet."""

    results: list[msgspec.Raw] | None = None
    cursor: msgspec.Raw = msgspec.Raw()


_ANSWERS = msgspec.json.Decoder(_Answer)
_UNREAD = msgspec.json.Decoder(_Unread)
_GROUPS = msgspec.json.Decoder(_Group)


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
        """Return the rows of a page. A group that is none is returned as it is: the contract rejects it.

        :raises msgspec.MsgspecError: ``body`` is not a page.
        :raises AnswerTooLargeError: it has more values than a page may have, or makes larger rows.
        """
        check_values(body)
        groups, cursor = _read(body)
        ids: list[str] = []
        records: list[memoryview] = []
        write = _writer(job.partition(":")[0])
        left = LONGEST_PAGE
        for group in groups:
            if isinstance(group, msgspec.Raw):
                ids.append(hashlib.sha256(group).hexdigest())
                records.append(memoryview(group))
                continue
            left -= _repeated(group)
            if left < 0:
                raise too_large(body, f"{LONGEST_PAGE:,} bytes of dimensions and intervals in its rows")
            write(group, ids, records)
        return Page(ids, records, cursor)


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


def _read(body: bytes) -> tuple[Sequence[_Group | msgspec.Raw], str | None]:
    """Return the groups of a page, and its cursor. What is no group is returned as its bytes."""
    try:
        answer = _ANSWERS.decode(body)
    except msgspec.ValidationError:
        unread = _UNREAD.decode(body)
        return [_group(raw) for raw in unread.results or []], cursor_of(unread.cursor)
    return answer.results or [], cursor_of(answer.cursor)


def _group(raw: msgspec.Raw) -> _Group | msgspec.Raw:
    try:
        return _GROUPS.decode(raw)
    except msgspec.ValidationError:
        return raw


def _writer(domain: str) -> Callable[[_Group, list[str], list[memoryview]], None]:
    """Return a function that adds the rows of a group. A row's id: domain, bucket, metric and a digest of the group.

    There are many rows, so each is joined from byte strings that are made once.
    """

    @cache
    def bucket(interval: str) -> tuple[str, str]:
        start, _, end = interval.partition("/")
        begun, ended = (_text(moment) for moment in (start, end))
        head = f',"domain":"{domain}","intervalStart":{begun},"intervalEnd":{ended}'
        return f"{domain}/{begun[1:-1]}/{ended[1:-1]}/", head

    @cache
    def named(interval: str, metric: str, qualifier: str | None) -> tuple[str, bytes, bytes]:
        """Return what the ids of such rows begin with, what the rows begin with, and what follows the dimensions."""
        (place, head), name = bucket(interval), _json(metric)
        said = "" if qualifier is None else _json(qualifier)
        own = f"{place}{name[1:-1]}{':' if said else ''}{said[1:-1]}/"
        rest = f'{head},"metric":{name}' + (f',"qualifier":{said}' if said else "")
        return own, f'{{"id":"{own}'.encode(), rest.encode()

    def add_rows(group: _Group, ids: list[str], records: list[memoryview]) -> None:
        dimensions = msgspec.json.encode(group.group or {}, order="sorted")
        digest = hashlib.sha256(dimensions).hexdigest()[:_DIGITS]
        behind_id = f'{digest}"'.encode() + (b"," + dimensions[1:-1] if group.group else b"")
        for one in group.data or ():
            for found in (*(one.metrics or ()), *(one.views or ())):
                own, begin, rest = named(one.interval, found.metric or found.name, found.qualifier)
                stats = bytes(found.stats)[1:]
                ids.append(own + digest)
                comma = b"," if len(stats) > 1 else b""
                records.append(memoryview(b"%b%b%b%b%b" % (begin, behind_id, rest, comma, stats)))

    return add_rows


def _repeated(group: _Group) -> int:
    """Return the bytes that all rows of ``group`` repeat: its dimensions, and the interval of their bucket."""
    dimensions = len(msgspec.json.encode(group.group))
    return sum(
        (len(one.metrics or ()) + len(one.views or ())) * (dimensions + _INTERVALS * len(one.interval))
        for one in group.data or ()
    )


def _text(moment: str) -> str:
    """Return a time as JSON, in UTC. A text that is not a time is returned unchanged: the contract rejects it."""
    found = parse_time(moment)
    return _json(api_time(found) if found else moment)


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
