"""Messages in a queue of SQS, at least once; the checkpoint is in a separate store."""
