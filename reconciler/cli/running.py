"""What `global` and `zone` share: a loop that ends cleanly on SIGTERM, and their common options."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.options import VARIABLE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable


def run_until_signal(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """`main(stop)`; `stop` is set by SIGTERM or SIGINT."""

    async def running() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    asyncio.run(running())


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
        "--log-format",
        choices=("json", "text"),
        default="text" if sys.stderr.isatty() else "json",
        help="of the log on stderr (default: text on a terminal, json elsewhere)",
    )


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
