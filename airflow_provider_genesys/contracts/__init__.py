"""Contracts: the columns, types and modes of a record, and its personal data. ``built_in`` has the shipped ones."""
