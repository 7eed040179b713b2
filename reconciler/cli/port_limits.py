"""What the ports take of peers that have shown nothing yet: the options that `global` and `zone`
share, and the zone's own for ADS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.limits import positive
from reconciler.cli.options import interval_s

if TYPE_CHECKING:
    import argparse

    from reconciler.api.door import DoorLimits
    from xds.server import AdsLimits

MIB = 1024 * 1024


def add_door(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits of port 5678")
    group.add_argument(
        "--door-waiting-max",
        type=positive,
        default=512,
        help="connections that have not begun TLS; one more takes the place of the one that has "
        "waited longest (default: 512)",
    )
    group.add_argument(
        "--door-open-max",
        type=positive,
        default=12_000,
        help="connections passed on at a time; more are closed (default: 12000)",
    )
    group.add_argument(
        "--door-hello-timeout",
        type=interval_s,
        default=5.0,
        help="seconds a connection has to begin TLS (default: 5)",
    )
    group.add_argument(
        "--door-idle-timeout",
        type=interval_s,
        default=60.0,
        help="seconds without a byte before a connection is closed; gRPC pings every 15 "
        "(default: 60)",
    )


def door_limits(args: argparse.Namespace) -> DoorLimits:
    from reconciler.api.door import DoorLimits

    return DoorLimits(
        waiting=args.door_waiting_max,
        open=args.door_open_max,
        hello_s=args.door_hello_timeout,
        idle_s=args.door_idle_timeout,
    )


def add_ads(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits of ADS")
    group.add_argument(
        "--ads-streams-max",
        type=positive,
        default=12_000,
        help="open ADS streams; a proxy has one, and for a moment two when it comes back "
        "(default: 12000)",
    )
    group.add_argument(
        "--ads-request-bytes",
        type=positive,
        default=4 * MIB,
        help="of one request of a proxy (default: 4194304)",
    )
    group.add_argument(
        "--ads-first-request",
        type=interval_s,
        default=10.0,
        help="seconds an ADS stream has to say who it is (default: 10)",
    )


def ads_limits(args: argparse.Namespace) -> AdsLimits:
    from xds.server import AdsLimits

    return AdsLimits(
        request_bytes=args.ads_request_bytes,
        streams=args.ads_streams_max,
        first_request_s=args.ads_first_request,
    )
