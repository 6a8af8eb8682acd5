"""What a record becomes: source path to column, type, and whether it may be missing."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal, get_args

import msgspec

from airflow_provider_genesys.exceptions import ContractError

ColumnType = Literal["string", "integer", "number", "decimal", "boolean", "timestamp", "uuid", "json"]
"""Value in a row: str · int · float · Decimal · bool · datetime (aware, UTC) · str (canonical) · bytes (JSON text)."""

PROCESSED_AT = "@processed_at"
"""A path that reads the load's ``processed_at`` instead of a field of the record."""


@dataclass(frozen=True)
class Column:
    """One column of the result.

    :param name: its name in the output, as the record's own style has it (``recordingId``).
    :param path: dotted path in the record (``queue.id``), or :data:`PROCESSED_AT`.
    :param type: see :data:`ColumnType`.
    :param required: a record without it is set aside. Other columns become null.
    :param description: for the table's comment and the docs.
    """

    name: str
    path: str
    type: ColumnType
    required: bool = False
    description: str = ""

    def __post_init__(self) -> None:
        if self.type not in get_args(ColumnType):
            raise ContractError(f"Column {self.name!r}: unknown type {self.type!r}; one of {get_args(ColumnType)}.")
        if not self.path or not all(self.path.split(".")):
            raise ContractError(f"Column {self.name!r}: the path {self.path!r} has an empty step.")


@dataclass(frozen=True)
class Contract:
    """Columns of one export kind, versioned.

    :param key: name of the column that identifies a record; required and of type string or uuid.
    :param timestamp: name of the column that places a record in the window.
    """

    name: str
    version: int
    key: str
    timestamp: str
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ContractError(f"Contract {self.name}: column names appear twice: {', '.join(repeated)}.")
        self._check_paths()
        for role in (self.key, self.timestamp):
            if role not in names:
                raise ContractError(f"Contract {self.name}: there is no column {role!r}; it has {', '.join(names)}.")
        if not self.columns[names.index(self.key)].required:
            raise ContractError(f"Contract {self.name}: the key column {self.key!r} has to be required.")

    def _check_paths(self) -> None:
        paths = {column.path for column in self.columns}
        for path in paths:
            parent = path.rpartition(".")[0]
            if parent in paths:
                raise ContractError(
                    f"Contract {self.name}: {parent!r} is a column of its own and also read into by {path!r}."
                )

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that changes what a record becomes; 16 hex digits."""
        return hashlib.sha256(msgspec.json.encode(asdict(self))).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.name}@{self.version}#{self.fingerprint}"

    def index(self, column: str) -> int:
        """Return the place of ``column`` in a row."""
        return [c.name for c in self.columns].index(column)


RECORDINGS = Contract(
    name="recordings",
    version=1,
    key="recordingId",
    timestamp="timestamp",
    columns=(
        Column("recordingId", "recordingId", "string", required=True, description="Id of the recording"),
        Column("conversationId", "conversationId", "string", description="Conversation that was recorded"),
        Column("timestamp", "timestamp", "timestamp", required=True, description="Start of the recording, UTC"),
        Column("durationMs", "durationMs", "integer", required=True, description="Length in milliseconds"),
        Column("queueId", "queue.id", "string", description="Queue; null where the conversation met none"),
        Column("queueName", "queue.name", "string", description="The queue's name at the time"),
        Column("direction", "direction", "string", description="inbound or outbound"),
        Column("participants", "participants", "json", description="Everybody who took part, as exported"),
        Column("media", "media", "json", description="Media of the recording, as exported"),
        Column("metadata", "metadata", "json", description="The conversation's own metadata, as exported"),
        Column("processedAt", PROCESSED_AT, "timestamp", required=True, description="When the load began, UTC"),
    ),
)

BUILT_IN = {RECORDINGS.name: RECORDINGS}


def resolve(contract: str | Contract | None, *, kind: str) -> Contract:
    """Return the contract that ``contract`` names; None stands for the built-in contract of ``kind``.

    :raises ContractError: there is none of that name.
    """
    if isinstance(contract, Contract):
        return contract
    name = contract or kind
    if name not in BUILT_IN:
        raise ContractError(f"There is no contract {name!r}; built in are: {', '.join(sorted(BUILT_IN))}.")
    return BUILT_IN[name]
