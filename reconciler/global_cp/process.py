"""The global's process: what it was started with, in which order all begins and ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.api.control_socket import control_app
from reconciler.api.diagnostics import Diagnostics, diagnostics_server
from reconciler.api.refusing import RefusingDoor, refusing_route
from reconciler.api.rest_listeners import RestServers
from reconciler.api.serving import HttpServer, unix_socket
from reconciler.global_cp.answers import GlobalAnswers
from reconciler.global_cp.repository import Following, RepositoryFollower
from reconciler.global_cp.rest import GlobalRest
from reconciler.kds.server import KdsLimits, KdsServer
from reconciler.runtime.log import note
from reconciler.runtime.service_manager import ServiceManager

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.api.door import DoorLimits
    from reconciler.api.rest_listeners import ApiListeners
    from reconciler.ca.server_tls import ServerTls
    from reconciler.global_cp.plane import GlobalControlPlane
    from reconciler.status.relay import StatusRelay


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalProcess:
    """What `reconciler global` was started with."""

    state_dir: Path
    host: str
    kds_port: int
    kds_limits: KdsLimits
    proxy_port: int | None  # where proxies are told to go elsewhere; None: nowhere
    door_limits: DoorLimits
    diagnostics: Diagnostics
    api: ApiListeners
    tls: ServerTls
    following: Following


async def serve(plane: GlobalControlPlane, process: GlobalProcess, stop: asyncio.Event) -> None:
    """From the first look at the repository to the last stream closed; returns after `stop`.

    Raises KeysMissing when the keys of an earlier fleet are not here.
    """
    manager = ServiceManager()
    answers = GlobalAnswers(plane)
    control = HttpServer(control_app(answers), unix_socket(process.state_dir / "control.sock"))
    misplaced = refusing_route(plane, "/bootstrap")
    diagnostics = diagnostics_server(answers, process.diagnostics, misplaced)
    await diagnostics.start()
    plane.kds = KdsServer(plane, process.kds_limits, plane.turns)
    port = await plane.kds.start(
        process.host, process.kds_port, process.tls.cert_pem, process.tls.key_pem
    )
    plane.refusing = await _refusing(plane, process, port)
    await control.start()
    rest = GlobalRest(answers, process.api, process.following.branch_ref)
    api = RestServers(rest, process.api, plane.log)
    answers.api = api.api.counted
    await api.start()
    note(plane.log, "global.started", kds_port=port, repository=str(plane.loader.mirror.address))
    plane.stalls.start()
    manager.ready()
    follower = RepositoryFollower(plane, process.following)
    following = asyncio.create_task(follower.follow())
    stopping = asyncio.create_task(stop.wait())
    secrets = asyncio.create_task(follower.follow_secrets())
    ending = {following, secrets, stopping, plane.crash}
    done, _ = await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
    note(plane.log, "global.stopping")
    manager.stopping()
    flushing = asyncio.create_task(_flush(plane.relay))
    for task in ending:
        task.cancel()
    # Breaks off a call to a server that hangs: its thread would hold this process up.
    await asyncio.to_thread(plane.loader.mirror.transport.close)
    plane.loader.history.end()
    await asyncio.gather(*ending, return_exceptions=True)
    if plane.refusing is not None:
        await plane.refusing.stop()
    await plane.kds.stop(1.0)
    await asyncio.gather(control.stop(), diagnostics.stop(), api.stop())
    await flushing
    await plane.outbox.close()
    plane.stalls.stop()
    plane.store.close()
    for task in done - {stopping}:
        task.result()  # They end by an exception only.


async def _refusing(
    plane: GlobalControlPlane, process: GlobalProcess, kds_port: int
) -> RefusingDoor | None:
    """A zone of the same machine may have the port: then proxies are where they belong."""
    if process.proxy_port is None:
        return None
    listen, kds = (process.host, process.proxy_port), (process.host, kds_port)
    try:
        door = RefusingDoor(plane, listen, kds, process.state_dir, process.door_limits)
    except OSError as error:
        note(plane.log, "door.port_taken", reason=str(error))
        return None
    await door.start()
    return door


async def _flush(relay: StatusRelay | None) -> None:
    if relay is not None:
        await relay.follower.stop()
