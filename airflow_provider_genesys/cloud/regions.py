"""The regions of Genesys Cloud and the hosts that serve them."""

from __future__ import annotations

from difflib import get_close_matches

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.outside import shown

DOMAINS: dict[str, str] = {
    "us-east-1": "mypurecloud.com",
    "us-east-2": "use2.us-gov-pure.cloud",
    "us-west-2": "usw2.pure.cloud",
    "ca-central-1": "cac1.pure.cloud",
    "mx-central-1": "mxc1.pure.cloud",
    "sa-east-1": "sae1.pure.cloud",
    "eu-west-1": "mypurecloud.ie",
    "eu-west-2": "euw2.pure.cloud",
    "eu-central-1": "mypurecloud.de",
    "eu-central-2": "euc2.pure.cloud",
    "eusc-de-east-1": "edee1.eusc-pure.cloud",
    "me-central-1": "mec1.pure.cloud",
    "ap-south-1": "aps1.pure.cloud",
    "ap-southeast-1": "apse1.pure.cloud",
    "ap-southeast-2": "mypurecloud.com.au",
    "ap-northeast-1": "mypurecloud.jp",
    "ap-northeast-2": "apne2.pure.cloud",
    "ap-northeast-3": "apne3.pure.cloud",
}
"""Region name, as AWS spells it, to the domain under which Genesys Cloud serves it (``us-east-2`` is FedRAMP)."""


def base_urls(region: str) -> tuple[str, str]:
    """Return ``(api_url, login_url)`` of ``region``, without a trailing slash.

    :raises ConfigurationError: Genesys Cloud has no such region; the message lists all.
    """
    name = region.strip().lower().replace("_", "-")
    if name not in DOMAINS:
        raise ConfigurationError(_unknown(region))
    return f"https://api.{DOMAINS[name]}", f"https://login.{DOMAINS[name]}"


def _unknown(region: str) -> str:
    names = {**{name: name for name in DOMAINS}, **{domain: name for name, domain in DOMAINS.items()}}
    near = get_close_matches(region[:80].strip().lower(), names, n=1, cutoff=0.5)
    hint = f" Did you mean {names[near[0]]!r}?" if near else ""
    return f"Genesys Cloud has no region {shown(region, 80)!r}.{hint} Known regions: {', '.join(DOMAINS)}."
