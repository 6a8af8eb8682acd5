"""Throughput and memory of the whole path, measured in processes of their own."""
