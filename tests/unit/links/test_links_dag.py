"""Links as Airflow computes them: at the end of the task, from XCom, into the XCom that the UI reads."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, Context

from airflow_provider_genesys.links.genesys import GenesysExportLink
from airflow_provider_genesys.links.s3 import GenesysS3PrefixLink
from tests.support.airflow_home import run_dag, states, xcoms

DAY = datetime(2026, 11, 23, tzinfo=timezone.utc)


class Load(BaseOperator):
    """Stands for an operator that loads into S3 and may fail."""

    operator_extra_links = (GenesysExportLink(), GenesysS3PrefixLink())

    def __init__(self, *, location: str, s3_bucket: str = "", s3_prefix: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.location = location
        self.s3_bucket = s3_bucket
        self.s3_prefix = s3_prefix

    def execute(self, context: Context) -> dict[str, Any]:
        GenesysExportLink.persist(context, "https://api.mypurecloud.ie")
        if not self.location:
            raise OSError("nothing was loaded")
        return {"location": self.location}


@pytest.mark.usefixtures("airflow_db")
def test_a_load_links_to_genesys_and_to_what_it_wrote() -> None:
    with DAG("links", schedule=None, start_date=DAY) as dag:
        Load(task_id="done", location="s3://lake/genesys/abc", s3_bucket="lake", s3_prefix="genesys")
        Load(task_id="failed", location="", s3_bucket="lake", s3_prefix="genesys")
        Load(task_id="elsewhere", location="postgresql://db/table")
    run = run_dag(dag, DAY)
    assert states(run) == {"done": "success", "failed": "failed", "elsewhere": "success"}
    links = {
        task_id: [xcoms(run, task_id)[link.xcom_key] for link in Load.operator_extra_links]
        for task_id in ("done", "failed", "elsewhere")
    }
    genesys = "https://apps.mypurecloud.ie/directory/#/analytics/interactions"
    console = "https://console.aws.amazon.com/s3/buckets/lake?prefix=genesys/"
    assert links == {
        "done": [genesys, f"{console}abc/"],
        "failed": [genesys, console],
        "elsewhere": [genesys, ""],
    }
