"""Decompress an archive, and know where each member begins."""
