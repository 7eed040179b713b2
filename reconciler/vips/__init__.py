"""Names of services and the virtual addresses behind them.

`wanted` says which names a mesh has and where they lead, `allocation` which address each has, and
`resolvable` what of both a proxy is told. Pure.
"""
