"""Where records land. :mod:`.sink` says what a sink promises; :mod:`.local` and each package here is one sink.

``objects`` is what every object store shares: parts, formats, ledger and manifest; a store adds its requests to it.
"""
