"""`reconciler zone`: the control plane that serves one zone with what its global sends."""

from __future__ import annotations

import math
import sys
import time
import uuid
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.api_options import add_api, api_listeners
from reconciler.cli.git_access import add_git, git_access
from reconciler.cli.limits import positive
from reconciler.cli.names import add_names, naming, pools
from reconciler.cli.options import count, port
from reconciler.cli.port_limits import add_ads, add_door, ads_limits, door_limits
from reconciler.cli.running import (
    add_common,
    diagnostics,
    run_until_signal,
    tls_hosts,
    words_of,
)
from reconciler.cli.status_options import add_status, status_settings
from reconciler.cli.wait import seconds

if TYPE_CHECKING:
    import argparse
    import asyncio
    import logging

    from reconciler.keys.join import Join
    from reconciler.status.announcement import StatusMode
    from reconciler.status.follower import StatusFollower
    from reconciler.steps.zone_settings import ZoneSettings

TOKEN_RENEWAL_S = 60.0  # where tokens are read anew: asked for so long before the old one ends
EXAMPLE = (
    "example: reconciler zone --join east.join --state-dir /var/lib/east --host 0.0.0.0 "
    "--tls-host east.example --status-repo https://git.example/mesh.git"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("zone", help="run a zone control plane", epilog=EXAMPLE)
    parser.add_argument("--join", type=Path, help="file made by `reconciler token zone NAME`")
    parser.add_argument("--name", help="zone, instead of a join file")
    parser.add_argument(
        "--global", dest="address", help="grpcs://host:5685, instead of a join file"
    )
    parser.add_argument("--token-file", type=Path, help="zone token, instead of a join file")
    parser.add_argument(
        "--tokenless",
        action="store_true",
        help="show the global no token: one of Kuma knows none, one of this program takes a zone "
        "without where kds.tokenless in its repository lists it",
    )
    parser.add_argument("--ca-file", type=Path, help="CA of the global, instead of a join file")
    parser.add_argument(
        "--bootstrap-port", type=port, default=5678, help="of proxies' first call (default: 5678)"
    )
    parser.add_argument(
        "--ads-port", type=port, default=5679, help="of their configuration (default: 5679)"
    )
    parser.add_argument(
        "--xds-host",
        default="",
        help="name or address by which proxies reach the ADS port (default: the one by which they "
        "asked for their bootstrap)",
    )
    parser.add_argument(
        "--accept-global",
        metavar="CLUSTER",
        default="",
        help="id of a fleet that may replace the keys this zone holds (the join file names one)",
    )
    parser.add_argument(
        "--reloadable-tokens",
        action="store_true",
        help="proxies read their token file anew for each stream; needs a token file at the proxy",
    )
    _add_limits(parser)
    add_names(parser)
    parser.add_argument(
        "--status-repo",
        help="repository that this zone commits its status to; without it the global does",
    )
    parser.add_argument(
        "--status-mode",
        choices=("direct", "relay", "off"),
        help="who commits the status: this zone, the global for it, nobody (default: direct with "
        "--status-repo, else relay)",
    )
    add_status(parser, "of this zone")
    parser.add_argument(
        "--admin-answer-max",
        type=count,
        default=48 * 1024 * 1024,
        metavar="BYTES",
        help="largest answer of a proxy's Envoy that is passed on, such as a configuration dump "
        "(default: 50331648; a global of Kuma takes 10 MiB)",
    )
    add_git(parser)
    add_door(parser)
    add_ads(parser)
    add_api(parser)
    add_common(parser)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--proxies-max",
        type=count,
        default=5000,
        help="proxies this zone takes; more are refused (default: 5000)",
    )
    parser.add_argument(
        "--mesh-services-max",
        type=count,
        default=10_000,
        help="MeshServices this zone makes of what its proxies offer; of more there are none "
        "(default: 10000)",
    )
    parser.add_argument(
        "--mesh-service-grace",
        type=seconds,
        default=3600.0,
        help="how long a MeshService stays after its last proxy, such as 1h (default: 1h)",
    )
    parser.add_argument(
        "--kds-message-bytes",
        type=positive,
        default=64 * 1024 * 1024,
        help="of one message to or from the global (default: 67108864)",
    )
    parser.add_argument(
        "--health-interval",
        type=seconds,
        default=0.5,
        help="how often sidecars whose applications have a serviceProbe report their health, "
        "such as 1s (default: 500ms); with more than 400 reports a second it is doubled, up to 5s",
    )
    parser.add_argument(
        "--outlier-detection",
        choices=("on", "off"),
        default="on",
        help="in meshes with mTLS, proxies avoid endpoints that they cannot reach, without a "
        "MeshCircuitBreaker (default: on)",
    )
    parser.add_argument(
        "--ingress-probes",
        choices=("on", "off"),
        default="on",
        help="ask other zones' ingresses once a second whether they are there, and send calls "
        "elsewhere while one that answered does not (default: on)",
    )
    parser.add_argument(
        "--token-age-max",
        type=seconds,
        default=math.inf,
        help="proxies' tokens that were issued longer ago are refused, such as 720h (default: a "
        "token counts until it expires)",
    )


def run(args: argparse.Namespace) -> int:
    from reconciler.git.errors import GitFailed
    from reconciler.git.status_ref import ref_of_zone
    from reconciler.keys.join import JoinError
    from reconciler.runtime.log import configure
    from reconciler.runtime.state_dir import StateDirTaken, claim, held
    from reconciler.store import NewerFormat

    configure(as_json=args.log_format == "json")
    try:
        join = _join(args)
        ref_of_zone(join.zone, args.status_prefix)  # no zone without one, whoever writes it
        with held(args.state_dir) as folder:
            earlier = claim(folder, f"zone {join.zone}")
            run_until_signal(lambda stop: _serve(args, join, folder, stop, earlier=earlier))
    except (StateDirTaken, NewerFormat, JoinError, GitFailed, OSError, ValueError) as error:
        sys.stderr.write(f"{words_of(error)}\n")
        return 2
    return 0


def _join(args: argparse.Namespace) -> Join:
    from reconciler.keys.join import Join, JoinError, read_join

    instead = {
        "--name": args.name,
        "--global": args.address,
        "--token-file": args.token_file,
        "--tokenless": args.tokenless,
        "--ca-file": args.ca_file,
    }
    if args.join is not None:
        extra = [option for option, value in instead.items() if value]
        if extra:
            raise JoinError(f"--join says it all; leave out {', '.join(extra)}")
        return read_join(args.join)
    if not args.name or not args.address or bool(args.token_file) is bool(args.tokenless):
        raise JoinError(
            "how to join? give --join FILE, or --name and --global with one of --token-file and "
            "--tokenless"
        )
    ca = args.ca_file.read_text() if args.ca_file else ""
    token = args.token_file.read_text().strip() if args.token_file else ""
    if args.token_file and not token:
        raise JoinError(f"{args.token_file}: is empty; it should hold the zone's token")
    return Join(args.name, args.address, ca, token)


async def _serve(
    args: argparse.Namespace, join: Join, folder: Path, stop: asyncio.Event, *, earlier: bool
) -> None:
    import logging

    from reconciler.runtime.collector import undisturbed

    with undisturbed():  # Modules stay.
        from reconciler.admin_client import AdminClient, AdminLimits
        from reconciler.ca.server_tls import hosts_of
        from reconciler.kds.client import Dial
        from reconciler.keys.admin_ca import admin_ca
        from reconciler.keys.secret_store import FileSecrets
        from reconciler.keys.server_certificate import server_tls
        from reconciler.keys.user_keys import UserKeys
        from reconciler.runtime.log import note
        from reconciler.store import Store
        from reconciler.zone_admin import ZoneAdmin
        from reconciler.zone_cp.plane import ZoneControlPlane
        from reconciler.zone_cp.process import ZoneProcess, serve

    log = logging.getLogger("reconciler.zone")
    store = Store(folder / "store.sqlite", earlier=earlier)
    if store.loss:
        note(log, "store.damaged_failed", reason=store.loss)
    if not join.token:
        note(log, "zone.tokenless", address=join.address)
    version = metadata.version("mesh-reconciler")
    settings = _settings(args, join, version)
    plane = ZoneControlPlane(settings, store, log)
    secrets = FileSecrets(folder / "secrets")
    users = UserKeys(secrets)
    users.make()
    plane.admin_ca = admin_ca(secrets, time.time())
    limits = AdminLimits(answer_max=args.admin_answer_max)
    asker = AdminClient(plane.admin_ca, folder, time.time(), limits)
    plane.admin = ZoneAdmin(lambda: plane.state, asker)
    if args.status_repo:
        plane.status_follower = _follower(args, join.zone, folder, log)
    host, port, tls = join.target
    certificate = server_tls(
        folder, f"mesh-reconciler zone {join.zone}", tls_hosts(args), time.time()
    )
    process = ZoneProcess(
        state_dir=folder,
        host=args.host,
        bootstrap_port=args.bootstrap_port,
        ads_port=args.ads_port,
        diagnostics=diagnostics(args, folder),
        api=api_listeners(args, folder, users),
        tls=certificate,
        hosts=hosts_of(certificate.cert_pem),
        xds_host=args.xds_host,
        reloadable_tokens=args.reloadable_tokens,
        ingress_probes=args.ingress_probes == "on",
        dial=Dial(
            host=host,
            port=port,
            tls=tls,
            ca_pem=join.ca_pem.encode() or None,
            zone=join.zone,
            version=version,
            token=join.token,
            message_max=args.kds_message_bytes,
        ),
        door_limits=door_limits(args),
        ads_limits=ads_limits(args),
    )
    await serve(plane, process, stop)


def _settings(args: argparse.Namespace, join: Join, version: str) -> ZoneSettings:
    from reconciler.kds.zone_node import zone_node
    from reconciler.proxy_token import verify_proxy
    from reconciler.status.announcement import ZoneStatus
    from reconciler.status.document import Inventory
    from reconciler.steps.zone_settings import ZoneSettings
    from xds.translate import Builders

    instance = f"{join.zone}-{uuid.uuid4().hex[:8]}"
    return ZoneSettings(
        zone=join.zone,
        instance=instance,
        version=version,
        node=zone_node(join.zone, instance, version),
        accepts_cluster=args.accept_global or join.cluster,
        verify=verify_proxy,
        builders=Builders(),
        status=ZoneStatus(_status_mode(args), Inventory(args.inventory)),
        admin_access=True,
        proxies_max=args.proxies_max,
        services_max=args.mesh_services_max,
        services_grace_s=args.mesh_service_grace,
        message_max=args.kds_message_bytes,
        health_interval_s=args.health_interval,
        vip_pools=pools(args),
        naming=naming(args),
        outlier_detection=args.outlier_detection == "on",
        token_age_max_s=args.token_age_max,
        token_renewal_s=TOKEN_RENEWAL_S if args.reloadable_tokens else 0.0,
    )


def _follower(
    args: argparse.Namespace, zone: str, folder: Path, log: logging.Logger
) -> StatusFollower:
    from reconciler.status.document import Inventory
    from reconciler.status.follower import FollowerOptions, StatusFollower
    from reconciler.status.writer import status_writer

    where, limits = git_access(args, args.status_repo)
    writer = status_writer(zone, where, folder, time.time, prefix=args.status_prefix, limits=limits)
    options = FollowerOptions(
        settings=status_settings(args, where), inventory=Inventory(args.inventory)
    )
    return StatusFollower(writer, options, log)


def _status_mode(args: argparse.Namespace) -> StatusMode:
    """Raises ValueError for options that contradict each other."""
    from reconciler.status.announcement import StatusMode

    given = StatusMode(args.status_mode) if args.status_mode else None
    if given is StatusMode.DIRECT and not args.status_repo:
        raise ValueError("--status-mode direct needs the repository: add --status-repo")
    if given in (StatusMode.RELAY, StatusMode.OFF) and args.status_repo:
        raise ValueError(
            f"--status-mode {given}: this zone pushes nothing, leave --status-repo out"
        )
    return given or (StatusMode.DIRECT if args.status_repo else StatusMode.RELAY)
