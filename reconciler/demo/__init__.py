"""The whole system on one machine, from nothing: what `reconciler demo` runs.

`world` starts and stops the real parts (Git, global, zones, Envoys, small applications), `tour`
drives them and checks what happens, `board` shows them live. Nothing here is used by a control
plane.
"""
