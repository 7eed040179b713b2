"""Control planes as an operator has them: health, metrics, and an end that is clean."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import ssl
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.planes import Planes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
STOP_S = 5.0


@pytest.fixture
async def planes(tmp_path: Path) -> AsyncIterator[Planes]:
    made = Planes(tmp_path / "world")
    try:
        yield made
    finally:
        made.stop()


def get(planes: Planes, role: str, path: str) -> tuple[int, str]:
    """As a scraper that trusts the server's own CA."""
    trusting = ssl.create_default_context(cafile=planes.state(role) / "tls" / "ca.pem")
    connection = http.client.HTTPSConnection(
        "127.0.0.1", planes.diagnostics[role], timeout=10, context=trusting
    )
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def metrics(planes: Planes, role: str) -> Mapping[str, float]:
    """name{label=value,...} -> value"""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(get(planes, role, "/metrics")[1]):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_health_metrics_and_a_clean_end_of_everything_with_a_proxy_connected(
    planes: Planes,
) -> None:
    await planes.start_global()
    await planes.start_zone("east")
    planes.run_ingress("east")
    await planes.until("the ingress", lambda: planes.acked("east") == 1)
    for role in ("global", "east"):
        assert get(planes, role, "/healthy")[0] == 200
        assert get(planes, role, "/ready") == (200, '{"ready":true}')
    tip = planes.git(planes.work, "rev-parse", "HEAD").strip()
    await planes.until(
        "the global's figures",
        lambda: (
            metrics(planes, "global").get("reconciler_zone_proxies{state=acknowledged,zone=east}")
            == 1
        ),
    )
    whole = metrics(planes, "global")
    assert whole[f"reconciler_revision_info{{revision={tip}}}"] == 1
    assert whole["reconciler_zone_connected{zone=east}"] == 1
    assert whole["reconciler_zone_current{zone=east}"] == 1
    assert whole["reconciler_events_total{event=zone.connected}"] >= 2
    zone = metrics(planes, "east")
    assert zone["reconciler_proxies{state=acknowledged}"] == 1
    assert zone["reconciler_global_up"] == 1
    assert zone["process_resident_memory_bytes"] > 0
    # The zone ends first, with a stream open on both sides.
    for role in ("zone-east", "global"):
        process = planes.processes[role].popen
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert await asyncio.to_thread(process.wait, 20) == 0, planes.processes[role].log
        assert time.monotonic() - began < STOP_S
    log = planes.processes["zone-east"].log.read_text()
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events[-1] == "zone.stopping"
    status = planes.git(None, "-C", str(planes.bare), "show", "status/east:ingress.yaml")
    assert "name: ingress-east" in status


async def test_a_zone_that_never_met_its_global_is_alive_and_not_ready(planes: Planes) -> None:
    await planes.start_global()
    planes.issue_join_file("east")
    planes.processes["global"].kill_now()
    planes.run_zone("east")
    await planes.until("the zone", lambda: bool(planes.status("east")))
    assert get(planes, "east", "/healthy")[0] == 200
    status, body = get(planes, "east", "/ready")
    assert status == 503
    assert "has not received its policies yet" in body
