"""What Airflow discovers of this provider without importing any of its hooks or operators."""

from __future__ import annotations

from typing import Any

from airflow_provider_genesys import __version__
from airflow_provider_genesys.cloud.regions import DOMAINS

PACKAGE = "airflow_provider_genesys"
GENESYS = "Genesys Cloud"

FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema"],
    "relabeling": {
        "login": "OAuth client ID",
        "password": "OAuth client secret",
        "host": "API base URL",
    },
    "placeholders": {
        "login": "id of an OAuth client with the grant type Client Credentials",
        "host": "leave empty and choose a region, or https://api.gateway.example.com",
        "port": "0 lets the Test button of Airflow 3.3.1 and 3.3.2 work",
    },
}
"""How the standard fields of a connection look in the form."""


def _field(label: str, description: str, kind: str, *, default: Any = None, **schema: Any) -> dict[str, Any]:
    return {
        "label": label,
        "description": description,
        "schema": {"type": [kind, "null"], "default": default, **schema},
    }


CONNECTION_FIELDS: dict[str, Any] = {
    "region": _field(
        "Region",
        "The AWS region of your Genesys Cloud organisation. Leave empty when the API base URL is given.",
        "string",
        enum=[*DOMAINS, None],
        values_display={**{name: f"{name} ({domain})" for name, domain in DOMAINS.items()}, "null": "(none)"},
    ),
    "login_url": _field(
        "Login URL",
        "Base URL of the token endpoint. Needed only if it is not the API base URL with login. in place of api.",
        "string",
    ),
    "timeout": _field("Timeout", "Seconds that a request waits for the next byte.", "integer", default=60, minimum=1),
    "verify_tls": _field(
        "Verify TLS", "true, false, or the path of a file with the certificates to trust.", "string", default="true"
    ),
    "requests_per_minute": _field(
        "Requests per minute", "Budget of this OAuth client.", "integer", default=300, minimum=1
    ),
    "request_share": _field(
        "Request share",
        "What each process may take of that budget, above 0 and up to 1: a quarter where four tasks use it at once.",
        "string",  # the form of Airflow 3.1 has no field for fractions
        default="1",
    ),
    "allowed_download_hosts": _field(
        "Allowed download hosts",
        "Hosts that archives may be downloaded from, separated by commas; *.example.com for all below a domain. "
        "Empty: the object stores of Genesys Cloud.",
        "string",
    ),
    "allow_insecure": _field(
        "Allow http://",
        "Send the client secret and receive data unencrypted: for test servers only.",
        "boolean",
        default=False,
    ),
    "former_client_secret": _field(
        "Former OAuth client secret",
        "The secret before the last rotation: it opens what was encrypted with it. Remove it a day later.",
        "string",
        format="password",
    ),
}
"""The extras of a connection: name in the extra JSON to label, description and JSON schema."""


def _modules(*names: str) -> list[dict[str, Any]]:
    return [{"integration-name": GENESYS, "python-modules": [f"{PACKAGE}.{name}" for name in names]}]


def _transfer(target: str, module: str) -> dict[str, str]:
    return {
        "source-integration-name": GENESYS,
        "target-integration-name": target,
        "python-module": f"{PACKAGE}.transfers.{module}",
    }


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the shape of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-genesys",
        "name": GENESYS,
        "description": "Exports of Genesys Cloud, streamed into S3, PostgreSQL and other sinks.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": GENESYS,
                "external-doc-url": "https://developer.genesys.cloud/",
                "tags": ["service"],
            }
        ],
        "hooks": _modules("hooks.genesys"),
        "operators": _modules(
            "operators.dead_letters",
            "operators.export",
            "operators.finish_loads",
            "operators.plan",
            "operators.reconcile",
            "operators.shards",
            "operators.verify",
            "operators.verify_stored",
            "operators.warehouse_lists",
        ),
        "sensors": _modules("sensors.export"),
        "triggers": _modules("triggers.availability", "triggers.export"),
        "transfers": [
            _transfer("PostgreSQL", "genesys_to_postgres"),
            _transfer("PostgreSQL", "genesys_entities_to_postgres"),
            _transfer("Amazon Simple Storage Service (S3)", "genesys_entities_to_s3"),
            _transfer("Microsoft Azure Blob Storage", "genesys_entities_to_azure_blob"),
            _transfer("Amazon Simple Storage Service (S3)", "genesys_to_s3"),
            _transfer("Amazon Simple Storage Service (S3)", "genesys_media_to_s3"),
            _transfer("Microsoft Azure Blob Storage", "genesys_to_azure_blob"),
            _transfer("Microsoft Azure Blob Storage", "genesys_media_to_azure_blob"),
            _transfer("Google Cloud Storage (GCS)", "genesys_to_gcs"),
            _transfer("Google Cloud Storage (GCS)", "genesys_media_to_gcs"),
            _transfer("Google Cloud Storage (GCS)", "genesys_entities_to_gcs"),
            _transfer("Amazon Simple Queue Service (SQS)", "genesys_to_sqs"),
        ],
        "connection-types": [
            {
                "connection-type": "genesys_cloud",
                "hook-class-name": f"{PACKAGE}.hooks.genesys.GenesysCloudHook",
                "hook-name": GENESYS,
                "ui-field-behaviour": FIELD_BEHAVIOUR,
                "conn-fields": CONNECTION_FIELDS,
            }
        ],
        "extra-links": [
            f"{PACKAGE}.links.genesys.GenesysExportLink",
            f"{PACKAGE}.links.s3.GenesysS3PrefixLink",
        ],
    }
