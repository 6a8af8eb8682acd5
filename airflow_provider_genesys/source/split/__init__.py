"""Cuts a document into records."""
