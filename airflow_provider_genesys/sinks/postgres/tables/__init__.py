"""The tables that a load writes to: their columns, types, partitions, and how they are created and checked."""
