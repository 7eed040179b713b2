"""What `global` and `zone` share: a loop that ends cleanly on SIGTERM, and their common options."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.options import VARIABLE, port
from reconciler.runtime.allocator import keep_little
from reconciler.runtime.collector import seldom

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from reconciler.api.diagnostics import Diagnostics


# A thread that computes (the store's, the loader's, a status) holds the loop as long as that, each
# time the loop comes back from a socket; Python's own 5 ms would be most of a turn.
SWITCH_S = 0.0005
STOP_WITHIN_S = 4.5  # of the 5 s after which the process must be gone


def run_until_signal(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """`main(stop)`; `stop` is set by SIGTERM or SIGINT.

    What still runs STOP_WITHIN_S later is cut off: a write that hangs in the kernel, or a server
    that does not let go, would keep the process until somebody kills it. The store survives that
    at any moment. A second signal does the same at once.
    """

    _many_open_files()
    keep_little()
    seldom()
    sys.setswitchinterval(SWITCH_S)

    async def running() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def stopping() -> None:
            if stop.is_set():
                _cut_off("a second signal")
            stop.set()
            late = threading.Timer(STOP_WITHIN_S, _cut_off, (f"over {STOP_WITHIN_S} s",))
            late.daemon = True  # Not of the loop, which may be what hangs.
            late.start()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping)
        await main(stop)

    asyncio.run(running())


def _many_open_files() -> None:
    """A connection is an open file; the usual soft limit of 1,024 is soon reached by proxies."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _cut_off(reason: str) -> None:
    from logging import getLogger

    from reconciler.runtime.log import note

    note(getLogger("reconciler"), "process.stop_incomplete", reason=reason)
    sys.stderr.flush()
    os._exit(1)


def add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state-dir",
        type=Path,
        required=True,
        help="keys and everything else this control plane keeps (made with mode 0700)",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--tls-host",
        action="append",
        default=[],
        help="another name or address that peers reach this server by, for its certificate; "
        "may be repeated",
    )
    parser.add_argument(
        "--diagnostics-port",
        type=port,
        default=5680,
        help="of health and metrics: /healthy, /ready, /metrics (default: 5680)",
    )
    parser.add_argument(
        "--diagnostics-plain",
        action="store_true",
        help="health and metrics without TLS, for scrapers that cannot be given the certificate",
    )
    parser.add_argument(
        "--log-format",
        choices=("json", "text"),
        default="text" if sys.stderr.isatty() else "json",
        help="of the log on stderr (default: text on a terminal, json elsewhere)",
    )


def diagnostics(args: argparse.Namespace, folder: Path) -> Diagnostics:
    """With the server certificate that is made before anything listens."""
    from reconciler.api.diagnostics import Diagnostics

    tls = None if args.diagnostics_plain else (folder / "tls/cert.pem", folder / "tls/key.pem")
    return Diagnostics(args.host, args.diagnostics_port, tls)


def secret_from_environment(name: str) -> str | None:
    """What must not stand on a command line, where every user of the machine can read it. An empty
    variable is none.
    """
    return os.environ.get(f"{VARIABLE}{name}") or None


def words_of(error: Exception) -> str:
    """An error of the system without its number, with the file it is about."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def tls_hosts(args: argparse.Namespace) -> tuple[str, ...]:
    """The address listened on, unless it means all, and the names given."""
    own = () if args.host in ("0.0.0.0", "::") else (args.host,)  # noqa: S104 - compared, not bound
    return tuple(dict.fromkeys((*own, *args.tls_host)))
