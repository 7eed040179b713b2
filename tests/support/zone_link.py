"""A real zone control plane on loopback over gRPC, HTTP and TLS, in this process: its doors, and
its connection to whatever global the test stands for.
"""

from __future__ import annotations

import logging
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.admin_client import AdminClient, AdminLimits
from reconciler.api.bootstrap_server import bootstrap_app
from reconciler.api.door import Behind, Door
from reconciler.api.serving import HttpServer, tcp_socket, unix_socket
from reconciler.bootstrap_answer import ZoneFacts
from reconciler.ca.server_tls import ServerTls, hosts_of
from reconciler.kds.admin_client import AdminStreams
from reconciler.kds.client import Dial, KdsClient
from reconciler.keys.admin_ca import admin_ca
from reconciler.keys.secret_store import FileSecrets
from reconciler.keys.server_certificate import server_tls
from reconciler.proxy_token import verify_proxy
from reconciler.steps import zone_state as z
from reconciler.store import Store
from reconciler.zone_admin import ZoneAdmin
from reconciler.zone_cp.bootstrap import ZoneBootstrap
from reconciler.zone_cp.plane import ZoneControlPlane
from tests.support.zone import settings
from xds.server import AdsServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from reconciler.model.resource import MeshResource


@dataclass
class ZoneLink:
    """`port` is that of proxies' first call; `ads` that of their configuration."""

    plane: ZoneControlPlane
    tls: ServerTls
    port: int = 0
    ads: int = 0

    async def until(self, seen: Callable[[], bool]) -> None:
        while not seen():
            await self.plane.changed.wait()

    def restore(self, *policies: MeshResource) -> None:
        """Its disk held these, of a revision in force."""
        self.plane.deliver(z.Restored(time.time(), policies, revision="c1"))


@asynccontextmanager
async def zone_link(folder: Path, global_port: int = 0, **changes: Any) -> AsyncIterator[ZoneLink]:
    """Zone "east". Without a port of a global it dials none."""
    now = time.time()
    made = settings(verify=verify_proxy, admin_access=True, **changes)
    plane = ZoneControlPlane(made, Store(folder / "store.sqlite"), logging.getLogger("test"))
    plane.admin_ca = admin_ca(FileSecrets(folder / "secrets"), now)
    link = ZoneLink(plane, server_tls(folder, "zone east", (), now))
    async with AsyncExitStack() as stack:
        stack.callback(plane.store.close)
        stack.push_async_callback(plane.outbox.close)
        await _proxies(link, folder, stack)
        if global_port:
            asker = AdminClient(plane.admin_ca, folder, now, AdminLimits())
            plane.admin = ZoneAdmin(lambda: plane.state, asker)
            _dials(plane, global_port)
            assert plane.client is not None
            stack.push_async_callback(plane.client.stop)
            plane.restore()
            plane.client.start()
        stack.callback(plane.stop)
        yield link


async def _proxies(link: ZoneLink, folder: Path, stack: AsyncExitStack) -> None:
    """What proxies dial, as `zone_cp.process` puts it together."""
    plane, tls = link.plane, link.tls
    plane.ads = AdsServer(plane, plane.health, None, plane.turns)
    link.ads = await plane.ads.start("127.0.0.1", 0, tls.cert_pem, tls.key_pem)
    stack.push_async_callback(plane.ads.stop, 0.0)
    facts = ZoneFacts(
        zone=plane.state.settings.zone,
        hosts=hosts_of(tls.cert_pem),
        ads_port=link.ads,
        ca_pem=tls.ca_pem.decode(),
        health=True,
    )
    told = ZoneBootstrap(plane, facts)
    files = (folder / "tls" / "cert.pem", folder / "tls" / "key.pem")
    inside = folder / "boot.sock"
    server = HttpServer(bootstrap_app(told, told.leave), unix_socket(inside), files)
    listening = tcp_socket("127.0.0.1", 0)
    link.port = listening.getsockname()[1]
    plane.door = Door(listening, Behind(("127.0.0.1", link.ads), inside), told.crowded)
    await server.start()
    stack.push_async_callback(server.stop)
    await plane.door.start()
    stack.push_async_callback(plane.door.stop)


def _dials(plane: ZoneControlPlane, port: int) -> None:
    dial = Dial(
        host="127.0.0.1",
        port=port,
        tls=False,
        ca_pem=None,
        zone=plane.state.settings.zone,
        version="0",
        token="a.b.c",
        backoff_first_s=0.01,
        backoff_max_s=0.02,
    )
    assert plane.admin is not None
    plane.client = KdsClient(plane, dial, AdminStreams(plane.admin.for_global))
