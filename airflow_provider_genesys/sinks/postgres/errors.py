"""What an error of PostgreSQL means for a load: try again, reject a row, or give up.

Only the first line of a server's message is ever shown: its details and its context quote the row.
"""

from __future__ import annotations

import re

import psycopg

from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.outside import shown

STAGE = "genesys_stage"
"""Name of the temporary table that a batch is copied into."""

_TRANSIENT = (
    "08",  # the connection broke
    "25P03",  # ended for having been idle in a transaction
    "25P04",  # ended for the length of its transaction
    "40",  # deadlock, serialisation failure
    "53",  # too many connections, out of memory, disk full
    "55P03",  # lock timeout
    "57",  # shutdown, start-up, statement timeout
)
_ROW = (
    "20",  # a trigger's CASE without a branch for the row
    "21",  # a trigger's subquery with more than one row
    "22",  # a value that its type does not take
    "23",  # a constraint
    "38",  # a trigger in another language than PL/pgSQL
    "44",  # a view's check option
    "54",  # a limit: a key too long for an index, JSON nested too deep
    "P0",  # a trigger's exception that names no SQLSTATE
)
# A connection that the server refuses comes without SQLSTATE. Where the server speaks another language than English,
# these are tried again before they are reported, which only costs time.
_NO_ENTRY = re.compile(
    "authentication failed|no pg_hba.conf entry|no password supplied|not permitted to log in|no such (user|database)"
    "|permission denied for database"
    '|(database|role) ".*" does not exist'
)
# A value may follow.
_CALLED = re.compile(r"^PL/pgSQL\W\w+ ([\w.]{1,130}\(\))", re.MULTILINE)
_COPIED = re.compile(r"^COPY (\w{1,63}), line \d+(?:, column (\w{1,63}))?", re.MULTILINE)
_HINTS = {
    "22001": "A column for text, such as _genesys_export_id, is too short for what a load writes: ALTER TABLE ... "
    "ALTER COLUMN ... TYPE text.",
    "22P05": "The database is not in UTF8, and a name or a description has a character that it does not hold: write it "
    "in ASCII, or load into a database in UTF8.",
    "23503": "Other tables refer to rows that the load removes or replaces. Delete those references first, or let the "
    "constraint do so (ON DELETE CASCADE or SET NULL); then clear the task with on_clear='resume'.",
    "25006": "The connection leads to a server that is read-only; point it at the primary.",
    "3F000": "Create the schema, or name another one.",
    "42501": "Grant the role what docs/postgres.md lists under 'Rights'.",
    "42804": "The table was made with other types than the contract has; alter the column, or load into another table.",
}


def is_transient(error: BaseException) -> bool:
    """Tell whether another try, on a new connection, may succeed."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate:
        return error.sqlstate.startswith(_TRANSIENT)
    lost = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return lost and not _NO_ENTRY.search(str(error))


def is_of_a_row(error: BaseException) -> bool:
    """Tell whether a row is to blame, so that the others can land without it.

    An error that a trigger raises may be transient, too: it is if it does not come again as the row is searched for.
    """
    if isinstance(error, psycopg.Error) and error.sqlstate:
        return error.sqlstate.startswith(_ROW) or _is_against_policy(error) or _is_raised(error)
    return isinstance(error, psycopg.DataError)


def _is_against_policy(error: psycopg.Error) -> bool:
    """Tell whether a policy of row-level security refuses a row: with the SQLSTATE of a right that is missing."""
    # The server's own function that checks rows, whatever language its messages are in.
    return error.sqlstate == "42501" and error.diag.source_function == "ExecWithCheckOptions"


def _is_raised(error: psycopg.Error) -> bool:
    """Tell whether a trigger refuses a row by a RAISE of PL/pgSQL, which may have any SQLSTATE."""
    return error.diag.source_function == "exec_stmt_raise"


def lacks_partition(error: BaseException) -> bool:
    """Tell whether the target is partitioned, and no partition takes the row: a check without a constraint."""
    return isinstance(error, psycopg.errors.CheckViolation) and not error.diag.constraint_name


def is_out_of_bounds(error: Exception) -> bool:
    """Tell whether a partition does not take the row: the target is one, or a trigger of it has changed the row."""
    return isinstance(error, psycopg.Error) and error.diag.source_function == "ExecPartitionCheckEmitError"


def rule_of(error: psycopg.Error) -> str:
    """Return the condition's name as PostgreSQL's manual has it, e.g. ``numeric-value-out-of-range``."""
    if lacks_partition(error):
        return "missing-partition"
    if _is_against_policy(error):
        return "row-level-security"
    if _is_raised(error) and not (error.sqlstate or "").startswith(_ROW):
        return "raise-exception"
    return re.sub("(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()


def places_of(error: psycopg.Error) -> list[str]:
    """Return where a row was refused: names of table, column and constraint, as far as the server says."""
    diag = error.diag
    copied = _COPIED.search(diag.context or "")
    table, column = copied.groups() if copied else (None, None)
    names = {
        "table": diag.table_name or table,
        "column": diag.column_name or column,
        "constraint": diag.constraint_name,
    }
    return [f"{kind} {name}" for kind, name in names.items() if name and name != STAGE]


def describe(error: psycopg.Error) -> str:
    """Return what happened, without values of the row."""
    called = _CALLED.search(error.diag.context or "")
    where = f" in the function {called[1]}" if called else ""
    if is_of_a_row(error):
        place = f" of {error.diag.constraint_name}" if error.diag.constraint_name else ""
        return f"{rule_of(error)}{place}{where} (SQLSTATE {error.sqlstate})"
    if error.sqlstate:
        return f"{shown(error.diag.message_primary or error)}{where} (SQLSTATE {error.sqlstate})"
    return shown(error).rstrip(".")


def refusal(error: psycopg.Error, doing: str) -> SinkRefusedError:
    """Return the error for a failure that no retry can solve."""
    hint = _HINTS.get(error.sqlstate or "", "Correct it, then clear the task with on_clear='resume'.")
    return SinkRefusedError(f"PostgreSQL refuses {doing}: {describe(error)}. {hint}", code=error.sqlstate)
