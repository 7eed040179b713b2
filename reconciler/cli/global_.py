"""`reconciler global`: the control plane that follows the repository and serves the zones."""

from __future__ import annotations

import sys
import time
import uuid
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.api_options import add_api, api_listeners
from reconciler.cli.git_access import add_git, git_access
from reconciler.cli.limits import add_limits, limits_of, positive
from reconciler.cli.options import env_prefix, interval_s, port, port_or_off
from reconciler.cli.port_limits import add_door, door_limits
from reconciler.cli.running import (
    add_common,
    diagnostics,
    run_until_signal,
    tls_hosts,
    words_of,
)
from reconciler.cli.status_options import add_status, status_settings
from reconciler.kds.sizes import KUMA_MAX, OURS_MAX

if TYPE_CHECKING:
    import argparse
    import asyncio
    import logging

    from reconciler.git.mirror import Mirror
    from reconciler.status.relay import StatusRelay

MIB = 1024 * 1024
EXAMPLE = (
    "example: reconciler global --repo https://git.example/mesh.git --state-dir /var/lib/global "
    "--host 0.0.0.0 --tls-host global.example"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("global", help="run the global control plane", epilog=EXAMPLE)
    parser.add_argument("--repo", required=True, help="path or URL of the policy repository")
    parser.add_argument("--branch", default="main", help="that is followed (default: main)")
    parser.add_argument("--path", default="", help="folder of the policies in the repository")
    parser.add_argument(
        "--kds-port", type=port, default=5685, help="where zones dial (default: 5685)"
    )
    parser.add_argument(
        "--proxy-port",
        type=port_or_off,
        default=5678,
        help='where proxies that dial the global are told to go to their zone, or "off"; a zone on '
        "the same machine may have the port (default: 5678)",
    )
    parser.add_argument(
        "--kds-streams-per-zone",
        type=positive,
        default=2,
        help="open streams of one kind and zone: a new one may overlap the old one's end "
        "(default: 2)",
    )
    parser.add_argument(
        "--kds-message-bytes",
        type=positive,
        default=OURS_MAX,
        help="of one message to or from a zone of this program (default: 64 MiB)",
    )
    parser.add_argument(
        "--kds-kuma-message-bytes",
        type=positive,
        default=KUMA_MAX,
        help="of one message to a zone of a real Kuma (default: 10 MiB)",
    )
    parser.add_argument(
        "--poll",
        type=interval_s,
        default=5.0,
        help="seconds between looks at a remote (default: 5)",
    )
    add_status(parser, "of zones that do not say so themselves")
    parser.add_argument(
        "--status-relay",
        choices=("on", "off"),
        default="on",
        help="commit the status of zones that do not push it themselves (default: on)",
    )
    parser.add_argument(
        "--new-keys", action="store_true", help="make new keys although an earlier fleet shows"
    )
    parser.add_argument(
        "--secrets-dir",
        type=Path,
        help="folder of the files that the repository's secrets.yaml may name",
    )
    parser.add_argument(
        "--secrets-env-prefix",
        type=env_prefix,
        default="RECONCILER_SECRET_",
        help="what the variables that it may name begin with (default: RECONCILER_SECRET_)",
    )
    add_git(parser)
    add_limits(parser)
    add_door(parser)
    add_api(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    from reconciler.git.errors import GitFailed
    from reconciler.git.status_ref import check_prefix
    from reconciler.keys.system_resources import KeysMissing
    from reconciler.runtime.log import configure
    from reconciler.runtime.state_dir import StateDirTaken, claim, held
    from reconciler.store import NewerFormat

    configure(as_json=args.log_format == "json")
    try:
        check_prefix(args.status_prefix, f"refs/heads/{args.branch}")
        with held(args.state_dir) as folder:
            earlier = claim(folder, "a global control plane")
            run_until_signal(lambda stop: _serve(args, folder, stop, earlier=earlier))
    except (StateDirTaken, NewerFormat, KeysMissing, GitFailed, OSError, ValueError) as error:
        sys.stderr.write(f"{words_of(error)}\n")
        return 2
    return 0


async def _serve(
    args: argparse.Namespace, folder: Path, stop: asyncio.Event, *, earlier: bool
) -> None:
    import logging

    from reconciler.runtime.collector import undisturbed

    with undisturbed():  # Modules stay.
        from reconciler.git.watch import WatchOptions
        from reconciler.global_cp.plane import GlobalControlPlane
        from reconciler.global_cp.process import GlobalProcess, serve
        from reconciler.global_cp.repository import Following
        from reconciler.kds.server import KdsLimits
        from reconciler.keys.secret_store import FileSecrets
        from reconciler.keys.secret_values import SecretValues
        from reconciler.keys.server_certificate import server_tls
        from reconciler.keys.system_resources import SystemResources
        from reconciler.keys.user_keys import UserKeys
        from reconciler.revision_loader import RevisionLoader
        from reconciler.runtime.log import note
        from reconciler.steps.global_state import GlobalSettings
        from reconciler.store import Store

    log = logging.getLogger("reconciler.global")
    store = Store(folder / "store.sqlite", earlier=earlier)
    if store.loss:
        note(log, "store.damaged_failed", reason=store.loss)
    mirror = _mirror(args, folder)
    keys = FileSecrets(folder / "secrets")
    users = UserKeys(keys)
    values = SecretValues(keys, args.secrets_dir, args.secrets_env_prefix)
    loader = RevisionLoader(mirror, args.path, SystemResources(keys), values, limits_of(args))
    version = metadata.version("mesh-reconciler")
    settings = GlobalSettings(
        instance=f"global-{uuid.uuid4().hex[:8]}",
        version=version,
        takes_over=args.new_keys or loader.system.takes_over,
        message_max=args.kds_message_bytes,
        kuma_message_max=args.kds_kuma_message_bytes,
    )
    process = GlobalProcess(
        state_dir=folder,
        host=args.host,
        kds_port=args.kds_port,
        kds_limits=KdsLimits(
            message_max=args.kds_message_bytes, streams_per_zone=args.kds_streams_per_zone
        ),
        proxy_port=args.proxy_port,
        door_limits=door_limits(args),
        diagnostics=diagnostics(args, folder),
        api=api_listeners(args, folder, users),
        tls=server_tls(folder, "mesh-reconciler global", tls_hosts(args), time.time()),
        following=Following(
            branch_ref=f"refs/heads/{args.branch}",
            status_prefix=args.status_prefix,
            new_keys=args.new_keys,
            watch=WatchOptions(poll_s=args.poll),
        ),
    )
    plane = GlobalControlPlane(settings, loader, store, log)
    if args.status_relay == "on":
        plane.relay = _relay(args, folder, log)
    await serve(plane, process, stop)


def _relay(args: argparse.Namespace, folder: Path, log: logging.Logger) -> StatusRelay:
    from reconciler.status.document import Inventory
    from reconciler.status.follower import FollowerOptions, StatusFollower
    from reconciler.status.relay import StatusRelay
    from reconciler.status.writer import status_writer

    where, limits = git_access(args, args.repo)
    writer = status_writer(None, where, folder, time.time, prefix=args.status_prefix, limits=limits)
    options = FollowerOptions(settings=status_settings(args, where), make_gap_s=1.0)
    return StatusRelay(StatusFollower(writer, options, log), Inventory(args.inventory))


def _mirror(args: argparse.Namespace, folder: Path) -> Mirror:
    from reconciler.git.mirror import Mirror, MirrorOptions
    from reconciler.git.remote import transport_to

    where, limits = git_access(args, args.repo)
    options = MirrorOptions(branch=args.branch, also=(args.status_prefix,))
    return Mirror(folder / "mirror.git", where, transport_to(where, limits), options)
