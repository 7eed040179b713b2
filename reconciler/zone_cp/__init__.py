"""The zone control plane's process. Shell.

`plane` delivers events to the pure step and carries out its effects, `certificates` are those it
signs, `host_names` looks proxies' names up, `bootstrap` is what proxies are told when they start
and end, `answers` what operators are told, `process` starts and ends it all.
"""
