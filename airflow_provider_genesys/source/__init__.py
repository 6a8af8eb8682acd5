"""Read an export: an archive or pages, from a position on, in slices of whole records."""
