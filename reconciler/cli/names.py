"""How a zone names services, and the networks its virtual addresses are from."""

from __future__ import annotations

import argparse
from ipaddress import ip_network
from typing import TYPE_CHECKING

from reconciler.addresses import is_dns_name
from reconciler.cli.options import port

if TYPE_CHECKING:
    from reconciler.vips.allocation import Pools
    from reconciler.vips.entries import Naming

# Whose addresses are from it, and Kuma's.
NETWORKS = {
    "vip-cidr": (
        "names of services by tag, of ExternalServices and VirtualOutbounds",
        "240.0.0.0/4",
    ),
    "mesh-service-vip-cidr": ("MeshServices", "241.0.0.0/8"),
    "mesh-external-service-vip-cidr": ("MeshExternalServices", "242.0.0.0/8"),
    "mesh-multi-zone-service-vip-cidr": ("MeshMultiZoneServices", "243.0.0.0/8"),
}


def add_names(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("names of services")
    group.add_argument(
        "--dns-domain",
        type=domain,
        default="mesh",
        help="what the names of services by tag end with (default: mesh)",
    )
    group.add_argument(
        "--vip-port",
        type=port,
        default=80,
        help="the port on which services by tag are called by name (default: 80)",
    )
    for option, (whose, default) in NETWORKS.items():
        group.add_argument(
            f"--{option}",
            type=network,
            default=default,
            metavar="NETWORK",
            help=f"IPv4 or IPv6 network of the virtual addresses of {whose}; addresses that are in "
            f"it already stay (default: {default})",
        )


def domain(text: str) -> str:
    found = text.strip(".").lower()
    if not is_dns_name(found):
        raise argparse.ArgumentTypeError(f'"{text}" is no domain; write one such as mesh')
    return found


def network(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'"{text}" is no network; write one such as 240.0.0.0/4'
        ) from None


def pools(args: argparse.Namespace) -> Pools:
    from reconciler.vips.allocation import Pools

    return Pools.of(
        legacy=args.vip_cidr,
        mesh_service=args.mesh_service_vip_cidr,
        external=args.mesh_external_service_vip_cidr,
        multi_zone=args.mesh_multi_zone_service_vip_cidr,
    )


def naming(args: argparse.Namespace) -> Naming:
    from reconciler.vips.entries import Naming

    return Naming(suffix=args.dns_domain, port=args.vip_port or 80)
