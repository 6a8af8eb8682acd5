"""Decompresses an archive, and notes where each member begins."""
