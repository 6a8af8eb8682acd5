"""What to do about each error that ends a task, for the tab of a load and for docs/troubleshooting.md."""

from __future__ import annotations

from airflow_provider_genesys import exceptions

ADVICE: dict[type[exceptions.GenesysError], str] = {
    exceptions.ConfigurationError: (
        "Change what the message names: the connection, an argument or a file. Then clear the task."
    ),
    exceptions.WindowError: ("Give the task window_start and window_end, or the DAG a CronDataIntervalTimetable."),
    exceptions.ContractError: "Correct the contract file at the line that the message names.",
    exceptions.MissingExtraError: "Run the pip command of the message where workers run.",
    exceptions.AuthenticationError: (
        "Check client id, client secret and region of the connection. The OAuth client needs the grant "
        "Client Credentials."
    ),
    exceptions.PermissionDeniedError: (
        "Give the role of the OAuth client the permission that the message names. Then clear the task."
    ),
    exceptions.NotFoundError: (
        "Check the id, and that the connection leads to the organisation in which the export was made."
    ),
    exceptions.RequestRefusedError: (
        "Read Genesys' reason in the message. Most often an argument or a filter is wrong."
    ),
    exceptions.AnswerTooLargeError: (
        "See in the message which limit was passed. If the host of the connection is a gateway, look at what it sends."
    ),
    exceptions.CloudUnavailableError: (
        "Nothing, while Airflow retries. If it lasts, look at the status page of Genesys Cloud and at your proxy."
    ),
    exceptions.ForeignAnswerError: (
        "Look for a proxy, a gateway or a login page between worker and Genesys Cloud, and check the region or host of "
        "the connection. Then clear the task."
    ),
    exceptions.CircuitOpenError: (
        "Nothing, while Airflow retries. If it lasts, check that workers reach the login host of the region."
    ),
    exceptions.JobLimitError: (
        "Nothing: the task waits for its turn. To wait less, run fewer exports at once, with max_active_runs or a pool."
    ),
    exceptions.ExportFailedError: "Clear the create task and those after it, so that a new export is made.",
    exceptions.ExportGoneError: "Clear the create task and those after it, so that a new export is made.",
    exceptions.WindowTooLargeError: "Export shorter windows.",
    exceptions.ExportTimeoutError: (
        "Raise the sensor's timeout, or export a shorter window. Then clear the create task."
    ),
    exceptions.SourceUnavailableError: (
        "Nothing, while Airflow retries: the next try goes on from the last commit. If it lasts, check the "
        "way to the download host."
    ),
    exceptions.UrlExpiredError: (
        "Nothing, while Airflow retries. If it lasts, clear the create task, so that a new export is made."
    ),
    exceptions.SourceRefusedError: (
        "Clear the create task, so that a new export is made. If that is refused, too, check the rights that "
        "the message names."
    ),
    exceptions.SourceChangedError: (
        "Clear the load: it then begins with the first byte. If it happens again, clear the create task."
    ),
    exceptions.ListingMovedError: "Run the task again at a quieter time: the listing changed during each walk.",
    exceptions.CursorLostError: "Clear the load: it then reads the pages from the first one.",
    exceptions.IncompleteError: (
        "Clear the create task, so that the window is exported again. Details may come days late."
    ),
    exceptions.NotAnArchiveError: (
        "See in the message what was received. HTML comes from a proxy or a login page between worker and store."
    ),
    exceptions.NotTheFileError: (
        "Look for a proxy or a login page between worker and download host, and clear the task when it is gone. If the "
        "store itself answers with an error, clear the create task."
    ),
    exceptions.UntrustedHostError: (
        "If the host is one of yours, add it to allowed_download_hosts in the connection's extras."
    ),
    exceptions.ContractFrozenError: (
        "Add the field that the message names to the contract, or choose another mode for it."
    ),
    exceptions.DeadLetterBudgetError: (
        "Look at the dead letters by rule. Change the contract, or allow more with max_dead_letters or "
        "max_dead_letter_ratio. Then clear the task."
    ),
    exceptions.DeadLetterError: "Replay with the connection whose client secret encrypted the dead letters.",
    exceptions.SinkUnavailableError: (
        "Nothing, while Airflow retries: the next try goes on from the last commit. If it lasts, look at the "
        "database or store."
    ),
    exceptions.SinkRefusedError: (
        "Do what the message says: create the table or bucket, or grant the right. Then clear the task."
    ),
    exceptions.SnapshotShrunkError: (
        "Check the rights of the OAuth client: it may see less than before. If the entities are really gone, "
        "raise max_deleted_ratio for one run."
    ),
    exceptions.UnrankedExportError: "Give the load submitted_at: the time at which its export was made.",
    exceptions.FencedError: "Nothing: a newer try of the same load is at work. Look at that one.",
    exceptions.CheckpointError: (
        "Clear the task: it then begins with the first byte. Check that no other load uses the same place."
    ),
    exceptions.MemoryLimitError: "Raise max_memory_mb, or lower batch_size or page_size.",
    exceptions.AccountError: (
        "Keep the log and report this. The numbers of the load do not add up, so it was not called complete."
    ),
}
"""By class of the error. Classes that only group others have none."""


def happened(kind: type[exceptions.GenesysError]) -> str:
    """Return in a sentence what an error of this class says."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].replace("``", "").split())
