"""
### Genesys Cloud: read dead letters again

Records that a load has rejected are read through today's contract. What becomes rows lands in the table, bucket,
container or queue that the load filled; what still fails stays open. Nothing is downloaded, and nothing is lost.

* **When**: after a contract was mended, a column of the table was widened, or a constraint was dropped.
* **By hand**: *Trigger*, with the table in the form, or with an empty table and a bucket or container with its
  prefix, or a queue with that of its dead letters; and with a window where not all of it is meant.
* **Again**: running it twice changes nothing. A row that a newer export has written stays.
* **Watch**: the XCom `return_value`: `mended` counts the rules that were broken and are no more, `broken` those that
  are broken now.

Connections: `genesys_default`, and `postgres_default`, `aws_default`, `wasb_default` or `google_cloud_default`.
"""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Param

from airflow_provider_genesys.operators.dead_letters import GenesysReplayDeadLettersOperator

with DAG(
    dag_id="genesys_replay_dead_letters",
    description="Dead letters of Genesys Cloud loads, read again through today's contract",
    doc_md=__doc__,
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "data", "retries": 2, "retry_delay": timedelta(minutes=1)},
    params={
        "schema": Param("public", type="string", title="PostgreSQL schema"),
        "table": Param("genesys_recordings", type=["null", "string"], title="PostgreSQL table"),
        "s3_bucket": Param(
            None,
            type=["null", "string"],
            title="S3 bucket",
            description="Instead of the table: the bucket that the loads are in, with the prefix.",
        ),
        "s3_prefix": Param(None, type=["null", "string"], title="S3 prefix"),
        "container_name": Param(
            None,
            type=["null", "string"],
            title="Azure container",
            description="Instead of table and bucket, with the prefix.",
        ),
        "blob_prefix": Param(None, type=["null", "string"], title="Azure prefix"),
        "gcs_bucket": Param(
            None,
            type=["null", "string"],
            title="Google Cloud Storage bucket",
            description="Instead of table, bucket and container, with the prefix.",
        ),
        "gcs_prefix": Param(None, type=["null", "string"], title="Google Cloud Storage prefix"),
        "queue_url": Param(
            None,
            type=["null", "string"],
            title="SQS queue",
            description="Instead of table, bucket and container, with the queue of its dead letters.",
        ),
        "dead_letter_queue_url": Param(None, type=["null", "string"], title="SQS queue of dead letters"),
        "window_start": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Window start",
            description="Only loads whose window ends after this. Empty, with the end: all loads.",
        ),
        "window_end": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Window end",
            description="Only loads whose window starts before this.",
        ),
        "contract": Param(
            None,
            type=["null", "string"],
            title="Contract",
            description="Name of a built-in contract, or path of a YAML file below the folder of this DAG's file. "
            "Empty: that of the kind of export.",
        ),
    },
    render_template_as_native_obj=True,
    tags=["genesys", "dead letters"],
) as dag:
    GenesysReplayDeadLettersOperator(
        task_id="replay",
        schema="{{ params.schema }}",
        table="{{ params.table }}",
        s3_bucket="{{ params.s3_bucket }}",
        s3_prefix="{{ params.s3_prefix }}",
        container_name="{{ params.container_name }}",
        blob_prefix="{{ params.blob_prefix }}",
        gcs_bucket="{{ params.gcs_bucket }}",
        gcs_prefix="{{ params.gcs_prefix }}",
        queue_url="{{ params.queue_url }}",
        dead_letter_queue_url="{{ params.dead_letter_queue_url }}",
        window_start="{{ params.window_start }}",
        window_end="{{ params.window_end }}",
        contract="{{ params.contract }}",
    )
