"""Where records land. :mod:`.base` says what a sink promises; each other module is one sink."""
