"""A real Envoy that has what it runs by ADS, from a server that serves one snapshot."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING

from tests.support.ads_client import Served, ServerCertificate, server_certificate
from tests.support.real_envoy import envoy, free_port
from xds.bootstrap import DELTA, BootstrapInput, bootstrap
from xds.build.clusters import build_cluster
from xds.build.listeners import build_listener
from xds.delta_sender import Acked
from xds.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from xds.snapshot import Resources
    from xds.view import ClusterInput, ListenerInput

DRAIN_S = 1


def snapshot_of(
    listeners: tuple[ListenerInput, ...],
    clusters: tuple[ClusterInput, ...] = (),
    secrets: Resources | None = None,
) -> Snapshot:
    """Of clusters without EDS."""
    return Snapshot(
        {each.name: build_cluster(each) for each in clusters},
        {},
        secrets or {},
        {each.name: build_listener(each) for each in listeners},
    )


async def accepted(served: Served, type_url: str) -> None:
    """Returns once Envoy has taken what it was sent of the type; what it refuses fails."""
    changed = asyncio.Event()
    served.on_change = changed.set
    async with asyncio.timeout(20):
        while not any(t == type_url and isinstance(a, Acked) for t, a in served.answers):
            changed.clear()
            await changed.wait()
            assert served.rejections == []


@cache
def _certificate() -> ServerCertificate:
    return server_certificate()


@asynccontextmanager
async def ads_envoy(snapshot: Snapshot, folder: Path) -> AsyncIterator[Served]:
    """Started, not yet there: the log is `folder`/envoy.log."""
    served, certificate = Served(drain_s=DRAIN_S + 0.5), _certificate()
    served.snapshot = snapshot
    port = await served.server.start("127.0.0.1", 0, certificate.cert_pem, certificate.key_pem)
    text = bootstrap(
        BootstrapInput(
            mesh="default",
            name="web-1",
            cluster="web",
            xds_host="127.0.0.1",
            xds_port=port,
            ca_pem=certificate.cert_pem.decode(),
            token="raw.token",
            admin_port=free_port(),
            features=(DELTA,),
        )
    )
    try:
        async with envoy(text, folder, drain_s=DRAIN_S):
            yield served
    finally:
        await served.server.stop(0)
