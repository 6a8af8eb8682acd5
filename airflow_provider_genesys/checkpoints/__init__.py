"""Where a checkpoint lives when the sink has no ledger, as a queue has none: :mod:`.redis` or :mod:`.dynamodb`.

:mod:`.base` says what a store promises. :mod:`.conditional` keeps that promise for any store that can replace an entry
on the condition that nobody else has replaced it meanwhile.
"""
