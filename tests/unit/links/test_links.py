from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_genesys.cloud.regions import DOMAINS, base_urls
from airflow_provider_genesys.links import s3 as s3_link
from airflow_provider_genesys.links.genesys import GenesysExportLink, interactions_url
from airflow_provider_genesys.links.s3 import GenesysS3PrefixLink, console_url
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator


@pytest.mark.parametrize(
    ("api_url", "link"),
    [
        ("https://api.mypurecloud.de", "https://apps.mypurecloud.de/directory/#/analytics/interactions"),
        ("https://api.usw2.pure.cloud", "https://apps.usw2.pure.cloud/directory/#/analytics/interactions"),
        ("https://genesys.gateway.example.com", ""),
        ("https://api.mypurecloud.de.example.com", ""),
        ("http://127.0.0.1:8080", ""),
        ("", ""),
    ],
)
def test_genesys_link_is_for_genesys_hosts_only(api_url: str, link: str) -> None:
    assert interactions_url(api_url) == link


@pytest.mark.parametrize("region", DOMAINS)
def test_every_region_has_a_link(region: str) -> None:
    assert interactions_url(base_urls(region)[0]).startswith(f"https://apps.{DOMAINS[region]}/")


@pytest.mark.parametrize(
    ("location", "link"),
    [
        (
            "s3://lake/genesys/day=2026-11-22",
            "https://console.aws.amazon.com/s3/buckets/lake?prefix=genesys/day%3D2026-11-22/",
        ),
        ("s3://lake/genesys/", "https://console.aws.amazon.com/s3/buckets/lake?prefix=genesys/"),
        ("s3://lake", "https://console.aws.amazon.com/s3/buckets/lake"),
        ("s3://", ""),
        ("postgresql://db/table", ""),
        ("", ""),
    ],
)
def test_s3_link_leads_to_the_prefix(location: str, link: str) -> None:
    assert console_url(location) == link


@pytest.mark.parametrize(
    ("extra", "environment", "there"),
    [
        ({}, {}, True),
        ({"endpoint_url": "https://minio.example.com"}, {}, False),
        ({"service_config": {"s3": {"endpoint_url": "https://minio.example.com"}}}, {}, False),
        ({"service_config": {"sqs": {"endpoint_url": "https://minio.example.com"}}}, {}, True),
        ({}, {"AWS_ENDPOINT_URL_S3": "https://minio.example.com"}, False),
        # The task has ended with an error that says so: none may come behind it.
        ("[1]", {}, False),
        ({"service_config": "text"}, {}, False),
    ],
)
def test_a_store_that_is_not_amazons_has_no_link(
    monkeypatch: pytest.MonkeyPatch, extra: Any, environment: dict[str, str], *, there: bool
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps({"conn_type": "aws", "extra": extra}))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3_link.XCom, "get_value", lambda **_: {"location": "s3://lake/genesys/"})
    operator = GenesysExportToS3Operator(
        task_id="load", handle="e", s3_bucket="lake", s3_prefix="genesys", aws_conn_id="store"
    )
    link = GenesysS3PrefixLink().get_link(operator, ti_key=None)
    assert link == ("https://console.aws.amazon.com/s3/buckets/lake?prefix=genesys/" if there else "")


def test_links_have_names_that_people_read() -> None:
    assert (GenesysExportLink().name, GenesysS3PrefixLink().name) == ("Genesys Cloud", "S3 prefix")
