from __future__ import annotations

import pytest

from airflow_provider_genesys.cloud.regions import DOMAINS, base_urls
from airflow_provider_genesys.links.genesys import GenesysExportLink, interactions_url
from airflow_provider_genesys.links.s3 import GenesysS3PrefixLink, console_url


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


def test_links_have_names_that_people_read() -> None:
    assert (GenesysExportLink().name, GenesysS3PrefixLink().name) == ("Genesys Cloud", "S3 prefix")
