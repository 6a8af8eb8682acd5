"""The official Python SDK of Genesys creates, polls and reads every kind of details job on the fake.

That keeps the fake honest: the SDK knows paths, field names and types from Genesys' own description of the API.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_genesys.cloud.exports.aggregate_domains import domains
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.genesys_sdk import Sdk
from tests.unit.testing.sdk_login import logged_in

INTERVAL = "2026-11-22T00:00:00.000Z/2026-11-23T00:00:00.000Z"


@pytest.fixture
def genesys() -> Iterator[FakeGenesys]:
    with FakeGenesys(conversations=70, users=7, job_polls=3) as fake:
        yield fake


@pytest.fixture
def analytics(genesys: FakeGenesys) -> Any:
    return Sdk.AnalyticsApi(logged_in(genesys))


def fulfilled(status: Callable[[str], Any], job_id: str) -> list[str]:
    """Poll until the job is FULFILLED; return the states that were seen."""
    states = [status(job_id).state]
    end = time.monotonic() + 60
    while states[-1] != "FULFILLED" and time.monotonic() < end:
        states.append(status(job_id).state)
    return states


def test_the_sdk_reads_every_conversation(genesys: FakeGenesys, analytics: Any) -> None:
    query = Sdk.AsyncConversationQuery()
    query.interval, query.start_of_day_interval_matching = INTERVAL, True
    job_id = analytics.post_analytics_conversations_details_jobs(query).job_id
    states = fulfilled(analytics.get_analytics_conversations_details_job, job_id)
    assert (states[0], set(states)) == ("QUEUED", {"QUEUED", "PENDING", "FULFILLED"})
    found, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = analytics.get_analytics_conversations_details_job_results(job_id, page_size=10, **more)
        found += page.conversations
        assert page.data_availability_date
        if not (cursor := page.cursor):
            break
    assert len({conversation.conversation_id for conversation in found}) == len(found) == 70
    segments = [
        segment
        for conversation in found
        for participant in conversation.participants
        for session in participant.sessions
        for segment in session.segments
    ]
    assert all(segment.segment_start <= segment.segment_end and segment.segment_type for segment in segments)
    assert any(conversation.conversation_end is None for conversation in found)


def test_the_sdk_reads_every_user(analytics: Any) -> None:
    query = Sdk.AsyncUserDetailsQuery()
    query.interval = INTERVAL
    job_id = analytics.post_analytics_users_details_jobs(query).job_id
    fulfilled(analytics.get_analytics_users_details_job, job_id)
    page = analytics.get_analytics_users_details_job_results(job_id, page_size=10)
    assert len(page.user_details) == 7
    assert page.cursor is None
    assert all(user.primary_presence[0].system_presence for user in page.user_details)
    assert all(user.routing_status[0].start_time for user in page.user_details)


def test_the_sdk_asks_for_availability_and_cancels(analytics: Any) -> None:
    assert analytics.get_analytics_conversations_details_jobs_availability().data_availability_date
    assert analytics.get_analytics_users_details_jobs_availability().data_availability_date
    query = Sdk.AsyncConversationQuery()
    query.interval = INTERVAL
    job_id = analytics.post_analytics_conversations_details_jobs(query).job_id
    analytics.delete_analytics_conversations_details_job(job_id)
    assert analytics.get_analytics_conversations_details_job(job_id).state == "CANCELLED"


def test_the_sdk_reads_aggregates(analytics: Any) -> None:
    query = Sdk.ConversationAggregationQuery()
    query.interval, query.granularity, query.metrics = INTERVAL, "P1D", ["nConversations"]
    groups = analytics.post_analytics_conversations_aggregates_query(query).results
    days = [data for group in groups for data in group.data]
    assert {group.group["mediaType"] for group in groups} == {"voice", "message", "email", "callback", "chat"}
    assert {data.interval for data in days} == {INTERVAL}
    assert sum(data.metrics[0].stats.count for data in days) == 70


def test_the_sdk_understands_a_refusal(genesys: FakeGenesys, analytics: Any) -> None:
    query = Sdk.AsyncConversationQuery()
    query.interval = "tomorrow"
    with pytest.raises(Sdk.rest.ApiException) as refused:
        analytics.post_analytics_conversations_details_jobs(query)
    assert refused.value.status == 400
    assert "interval" in refused.value.body


@pytest.mark.parametrize("domain", ["conversations", "users", "flows", "taskmanagement"])
def test_the_sdk_reads_a_job_of_aggregates(analytics: Any, domain: str) -> None:
    names = {"conversations": "Conversation", "users": "User", "flows": "Flow", "taskmanagement": "TaskManagement"}
    query = getattr(Sdk, f"{names[domain]}AsyncAggregationQuery")()
    facts = domains()[domain]
    query.interval, query.granularity, query.metrics = INTERVAL, "PT12H", list(facts.default_metrics)
    query.group_by, query.page_size = list(facts.group_by), 2
    job_id = getattr(analytics, f"post_analytics_{domain}_aggregates_jobs")(query).job_id
    states = fulfilled(getattr(analytics, f"get_analytics_{domain}_aggregates_job"), job_id)
    assert states[-1] == "FULFILLED"
    results = getattr(analytics, f"get_analytics_{domain}_aggregates_job_results")
    found, cursor = [], None
    while True:
        page = results(job_id, **({"cursor": cursor} if cursor else {}))
        found += page.results
        if not (cursor := page.cursor):
            break
    assert len(found) > 2
    metrics = {metric.metric for group in found for data in group.data for metric in data.metrics}
    assert metrics <= set(facts.metrics)
    assert all(metric.stats.count for group in found for data in group.data for metric in data.metrics)
    getattr(analytics, f"delete_analytics_{domain}_aggregates_job")(job_id)
