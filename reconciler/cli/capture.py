"""What `install transparent-proxy` and `uninstall transparent-proxy` have in common."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, TypeVar

from reconciler.cli.wait import seconds

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
TRANSPARENT_PROXY = "transparent-proxy"
BACKENDS = ("auto", "nftables", "iptables-nft", "iptables-legacy")
TIMEOUT_S = 30.0


def add_common(parser: argparse.ArgumentParser, backend_help: str) -> None:
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help=backend_help)
    parser.add_argument(
        "--format", choices=("text", "json"), default="text",
        help="text for people, json for programs (default: text)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=seconds, default=TIMEOUT_S,
        help="how long each program that is called may take, such as 10s (default: 30s)",
    )  # fmt: skip


def converted(convert: Callable[[str], T]) -> Callable[[str], T]:
    """As a type of options, whose errors are shown in their own words."""
    from reconciler.capture.settings import SettingsError

    def value(text: str) -> T:
        try:
            return convert(text)
        except SettingsError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return value


def carried_out(do: Callable[[], None]) -> int:
    """The exit code: 0 done, 2 it cannot be done here or was refused, 4 a program took too long."""
    from reconciler.capture.host import Failed, Refused, TookTooLong
    from reconciler.capture.settings import SettingsError

    try:
        do()
    except (Refused, Failed, SettingsError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except TookTooLong as error:
        sys.stderr.write(f"{error}\n")
        return 4
    return 0


def tell(notes: tuple[str, ...]) -> None:
    for note in notes:
        sys.stderr.write(f"note: {note}\n")
