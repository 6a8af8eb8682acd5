from __future__ import annotations

import pytest

from airflow_provider_genesys.cloud.regions import DOMAINS, base_urls
from airflow_provider_genesys.exceptions import ConfigurationError

HOSTS = """
us-east-1       mypurecloud.com
us-east-2       use2.us-gov-pure.cloud
us-west-2       usw2.pure.cloud
ca-central-1    cac1.pure.cloud
mx-central-1    mxc1.pure.cloud
sa-east-1       sae1.pure.cloud
eu-west-1       mypurecloud.ie
eu-west-2       euw2.pure.cloud
eu-central-1    mypurecloud.de
eu-central-2    euc2.pure.cloud
eusc-de-east-1  edee1.eusc-pure.cloud
me-central-1    mec1.pure.cloud
ap-south-1      aps1.pure.cloud
ap-southeast-1  apse1.pure.cloud
ap-southeast-2  mypurecloud.com.au
ap-northeast-1  mypurecloud.jp
ap-northeast-2  apne2.pure.cloud
ap-northeast-3  apne3.pure.cloud
"""


@pytest.mark.parametrize(("region", "domain"), [line.split() for line in HOSTS.strip().splitlines()])
def test_every_region_has_its_api_and_login_host(region: str, domain: str) -> None:
    assert base_urls(region) == (f"https://api.{domain}", f"https://login.{domain}")


def test_there_are_eighteen_regions() -> None:
    assert len(DOMAINS) == 18


@pytest.mark.parametrize("spelt", ["EU-West-1", " eu-west-1 ", "eu_west_1"])
def test_a_region_is_known_however_it_is_spelt(spelt: str) -> None:
    assert base_urls(spelt)[0] == "https://api.mypurecloud.ie"


@pytest.mark.parametrize(
    ("wrong", "near"), [("eu-wset-1", "eu-west-1"), ("mypurecloud.ie", "mypurecloud.ie"), ("usw2", "us-west-2")]
)
def test_a_wrong_region_is_answered_with_the_nearest_and_all_known(wrong: str, near: str) -> None:
    if wrong in DOMAINS.values():
        near = next(region for region, domain in DOMAINS.items() if domain == wrong)
    with pytest.raises(ConfigurationError, match=f"Did you mean '{near}'") as caught:
        base_urls(wrong)
    assert all(region in str(caught.value) for region in DOMAINS)


def test_a_region_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(ConfigurationError, match=r"no region 'zzz'\. Known regions: us-east-1, "):
        base_urls("zzz")
