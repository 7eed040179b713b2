"""How a repository is reached: the options that `global` and `zone` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.options import count, interval_s
from reconciler.cli.running import secret_from_environment

if TYPE_CHECKING:
    import argparse

    from reconciler.git.address import Address
    from reconciler.git.remote import RemoteLimits

MIB = 1024 * 1024


def add_git(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--git-ssh-key",
        help="file of an ed25519 private key without passphrase (default: the ssh agent's keys)",
    )
    parser.add_argument(
        "--git-timeout",
        type=interval_s,
        default=60.0,
        help="seconds that one fetch from a remote, or push to it, may take (default: 60)",
    )
    parser.add_argument(
        "--git-memory",
        type=count,
        default=2048,
        help="MiB of memory that speaking to a remote may take (default: 2048)",
    )


def git_access(args: argparse.Namespace, url: str) -> tuple[Address, RemoteLimits]:
    """Raises Permanent for an address that cannot be spoken to."""
    from reconciler.git.address import address
    from reconciler.git.remote import RemoteLimits

    token = secret_from_environment("GIT_TOKEN")
    limits = RemoteLimits(call_s=args.git_timeout, memory_bytes_max=args.git_memory * MIB)
    return address(url, token=token, ssh_key=args.git_ssh_key), limits
