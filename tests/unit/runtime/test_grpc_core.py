"""Who reads gRPC's sockets."""

from __future__ import annotations

import os
import subprocess
import sys

from reconciler.runtime import grpc_core

MESSAGES = 300
# Messages there and back on one stream, then how often gRPC's own threads were woken.
PROGRAM = f"""
import asyncio, os
from reconciler.runtime.grpc_core import configure

if os.environ.get("CONFIGURED"):
    configure()
import grpc, grpc.aio

async def echo(_requests, context):
    while isinstance(message := await context.read(), bytes):
        await context.write(message)

def woken():
    found = 0
    for task in os.scandir("/proc/self/task"):
        lines = open(task.path + "/status").read().splitlines()
        said = dict(line.split(":", 1) for line in lines)
        if said["Name"].strip() == "event_engine":
            found += int(said["voluntary_ctxt_switches"])
    return found

async def main():
    server = grpc.aio.server()
    methods = {{"Echo": grpc.stream_stream_rpc_method_handler(echo)}}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{{port}}") as channel:
        call = channel.stream_stream("/test/Echo")()
        before = woken()
        for _ in range({MESSAGES}):
            await call.write(b"message")
            assert await call.read() == b"message"
        print(woken() - before)
    await server.stop(0)

asyncio.run(main())
"""


def test_no_thread_of_grpc_is_woken_for_a_message() -> None:
    """Beside the one that waits for what is complete; by default some are, for every message."""
    assert _woken(CONFIGURED="1") < MESSAGES / 3
    assert _woken() > MESSAGES


def test_what_is_set_already_stays() -> None:
    assert _woken(CONFIGURED="1", GRPC_EXPERIMENTS="-event_engine_dns") > MESSAGES


def test_the_program_configures_it_first_of_all() -> None:
    first = "import contextlib, io, sys\nfrom reconciler.cli.main import main\n"
    first += "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
    first += "    main(['zone', '--help'])\n"
    assert int(_run(first + PROGRAM)) < MESSAGES / 3


def _woken(**settings: str) -> int:
    return int(_run(PROGRAM, **settings))


def _run(code: str, **settings: str) -> str:
    environment = {n: v for n, v in os.environ.items() if n not in grpc_core.SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, **settings},
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
        text=True,
    )
    return done.stdout
