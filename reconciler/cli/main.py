"""The program `reconciler`: finds the command's module and runs it.

Imports are lazy per command, so that `validate` loads neither grpc nor envoy-data-plane. Exit
codes, one rule: 0 done and clean; 1 done, and the answer is bad; 2 could not run; 4 timed out.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from reconciler.cli.options import OptionError, describe, supply
from reconciler.runtime.grpc_core import configure

if TYPE_CHECKING:
    from collections.abc import Sequence

COULD_NOT_RUN = 2


@dataclass(frozen=True, slots=True)
class Command:
    """`module` has `add_parser(subparsers)` and `run(args) -> int`."""

    name: str
    module: str
    help: str


COMMANDS = (
    Command("demo", "reconciler.cli.demo", "the whole system on this machine, from nothing"),
    Command("global", "reconciler.cli.global_", "run the global control plane"),
    Command("zone", "reconciler.cli.zone", "run a zone control plane"),
    Command("dataplane", "reconciler.cli.dataplane", "run Envoy as sidecar, ingress or egress"),
    Command("validate", "reconciler.cli.validate", "check a policy repository, offline"),
    Command("plan", "reconciler.cli.plan", "what a change would do to real traffic, offline"),
    Command("render", "reconciler.cli.render", "the Envoy configuration of one proxy, offline"),
    Command("status", "reconciler.cli.status", "where the newest commit has arrived"),
    Command("wait", "reconciler.cli.wait", "wait until a commit has arrived everywhere"),
    Command("accept", "reconciler.cli.accept", "put a commit in force that is held"),
    Command("inspect", "reconciler.cli.inspect", "what a proxy's Envoy runs and counts"),
    Command("install", "reconciler.cli.install", "lead this network's traffic through the proxy"),
    Command("uninstall", "reconciler.cli.uninstall", "take away what install did"),
    Command("token", "reconciler.cli.token", "issue tokens and join files"),
)


class Version(argparse.Action):
    """Looked up when it is asked for: that takes as long as all else that a command starts with."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        sys.stdout.write(f"{metadata.version('mesh-reconciler')}\n")
        parser.exit()


class CommandModule(Protocol):
    def add_parser(
        self, subparsers: argparse._SubParsersAction[argparse.ArgumentParser]
    ) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    configure()
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = next((a for a in arguments if not a.startswith("-")), "")
    parser = argparse.ArgumentParser(
        prog="reconciler",
        description="A declarative GitOps reconciler for a multi-zone service mesh.",
        epilog="example: reconciler validate examples-repo",
    )
    parser.add_argument(
        "--version", action=Version, nargs=0, help="show program's version number and exit"
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    module: CommandModule | None = None
    for command in COMMANDS:
        if command.name == chosen:
            module = cast("CommandModule", import_module(command.module))
            module.add_parser(subparsers)
            describe(subparsers.choices[chosen])
        else:
            subparsers.add_parser(command.name, help=command.help)
    if module is not None and not {"-h", "--help"} & set(arguments):
        try:
            supply(subparsers.choices[chosen], chosen, arguments, os.environ)
        except OptionError as error:
            sys.stderr.write(f"{error}\n")
            return COULD_NOT_RUN
    args = parser.parse_args(arguments)
    if module is None:
        parser.print_help()
        return COULD_NOT_RUN
    try:
        return module.run(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
