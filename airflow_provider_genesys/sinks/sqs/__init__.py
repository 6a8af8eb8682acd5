"""Messages in a queue of SQS, at least once; the checkpoint lives in a separate store."""
