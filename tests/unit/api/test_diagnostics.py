"""Health and metrics over a real socket, as a probe and a scraper ask for them."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import time
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from reconciler.api.diagnostics import Diagnostics, diagnostics_server
from reconciler.figures import Figure
from reconciler.keys.server_certificate import server_tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Plane:
    """A control plane that is ready when the test says so."""

    def __init__(self) -> None:
        self.reason = "no revision is in force yet"
        self.zones = 1

    def unready(self) -> str:
        return self.reason

    def figures(self) -> tuple[Figure, ...]:
        zone = (("zone", 'e"a\nst'),)
        return (
            Figure("reconciler_zone_connected", "gauge", "Open.", ((zone, self.zones),)),
            Figure("reconciler_events", "counter", "Noted.", (((("event", "a.b"),), 3),)),
            Figure("reconciler_empty", "gauge", "Nobody yet.", ()),
        )


@asynccontextmanager
async def listening(plane: Plane, tls: tuple[Path, Path] | None) -> AsyncIterator[int]:
    server = diagnostics_server(plane, Diagnostics("127.0.0.1", 0, tls))
    await server.start()
    try:
        yield server._socket.getsockname()[1]
    finally:
        await server.stop()


async def get(port: int, path: str, context: ssl.SSLContext | None = None) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        connection = (
            http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
            if context
            else http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        )
        with closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    return await asyncio.to_thread(ask)


async def test_ready_says_why_not_and_healthy_only_that_the_process_turns() -> None:
    plane = Plane()
    async with listening(plane, None) as port:
        assert (await get(port, "/healthy"))[0] == 200
        status, body = await get(port, "/ready")
        assert status == 503
        assert "no revision is in force yet" in body
        plane.reason = ""
        assert (await get(port, "/ready"))[0] == 200
        assert (await get(port, "/status"))[0] == 404


async def test_every_scrape_reads_the_figures_of_that_moment() -> None:
    plane = Plane()
    async with listening(plane, None) as port:
        _, first = await get(port, "/metrics")
        plane.zones = 0
        _, second = await get(port, "/metrics")
    found = {family.name: family for family in text_string_to_metric_families(first)}
    (sample,) = found["reconciler_zone_connected"].samples
    assert (sample.labels, sample.value) == ({"zone": 'e"a\nst'}, 1.0)
    assert found["reconciler_events"].samples[0].name == "reconciler_events_total"
    assert "reconciler_empty" in found
    assert found["process_resident_memory_bytes"].samples[0].value > 0
    later = {family.name: family for family in text_string_to_metric_families(second)}
    assert later["reconciler_zone_connected"].samples[0].value == 0.0


async def test_health_and_metrics_are_served_with_the_certificate_of_the_server(
    tmp_path: Path,
) -> None:
    made = server_tls(tmp_path, "test", (), time.time())
    trusting = ssl.create_default_context(cadata=made.ca_pem.decode())
    files = tmp_path / "tls" / "cert.pem", tmp_path / "tls" / "key.pem"
    async with listening(Plane(), files) as port:
        assert (await get(port, "/healthy", trusting))[0] == 200
