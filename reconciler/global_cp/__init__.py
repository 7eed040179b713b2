"""The global control plane's process. Shell.

`plane` delivers events to the pure step and carries out its effects, `repository` follows the
policies, `answers` is what operators are told, `process` starts and ends it all.
"""
