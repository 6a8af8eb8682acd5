"""Checkpoint stores for sinks that have no ledger, such as a queue: :mod:`.redis` and :mod:`.dynamodb`.

:mod:`.base` says what a store promises. :mod:`.conditional` keeps that promise for any store that can replace an entry
on the condition that nobody else has replaced it meanwhile.
"""
