"""Read dead letters again, through today's contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator, Context

from airflow_provider_genesys.exceptions import ConfigurationError, DeadLetterError
from airflow_provider_genesys.hooks.clients import client, connect
from airflow_provider_genesys.hooks.object_store import open_bucket
from airflow_provider_genesys.tasks.connection import dag_folder
from airflow_provider_genesys.tasks.failures import failing_fast
from airflow_provider_genesys.tasks.files import check_file
from airflow_provider_genesys.tasks.rendered import Rendered, id_or_none, place, text, text_or_none
from airflow_provider_genesys.window import absent, read_window

if TYPE_CHECKING:
    from airflow_provider_genesys.contracts.contract import Contract
    from airflow_provider_genesys.pipeline.replay import Span
    from airflow_provider_genesys.sinks.objects.replay import ObjectReplay
    from airflow_provider_genesys.sinks.postgres.replay import PostgresReplay
    from airflow_provider_genesys.sinks.sqs.replay import SqsReplay


class GenesysReplayDeadLettersOperator(Rendered, BaseOperator):
    """Read the open dead letters of a table, bucket, container or queue again, through today's contract, into the same.

    Letters that become rows are marked as replayed; those that still fail stay open with their new reason. A second
    replay changes nothing. In a table, a replayed row never replaces a newer one. See ``docs/dead-letters.md``.

    One of ``table``, ``s3_bucket``, ``container_name``, ``gcs_bucket`` and ``queue_url`` is given.

    XCom ``return_value`` is {letters, replayed, written, duplicates, still_open, unreadable, loads, loads_skipped,
    strays, gone, mended: {rule: count}, broken: {rule: count}}: ``mended`` counts the rules that replayed letters had
    broken, ``broken`` those that open letters break now.

    :param table: name of the table that was loaded. (templated)
    :param schema: its schema. (templated)
    :param s3_bucket: the bucket that was loaded into. (templated)
    :param s3_prefix: the prefix of the loads in it. (templated)
    :param container_name: the container that was loaded into. (templated)
    :param blob_prefix: the prefix of the loads in it. (templated)
    :param gcs_bucket: the bucket of Google Cloud Storage that was loaded into. (templated)
    :param gcs_prefix: the prefix of the loads in it. (templated)
    :param queue_url: the queue that was loaded into. (templated)
    :param dead_letter_queue_url: the queue of its dead letters, not a FIFO queue. (templated)
    :param message_group_id: message group in ``queue_url``, as for the loading operator. (templated)
    :param fencing: for ``s3_bucket``, as for the loading operator.
    :param extra_args: for ``s3_bucket``, ``container_name`` or ``gcs_bucket``, as for the loading operator.
    :param dead_letter_raw: as for the loading operators. Letters in clear are read only with ``keep``: anyone with the
        right to write there can make one.
    :param window_start: replay only loads whose window ends after this; with ``window_end``. (templated)
    :param window_end: replay only loads whose window starts before this. (templated)
    :param contract: as for the loading operators; default: the built-in contract of the kind. (templated)
    :param pii_key: where the key for hashing personal data is kept, as for the loading operators; default: as the
        contract says. (templated)
    :param postgres_conn_id: the PostgreSQL connection. (templated)
    :param aws_conn_id: the AWS connection. (templated)
    :param wasb_conn_id: the Azure connection. (templated)
    :param gcp_conn_id: the Google connection. (templated)
    :param genesys_conn_id: the Genesys connection; its client secret encrypted the letters. (templated)
    """

    template_fields: Sequence[str] = (
        "table",
        "schema",
        "s3_bucket",
        "s3_prefix",
        "container_name",
        "blob_prefix",
        "gcs_bucket",
        "gcs_prefix",
        "queue_url",
        "dead_letter_queue_url",
        "message_group_id",
        "window_start",
        "window_end",
        "contract",
        "pii_key",
        "postgres_conn_id",
        "aws_conn_id",
        "wasb_conn_id",
        "gcp_conn_id",
        "genesys_conn_id",
    )
    ui_color = "#fff0d9"

    def __init__(
        self,
        *,
        table: str | None = None,
        schema: str = "public",
        s3_bucket: str | None = None,
        s3_prefix: str | None = None,
        container_name: str | None = None,
        blob_prefix: str | None = None,
        gcs_bucket: str | None = None,
        gcs_prefix: str | None = None,
        queue_url: str | None = None,
        dead_letter_queue_url: str | None = None,
        message_group_id: str | None = None,
        fencing: Literal["conditional", "none"] = "conditional",
        extra_args: dict[str, Any] | None = None,
        dead_letter_raw: Literal["encrypt", "keep", "drop"] = "encrypt",
        window_start: datetime | str | None = None,
        window_end: datetime | str | None = None,
        contract: str | Contract | None = None,
        pii_key: str | None = None,
        postgres_conn_id: str = "postgres_default",
        aws_conn_id: str | None = "aws_default",
        wasb_conn_id: str = "wasb_default",
        gcp_conn_id: str = "google_cloud_default",
        genesys_conn_id: str = "genesys_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.schema = schema
        self.s3_bucket = s3_bucket
        self.s3_prefix = s3_prefix
        self.container_name = container_name
        self.blob_prefix = blob_prefix
        self.gcs_bucket = gcs_bucket
        self.gcs_prefix = gcs_prefix
        self.queue_url = queue_url
        self.dead_letter_queue_url = dead_letter_queue_url
        self.message_group_id = message_group_id
        self.fencing = fencing
        self.extra_args = extra_args
        self.dead_letter_raw = dead_letter_raw
        self.window_start = window_start
        self.window_end = window_end
        self.contract = contract
        self._contract_in_dag = contract
        self.pii_key = pii_key
        self.postgres_conn_id = postgres_conn_id
        self.aws_conn_id = aws_conn_id
        self.wasb_conn_id = wasb_conn_id
        self.gcp_conn_id = gcp_conn_id
        self.genesys_conn_id = genesys_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Replay, and return the account."""
        ti = context["ti"]
        with failing_fast():
            replay = self._replay()
            account = replay.run(self._contract_of, f"{ti.dag_id}/{ti.run_id}/{ti.task_id}", self._window())
        if account.strays:
            self.log.warning("%d objects or messages are not dead letters; they were left as they are.", account.strays)
        if account.gone:
            self.log.warning("%d dead letters are no longer there, and could not be replayed.", account.gone)
        self.log.info(
            "%d of %d dead letters were replayed, %d stay open.", account.replayed, account.letters, account.still_open
        )
        return account.summary()

    def _replay(self) -> PostgresReplay | ObjectReplay | SqsReplay:
        places: dict[str, Callable[[], PostgresReplay | ObjectReplay | SqsReplay]] = {
            "table": self._in_postgres,
            "s3_bucket": lambda: self._in_objects(
                "s3", "s3_bucket", "s3_prefix", id_or_none(self.aws_conn_id, "aws_conn_id")
            ),
            "container_name": lambda: self._in_objects(
                "az", "container_name", "blob_prefix", text(self.wasb_conn_id, "wasb_conn_id")
            ),
            "gcs_bucket": lambda: self._in_objects(
                "gs", "gcs_bucket", "gcs_prefix", text(self.gcp_conn_id, "gcp_conn_id")
            ),
            "queue_url": self._in_sqs,
        }
        given = [replay for name, replay in places.items() if not absent(getattr(self, name))]
        if len(given) != 1:
            raise ConfigurationError(f"Give exactly one of {', '.join(places)}: the place of the dead letters.")
        return given[0]()

    def _in_postgres(self) -> PostgresReplay:
        from airflow_provider_genesys.sinks.postgres.replay import PostgresReplay

        schema, table = place(self.schema, self.table)
        return PostgresReplay(
            lambda: connect(text(self.postgres_conn_id, "postgres_conn_id")),
            table,
            schema=schema,
            opened=self._open,
            pii_key=self._pii_key,
        )

    def _in_sqs(self) -> SqsReplay:
        from airflow_provider_genesys.sinks.sqs.replay import SqsReplay

        return SqsReplay(
            client("sqs", id_or_none(self.aws_conn_id, "aws_conn_id")),
            text(self.queue_url, "queue_url"),
            text(self.dead_letter_queue_url, "dead_letter_queue_url"),
            opened=self._open,
            pii_key=self._pii_key,
            message_group_id=text_or_none(self.message_group_id, "message_group_id"),
        )

    def _in_objects(self, scheme: str, bucket: str, prefix: str, conn_id: str | None) -> ObjectReplay:
        """Return the replay in an object store; ``bucket`` and ``prefix`` are names of arguments."""
        from airflow_provider_genesys.sinks.objects.replay import ObjectReplay

        place, below = (text(getattr(self, name), name) for name in (bucket, prefix))
        store = open_bucket(scheme, place, conn_id, self.extra_args)
        return ObjectReplay(store, below, opened=self._open, pii_key=self._pii_key, fencing=self.fencing)

    @cached_property
    def _open(self) -> Callable[[Mapping[str, Any]], bytes]:
        from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
        from airflow_provider_genesys.sinks.dead_letters import only_encrypted

        opened = GenesysCloudHook(text(self.genesys_conn_id, "genesys_conn_id")).open_dead_letter
        return opened if self.dead_letter_raw == "keep" else only_encrypted(opened)

    def _contract_of(self, kind: str) -> Contract:
        from airflow_provider_genesys.contracts.contract import built_in_names, resolve

        if absent(self.contract) and kind not in built_in_names():
            raise DeadLetterError(f"There is no contract for exports of the kind {kind!r:.99}; give one as contract.")
        check_file(self, "contract", self.contract, self._contract_in_dag)
        return resolve(None if absent(self.contract) else self.contract, kind=kind, folder=dag_folder(self))

    def _pii_key(self, contract: Contract) -> bytes | None:
        from airflow_provider_genesys.tasks.arguments import hash_key_of

        return hash_key_of(self.pii_key, contract)

    def _window(self) -> Span:
        from airflow_provider_genesys.pipeline.replay import EVER, Span

        window = read_window("the operator's arguments", self.window_start, self.window_end)
        return Span(window.start, window.end) if window else EVER
