"""Load an export into Amazon SQS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.hooks.checkpoint_store import TABLE, open_store
from airflow_provider_genesys.hooks.clients import client
from airflow_provider_genesys.tasks.rendered import id_or_none, text, text_or_none
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator

if TYPE_CHECKING:
    from airflow_provider_genesys.pipeline.certificate import Certificate
    from airflow_provider_genesys.pipeline.sink import Sink


class GenesysExportToSqsOperator(GenesysExportTransferOperator):
    """Send an export to a queue, one message per record, at least once.

    A queue has no transactions: after a crash, some records are sent a second time, with the same ``message_id``. See
    ``docs/sqs.md`` for how consumers use it, and for the rights it needs.

    For the other parameters see :class:`.base.GenesysExportTransferOperator`.

    :param queue_url: URL of the queue for the records; a FIFO queue's ends with ``.fifo``. (templated)
    :param dead_letter_queue_url: URL of the queue for rejected records. (templated)
    :param checkpoint_conn_id: connection to the checkpoint store, of the type ``redis`` or ``aws`` (DynamoDB).
        (templated)
    :param checkpoint_table: the DynamoDB table. (templated)
    :param message_group_id: message group in a FIFO queue; default: one group per load. (templated)
    :param max_message_bytes: a larger message is dead-lettered; default: the queue's own limit, at most 1 MiB.
    :param max_in_flight: requests to a standard queue at the same time.
    :param aws_conn_id: the AWS connection of the queues. (templated)
    """

    template_fields: Sequence[str] = (
        *GenesysExportTransferOperator.template_fields,
        "queue_url",
        "dead_letter_queue_url",
        "checkpoint_conn_id",
        "checkpoint_table",
        "message_group_id",
        "aws_conn_id",
    )

    def __init__(
        self,
        *,
        queue_url: str,
        dead_letter_queue_url: str,
        checkpoint_conn_id: str,
        checkpoint_table: str = TABLE,
        message_group_id: str | None = None,
        max_message_bytes: int | None = None,
        max_in_flight: int = 8,
        aws_conn_id: str | None = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.queue_url = queue_url
        self.dead_letter_queue_url = dead_letter_queue_url
        self.checkpoint_conn_id = checkpoint_conn_id
        self.checkpoint_table = checkpoint_table
        self.message_group_id = message_group_id
        self.max_message_bytes = max_message_bytes
        self.max_in_flight = max_in_flight
        self.aws_conn_id = aws_conn_id

    def letters_at(self, certificate: Certificate) -> str:
        """Return the queue."""
        return f"{self.dead_letter_queue_url}, load {certificate.load_id}"

    def make_sink(self) -> Sink:
        """Return the sink, not opened."""
        from airflow_provider_genesys.sinks.sqs.settings import SqsSettings
        from airflow_provider_genesys.sinks.sqs.sink import SqsSink

        settings = SqsSettings(
            text(self.queue_url, "queue_url"),
            text(self.dead_letter_queue_url, "dead_letter_queue_url"),
            message_group_id=text_or_none(self.message_group_id, "message_group_id"),
            max_message_bytes=self.max_message_bytes,
            max_in_flight=self.max_in_flight,
            dead_letter_raw=self.dead_letter_raw,
            encrypt=self.encrypt,
        )
        conn_id, table = (text(getattr(self, name), name) for name in ("checkpoint_conn_id", "checkpoint_table"))
        aws_conn_id = id_or_none(self.aws_conn_id, "aws_conn_id")
        return SqsSink(
            lambda: client("sqs", aws_conn_id, {"max_pool_connections": self.max_in_flight}),
            lambda: open_store(conn_id, table=table),
            settings,
        )
