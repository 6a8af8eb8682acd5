"""The link from a task to Genesys Cloud."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit

from airflow.sdk import BaseOperator, BaseOperatorLink, Context
from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_genesys.cloud.regions import DOMAINS


class GenesysExportLink(BaseOperatorLink):
    """Leads to the interactions view of the organisation. Genesys Cloud has no page for a single export.

    There is no link for a connection whose API base URL is not one of Genesys Cloud's own, such as a gateway.
    """

    name: ClassVar[str] = "Genesys Cloud"
    key: ClassVar[str] = "genesys_api_url"

    @classmethod
    def persist(cls, context: Context, api_url: str) -> None:
        """Store the URL for the link as XCom ``genesys_api_url``."""
        context["ti"].xcom_push(key=cls.key, value=api_url)

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002 -- Airflow's signature
        """Return the URL; the empty text if there is none."""
        return interactions_url(XCom.get_value(key=self.key, ti_key=ti_key) or "")


def interactions_url(api_url: str) -> str:
    """Return the URL of the interactions view for an API base URL; empty if that is not one of Genesys Cloud."""
    domain = (urlsplit(api_url).hostname or "").removeprefix("api.")
    return f"https://apps.{domain}/directory/#/analytics/interactions" if domain in DOMAINS.values() else ""
