"""Objects of any store: rows go into parts, which a ledger entry commits and a manifest lists; see :mod:`.attempt`."""
