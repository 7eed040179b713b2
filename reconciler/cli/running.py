"""What `global` and `zone` share: a loop that ends cleanly on SIGTERM, and options with their
environment variables.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

VARIABLE = "RECONCILER_"


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
        required=from_environment("STATE_DIR") is None,
        default=from_environment("STATE_DIR"),
        help="keys and everything else this control plane keeps (made with mode 0700)",
    )
    parser.add_argument(
        "--host", default=from_environment("HOST") or "127.0.0.1", help="address to listen on"
    )
    parser.add_argument(
        "--tls-host",
        action="append",
        default=[],
        help="another name or address that peers reach this server by (in its certificate)",
    )
    parser.add_argument(
        "--log-format",
        choices=("json", "text"),
        default=from_environment("LOG_FORMAT") or ("text" if sys.stderr.isatty() else "json"),
    )


def from_environment(name: str) -> str | None:
    return os.environ.get(f"{VARIABLE}{name}")


def tls_hosts(args: argparse.Namespace) -> tuple[str, ...]:
    """The address listened on, unless it means all, and the names given."""
    own = () if args.host in ("0.0.0.0", "::") else (args.host,)  # noqa: S104 - compared, not bound
    return tuple(dict.fromkeys((*own, *args.tls_host)))
