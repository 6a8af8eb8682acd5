"""The way of a record: download, unpack, split, contract, batch, sink. Start with :mod:`.run`."""
