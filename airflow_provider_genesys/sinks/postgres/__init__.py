"""Tables of PostgreSQL: rows, checkpoint and dead letters are committed in one transaction; begin with :mod:`.sink`."""
