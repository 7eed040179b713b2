"""Settings of gRPC's C core, which are of the process and read when it is imported."""

from __future__ import annotations

import os

SETTINGS = {
    # Who reads the sockets: here the thread that waits for what is complete. By default an event
    # engine does, whose threads wake each other for every message and compete with the loop: a
    # push to 1,000 streams costs a third more, and 1,000 quiet streams three times as much. Names
    # that the core does not know (any more) it passes over.
    "GRPC_EXPERIMENTS": "-event_engine_listener,-event_engine_client",
    # A peer that goes away is no line in a log of ours, let alone one in a format of its own.
    "GRPC_VERBOSITY": "ERROR",
}


def configure() -> None:
    """To be called before anything imports gRPC. What is set already stays: whoever did it knows
    why.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
