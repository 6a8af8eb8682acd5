"""Operators that load an export into a sink."""
