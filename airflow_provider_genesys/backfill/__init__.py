"""Plan the windows of a backfill from what Genesys Cloud counts."""
