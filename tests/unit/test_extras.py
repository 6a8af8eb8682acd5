"""What is not installed is missed where it is needed, and the error says how to install it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_provider_genesys.exceptions import MissingExtraError
from airflow_provider_genesys.hooks.clients import azure_container
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator

NEEDED_BY = {
    "azure": "airflow_provider_genesys.sinks.azure_blob",
    "google": "airflow_provider_genesys.sinks.gcs",
    "iceberg": "airflow_provider_genesys.lake.catalog",
    "parquet": "airflow_provider_genesys.sinks.objects.parquet",
    "postgres": "airflow_provider_genesys.sinks.postgres.sink",
    "redis": "airflow_provider_genesys.checkpoints.redis",
    "zstd": "airflow_provider_genesys.source.unpack.zstd",
}
NEED_NONE = [
    "airflow_provider_genesys.pipeline.run",
    "airflow_provider_genesys.pipeline.land",
    "airflow_provider_genesys.sinks.local",
    "airflow_provider_genesys.sinks.s3",
    "airflow_provider_genesys.sinks.sqs.sink",
    "airflow_provider_genesys.checkpoints.dynamodb",
]

WITHOUT = """
import importlib, json, sys

class Nothing:
    packages = {"azure", "backports", "compression", "google", "psycopg", "pyarrow", "pyiceberg", "redis"}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.packages:
            raise ImportError(f"No module named {name!r}")

sys.meta_path.insert(0, Nothing())
from airflow_provider_genesys.exceptions import MissingExtraError

needed, none = json.load(sys.stdin)
for name in none:
    importlib.import_module(name)
told = {}
for extra, name in needed.items():
    try:
        importlib.import_module(name)
    except MissingExtraError as error:
        told[extra] = str(error)
print(json.dumps(told))
"""


def test_a_missing_extra_is_named_with_its_pip_command_and_the_rest_needs_none() -> None:
    asked = json.dumps([NEEDED_BY, NEED_NONE])
    done = subprocess.run([sys.executable, "-c", WITHOUT], input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert sorted(told) == sorted(NEEDED_BY)
    assert [
        extra for extra, text in told.items() if f"pip install 'airflow-provider-genesys[{extra}]'" not in text
    ] == []


def test_airflows_own_providers_are_missed_in_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("airflow.providers.microsoft.azure.hooks.wasb", "airflow.providers.postgres.hooks.postgres"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'airflow-provider-genesys\[azure\]'"):
        azure_container("wasb_default", "lake")
    operator = GenesysExportToPostgresOperator(task_id="load", handle="e", table="t")
    with pytest.raises(MissingExtraError, match=r"pip install 'airflow-provider-genesys\[postgres\]'"):
        operator.make_sink()._session._connect()  # type: ignore[attr-defined]
