"""A landed archive is read from where its DAG says, whoever else says otherwise."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.operators import verify_stored, warehouse_lists
from airflow_provider_genesys.operators.shards import GenesysPlanShardsOperator
from airflow_provider_genesys.operators.verify_stored import GenesysVerifyStoredOperator
from airflow_provider_genesys.operators.warehouse_lists import GenesysWriteListsOperator
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.tasks import landed as module
from airflow_provider_genesys.tasks.failures import AirflowFailException
from airflow_provider_genesys.tasks.handle import read_handle
from airflow_provider_genesys.tasks.landed import NOWHERE, LandedArchives
from airflow_provider_genesys.transfers.genesys_to_azure_blob import GenesysExportToAzureBlobOperator
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator

RAW = {"output_format": "raw", "handle": "export-1"}
FOLDER = "dt=2026-11-22/5f0c/"


def load(handle: Any, **settings: Any) -> GenesysExportToPostgresOperator:
    return GenesysExportToPostgresOperator(task_id="load", table="t", handle=handle, **settings)


@pytest.mark.parametrize(
    ("handle", "below"),
    [
        ("s3://lake/raw/dt=2026-11-22/5f0c/", ("s3://lake/raw/dt=2026-11-22/5f0c/",)),
        ("s3://lake/raw/dt={{ ds }}/5f0c/", ("s3://lake/raw/",)),
        ("s3://lake/{% if a %}raw{% endif %}/", ("s3://lake/",)),
        ("az://lake/raw", ("az://lake/raw",)),
        ("s3://{{ params.bucket }}/raw/", ()),
        ("s3://lake{{ params.other }}/raw/", ()),
        ("{{ params.location }}", ()),
        ("export-1", ()),
        ({"export_id": "e", "location": "s3://lake/raw/"}, ()),
    ],
)
def test_the_dag_names_what_it_says_without_a_template(handle: Any, below: tuple[str, ...]) -> None:
    with DAG("d", schedule=None):
        assert load(handle).landed.below == below
    assert load(handle).landed.below == below


def test_tasks_upstream_that_land_archives_name_their_place() -> None:
    with DAG("d", schedule=None) as dag:
        in_s3 = GenesysExportToS3Operator(task_id="s3", s3_bucket="lake", s3_prefix="/raw/", **RAW)
        rows = GenesysExportToS3Operator(task_id="rows", s3_bucket="lake", s3_prefix="rows", handle="export-1")
        wild = GenesysExportToS3Operator(task_id="wild", s3_bucket="{{ params.b }}", s3_prefix="raw", **RAW)
        azure = GenesysExportToAzureBlobOperator.partial(
            task_id="az", container_name="c", blob_prefix="raw/{{ ds }}", output_format="raw"
        ).expand(handle=["export-1"])
        plan = GenesysPlanShardsOperator(task_id="plan", handle=in_s3.output)
        one = load(in_s3.output)
        [rows, wild, azure, plan] >> one
    assert dag.get_task("plan").upstream_task_ids == {"s3"}
    assert set(one.landed.below) == {"s3://lake/raw/", "az://c/raw/"}


def test_what_a_mapped_task_is_given_names_nothing() -> None:
    """It may come from an XCom. What the definition has beside it does not."""
    with DAG("d", schedule=None):

        @task
        def locations() -> list[str]:
            return []

        mapped = GenesysExportToPostgresOperator.partial(task_id="load", table="t").expand(handle=locations())
        named = GenesysExportToPostgresOperator.partial(
            task_id="named", table="t", source_prefix="s3://lake/raw/", handle="s3://pond/raw/"
        ).expand(shard=[None])
    for definition, given, below in (
        (mapped, {"handle": "s3://other/raw/"}, ()),
        (named, {"shard": None}, ("s3://lake/raw/", "s3://pond/raw/")),
    ):
        one: Any = definition.unmap({**definition.partial_kwargs, **given})
        assert one.landed.below == below


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("s3://lake/raw/" + FOLDER, True),
        ("s3://lake/raw/", True),
        ("s3://lake/raw", True),
        ("s3://lake/other/" + FOLDER, False),
        ("s3://lake/rawer/" + FOLDER, False),
        ("s3://lake/", False),
        ("s3://lake/raw/../other/", False),
        ("s3://lake/raw/./a/", False),
        ("s3://lake/raw//a/", False),
        ("s3://pond/raw/" + FOLDER, False),
        ("az://lake/raw/" + FOLDER, False),
        ("s3://lake@pond/raw/" + FOLDER, False),
        ("s3://pond/#s3://lake/raw/", False),
        ("file:///lake/raw/", False),
        ("/lake/raw/", False),
    ],
)
def test_only_what_lies_below_is_opened(url: str, monkeypatch: pytest.MonkeyPatch, *, read: bool) -> None:
    class OpenedError(Exception):
        pass

    def opened(*_: Any) -> Any:
        raise OpenedError

    monkeypatch.setattr(module, "open_folder", opened)
    places = LandedArchives("mine", ("s3://lake/raw/",))
    for handle in (lambda: places.handle(url), lambda: places.archive(url, Identity())):
        with pytest.raises(OpenedError if read else ConfigurationError, match=None if read else "set source_prefix"):
            handle()


@pytest.mark.parametrize(
    "handle",
    [
        "s3://lake/raw/a/",
        {"landed_at": "s3://lake/raw/a/", "export_id": "e", "window_start": "2026-01-01", "window_end": "2027-01-01"},
        {"landed_at": None, "export_id": "e"},
        {"contract": "raw", "location": "s3://lake/raw/a/", "export_id": "e"},
    ],
)
def test_a_location_that_no_dag_names_is_refused(handle: Any) -> None:
    hook: Any = None
    with pytest.raises(ConfigurationError, match="the DAG names no such place"):
        read_handle(handle, "recordings", hook, NOWHERE)


HERE, ELSEWHERE = "s3://lake/rows/dt=2026-11-22/5f0c/", "s3://other/rows/dt=2026-11-22/5f0c/"


@pytest.mark.parametrize("later", [GenesysVerifyStoredOperator, partial(GenesysWriteListsOperator, lists=["redshift"])])
@pytest.mark.parametrize(
    ("bucket", "below", "location", "refused"),
    [
        ("lake", None, ELSEWHERE, True),
        ("lake", None, "s3://lake/rows/../secret/", True),
        ("lake", None, "s3://lake/rows-of-others/5f0c/", True),
        ("lake", None, "gs://lake/rows/dt=2026-11-22/5f0c/", True),
        ("lake", None, HERE, False),
        ("{{ params.b }}", None, ELSEWHERE, True),
        ("{{ params.b }}", None, HERE, False),
        ("{{ params.nothing }}", None, HERE, True),
        (None, None, HERE, True),
        ("{{ params.b }}", "s3://lake/rows/", ELSEWHERE, True),
        ("lake", "s3://other/", ELSEWHERE, False),
        ("lake", "s3://other/", HERE, True),
    ],
)
def test_a_certificate_leads_only_to_where_the_dag_loads(
    later: Any, bucket: str | None, below: str | None, location: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_folder(url: str, _: str | None) -> Any:
        opened.append(url)
        raise ConfigurationError("opened")

    for room in (verify_stored, warehouse_lists):
        monkeypatch.setattr(room, "open_folder", open_folder)
    with DAG("d", schedule=None):
        one = later(task_id="later", certificate="{{ params.certificate }}", below=below)
        if bucket:
            rows = GenesysExportToS3Operator(task_id="rows", s3_bucket=bucket, s3_prefix="/rows/", handle="export-1")
            rows >> one
    one.certificate = {"location": location}  # as it is rendered
    with pytest.raises(AirflowFailException, match=r"the DAG names (only|no place)" if refused else "opened"):
        one.execute({"params": {"b": "lake"}})
    assert opened == ([] if refused else [location])


def test_a_certificate_that_the_dag_itself_has_needs_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_folder(url: str, _: str | None) -> Any:
        raise ConfigurationError(f"opened {url}")

    monkeypatch.setattr(verify_stored, "open_folder", open_folder)
    with DAG("d", schedule=None):
        one = GenesysVerifyStoredOperator(task_id="later", certificate={"location": HERE})
    with pytest.raises(AirflowFailException, match=f"opened {HERE}"):
        one.execute({})
