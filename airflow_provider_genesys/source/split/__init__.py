"""Cut a document into records."""
