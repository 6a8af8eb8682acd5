"""Whether everything that Genesys has counted is in the sink."""
