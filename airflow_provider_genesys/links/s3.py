"""The link from a load to what it wrote in S3."""

from __future__ import annotations

import os
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.clients import check_aws
from airflow_provider_genesys.hooks.connections import readable


class GenesysS3PrefixLink(BaseOperatorLink):
    """Leads to the load's prefix in the S3 console. Without a certificate, it leads to the operator's prefix.

    There is no link where the connection leads to a store other than Amazon's: its console is not known.
    """

    name: ClassVar[str] = "S3 prefix"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the URL; the empty text if neither certificate nor operator names a bucket."""
        if _is_elsewhere(operator):
            return ""
        certificate = XCom.get_value(key="return_value", ti_key=ti_key)
        location = certificate.get("location") if isinstance(certificate, dict) else None
        return console_url(location or _location_of(operator))


def _is_elsewhere(operator: Any) -> bool:
    """Whether connection or environment name an endpoint. Links are made in the process of the task."""
    if os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        return True
    conn_id = getattr(operator, "aws_conn_id", None)
    if not conn_id:
        return False
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    try:
        check_aws(conn_id)
        with readable(conn_id):
            return bool(AwsBaseHook(conn_id, client_type="s3").conn_config.get_service_endpoint_url("s3"))
    except ConfigurationError:
        return True  # the task has said it; an error here would come behind it, with a traceback


def _location_of(operator: Any) -> str:
    return f"s3://{getattr(operator, 's3_bucket', '')}/{getattr(operator, 's3_prefix', '')}"


def console_url(location: str) -> str:
    """Return the URL of the S3 console for ``s3://bucket/prefix``, empty for anything else."""
    parts = urlsplit(location)
    if parts.scheme != "s3" or not parts.netloc:
        return ""
    prefix = parts.path.strip("/")
    query = f"?prefix={quote(prefix)}/" if prefix else ""
    return f"https://console.aws.amazon.com/s3/buckets/{parts.netloc}{query}"
