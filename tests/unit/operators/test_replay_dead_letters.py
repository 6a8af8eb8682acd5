"""Where the replay operator looks for dead letters."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.operators.dead_letters import GenesysReplayDeadLettersOperator
from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink
from airflow_provider_genesys.sinks.gcs import GCSSink
from airflow_provider_genesys.tasks.failures import AirflowFailException
from airflow_provider_genesys.testing.services import AzuriteServer, GCSServer, S3Server
from airflow_provider_genesys.testing.sink_conformance.source import make_batch, make_certificate, make_load
from tests.sinks.queues import Queues, dynamodb_store
from tests.support.task_context import context

PAGE = Path(__file__).parents[3] / "docs" / "dead-letters.md"


@pytest.mark.parametrize("places", [{}, {"table": "recordings", "s3_bucket": "lake"}, {"table": ""}])
def test_it_is_told_one_place(places: dict[str, Any]) -> None:
    replay = GenesysReplayDeadLettersOperator(task_id="replay", **places)
    with pytest.raises(AirflowFailException, match="container_name, gcs_bucket, queue_url"):
        replay.execute(context())  # type: ignore[arg-type]


def test_the_operators_of_the_docs_are_made_as_they_stand_there() -> None:
    [code] = re.findall(r"```python\n(Genesys.*?)```", PAGE.read_text(), re.DOTALL)
    with DAG("docs", schedule=None) as dag:
        exec(code, {"GenesysReplayDeadLettersOperator": GenesysReplayDeadLettersOperator})  # noqa: S102 - our own page
    assert dag.task_ids == ["replay", "replay_in_s3", "replay_in_azure", "replay_in_gcs", "replay_in_sqs"]


def test_letters_in_a_queue(s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load, queues = make_load(), Queues(s3.endpoint_url)
    sink = queues.sink(lambda: dynamodb_store(s3, bucket))
    sink.open(load, restart=False)
    batch = make_batch(load, range(4), dead={3})
    sink.write(batch)
    sink.finish(make_certificate(load, batch.checkpoint))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(s3.connection()))
    monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", "genesys-cloud://id:secret@/?region=eu-west-1")

    place = {"queue_url": queues.records.url, "dead_letter_queue_url": queues.letters.url, "contract": RECORDINGS}
    place["dead_letter_raw"] = "keep"
    account = GenesysReplayDeadLettersOperator(task_id="replay", **place).execute(context())  # type: ignore[arg-type]

    assert (account["letters"], account["broken"]) == (1, {"missing-required": 1})


def test_letters_in_a_container(azurite: AzuriteServer, container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load = make_load()
    sink = AzureBlobSink(
        lambda: azurite.client().get_container_client(container), "calls", dead_letter_raw="keep", retries=0
    )
    sink.open(load, restart=False)
    batch = make_batch(load, range(4), dead={3})
    sink.write(batch)
    sink.finish(make_certificate(load, batch.checkpoint))
    monkeypatch.setenv("AIRFLOW_CONN_WASB_DEFAULT", json.dumps(azurite.connection()))
    monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", "genesys-cloud://id:secret@/?region=eu-west-1")

    place = {"container_name": container, "blob_prefix": "calls", "contract": RECORDINGS, "dead_letter_raw": "keep"}
    account = GenesysReplayDeadLettersOperator(task_id="replay", **place).execute(context())  # type: ignore[arg-type]

    assert account["broken"] == {"missing-required": 1}


def test_letters_in_google(gcs: GCSServer, gcs_bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    load = make_load()
    sink = GCSSink(lambda: gcs_bucket, "calls", dead_letter_raw="keep")
    sink.open(load, restart=False)
    batch = make_batch(load, range(4), dead={3})
    sink.write(batch)
    sink.finish(make_certificate(load, batch.checkpoint))
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(gcs.connection()))
    monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", "genesys-cloud://id:secret@/?region=eu-west-1")

    place = {"gcs_bucket": gcs_bucket.name, "gcs_prefix": "calls", "contract": RECORDINGS, "dead_letter_raw": "keep"}
    account = GenesysReplayDeadLettersOperator(task_id="replay", **place).execute(context())  # type: ignore[arg-type]

    assert account["broken"] == {"missing-required": 1}


def test_a_letter_in_clear_is_not_read_where_all_are_encrypted(
    azurite: AzuriteServer, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write there can have made it."""
    load = make_load()
    sink = AzureBlobSink(
        lambda: azurite.client().get_container_client(container), "calls", dead_letter_raw="keep", retries=0
    )
    sink.open(load, restart=False)
    batch = make_batch(load, range(4), dead={3})
    sink.write(batch)
    sink.finish(make_certificate(load, batch.checkpoint))
    monkeypatch.setenv("AIRFLOW_CONN_WASB_DEFAULT", json.dumps(azurite.connection()))
    monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", "genesys-cloud://id:secret@/?region=eu-west-1")

    place = {"container_name": container, "blob_prefix": "calls"}
    account = GenesysReplayDeadLettersOperator(task_id="replay", **place).execute(context())  # type: ignore[arg-type]

    assert (account["letters"], account["unreadable"], account["replayed"]) == (1, 1, 0)
