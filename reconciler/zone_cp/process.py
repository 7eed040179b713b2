"""The zone's process: what it was started with, in which order all begins and ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.api.bootstrap_server import bootstrap_app
from reconciler.api.control_socket import control_app
from reconciler.api.diagnostics import Diagnostics, diagnostics_server
from reconciler.api.door import Behind, Door, reach
from reconciler.api.rest_listeners import RestServers
from reconciler.api.serving import HttpServer, tcp_socket, unix_socket
from reconciler.bootstrap_answer import ZoneFacts
from reconciler.kds.admin_client import AdminStreams
from reconciler.kds.client import Dial, KdsClient
from reconciler.runtime.collector import undisturbed
from reconciler.runtime.log import note
from reconciler.runtime.service_manager import ServiceManager
from reconciler.warm_up import warm_up
from reconciler.zone_cp.answers import ZoneAnswers
from reconciler.zone_cp.bootstrap import ZoneBootstrap
from reconciler.zone_cp.host_names import HostNames
from reconciler.zone_cp.ingress_probes import IngressProbes
from reconciler.zone_cp.rest import ZoneRest
from xds.server import AdsServer

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.api.door import DoorLimits
    from reconciler.api.rest_listeners import ApiListeners
    from reconciler.ca.server_tls import ServerTls
    from reconciler.status.follower import StatusFollower
    from reconciler.zone_cp.plane import ZoneControlPlane
    from xds.server import AdsLimits

RESOLVE_START_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneProcess:
    """What `reconciler zone` was started with."""

    state_dir: Path
    host: str
    bootstrap_port: int
    ads_port: int
    diagnostics: Diagnostics
    api: ApiListeners
    tls: ServerTls
    hosts: tuple[str, ...]
    dial: Dial
    door_limits: DoorLimits
    ads_limits: AdsLimits
    xds_host: str = ""
    reloadable_tokens: bool = False
    ingress_probes: bool = True


async def serve(plane: ZoneControlPlane, process: ZoneProcess, stop: asyncio.Event) -> None:
    """From the first byte read to the last stream closed; returns after `stop`.

    A socket that is taken is found before anything runs that would have to be ended.
    """
    listening = tcp_socket(process.host, process.bootstrap_port)
    asked = unix_socket(process.state_dir / "control.sock")
    answers = ZoneAnswers(plane)
    diagnostics = diagnostics_server(answers, process.diagnostics)
    manager = ServiceManager()
    with undisturbed():  # Nobody is connected yet; later it would hold up everybody.
        warm_up()
        plane.stalls.start()
        plane.restore()
    names = HostNames(plane)
    probes = answers.probes = IngressProbes(plane, asks=process.ingress_probes)
    with suppress(TimeoutError):  # What is not known yet would be taken from proxies that have it.
        async with asyncio.timeout(RESOLVE_START_S):
            await names.resolve()
    plane.ads = AdsServer(plane, plane.health, process.ads_limits, plane.turns)
    ads_port = await plane.ads.start(
        process.host, process.ads_port, process.tls.cert_pem, process.tls.key_pem
    )
    facts = ZoneFacts(
        zone=plane.state.settings.zone,
        hosts=process.hosts,
        ads_port=ads_port,
        ca_pem=process.tls.ca_pem.decode(),
        xds_host=process.xds_host,
        reloadable_tokens=process.reloadable_tokens,
        health=True,
    )
    folder = process.state_dir / "tls"
    inside = process.state_dir / "boot.sock"
    told = ZoneBootstrap(plane, facts)
    bootstrap = HttpServer(
        bootstrap_app(told, told.leave),
        unix_socket(inside),
        (folder / "cert.pem", folder / "key.pem"),
    )
    behind = Behind((reach(process.host), ads_port), inside)
    plane.door = Door(listening, behind, told.crowded, process.door_limits)
    control = HttpServer(control_app(answers), asked)
    streams = AdminStreams(plane.admin.for_global) if plane.admin is not None else None
    plane.client = KdsClient(plane, process.dial, streams)
    api = RestServers(ZoneRest(answers, process.api), process.api, plane.log)
    answers.api = api.api.counted
    for server in (diagnostics, bootstrap, plane.door, control, api):
        await server.start()
    plane.client.start()
    beside = asyncio.gather(names.resolve_forever(), probes.ask_forever())
    note(plane.log, "zone.started", zone=plane.state.settings.zone, ads_port=ads_port)
    manager.ready()
    await stop.wait()
    note(plane.log, "zone.stopping", zone=plane.state.settings.zone)
    manager.stopping()
    plane.stop()
    # Beside all else: a remote that hangs has a few seconds, and the others need not wait for it.
    flushing = asyncio.create_task(_flush(plane.status_follower))
    beside.cancel()
    await plane.client.stop()
    await asyncio.gather(bootstrap.stop(), plane.ads.stop(1.0))
    await plane.door.stop()
    await asyncio.gather(control.stop(), diagnostics.stop(), api.stop())
    await asyncio.gather(beside, return_exceptions=True)
    await flushing
    await plane.outbox.close()
    plane.stalls.stop()
    plane.store.close()


async def _flush(follower: StatusFollower | None) -> None:
    if follower is not None:
        await follower.stop()
