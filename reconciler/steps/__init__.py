"""The pure decisions of the control planes: `step(state, event) -> (state, effects)`.

No sockets, files, clocks or awaits. The shells (`global_cp`, `zone_cp`) deliver events and carry
out effects in the order given: what is to be kept is persisted before anything that tells others
about it is sent. The simulator runs these same functions under virtual time.
"""
