"""Requests to Genesys Cloud: client, tokens, pace and errors."""
