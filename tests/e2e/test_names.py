"""Names of the mesh as a real Envoy's DNS filter answers them, asked by real queries."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from tests.support import dns
from tests.support.ads_envoy import ads_envoy, snapshot_of
from tests.support.dns import AAAA, NOERROR, NOTIMP, NXDOMAIN, A, ask
from tests.support.real_envoy import free_port
from xds import names
from xds.view import DnsListener, LocalCluster, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.ads_client import Served
    from xds.snapshot import Snapshot

pytestmark = pytest.mark.e2e

BACKEND = ("backend.mesh", ("240.0.0.0", "::ffff:f000:0"))
RECORDS = (
    BACKEND,
    ("deep.er.mesh", ("240.0.0.2", "fd00::2")),
    ("four.mesh", ("240.0.0.4",)),
    ("many.mesh", tuple(f"240.0.1.{n}" for n in range(20))),
)
MAPPED = str(ip_address(BACKEND[1][1]))
# The name of a cluster, which is asked for as a name.
CLUSTER = LocalCluster("web", "192.0.2.9", 80, Protocol.TCP)


def table(**fields: object) -> DnsListener:
    made = DnsListener(names.DNS_LISTENER, "127.0.0.1", free_port(), RECORDS)
    return replace(made, **fields)  # type: ignore[arg-type]


def snapshot(listener: DnsListener) -> Snapshot:
    return snapshot_of((listener,), (CLUSTER,))


@asynccontextmanager
async def resolver(listener: DnsListener, folder: Path) -> AsyncIterator[Served]:
    """An Envoy that has the listener by ADS, and answers."""
    async with ads_envoy(snapshot(listener), folder) as served:
        await answering(listener.port)
        yield served


async def answering(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await ask(port, "backend.mesh", timeout_s=0.5)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.02)  # A process that starts has no other signal.
            else:
                return


async def said(port: int, name: str) -> tuple[list[str], list[str]]:
    """Addresses of both families."""
    four, six = await ask(port, name), await ask(port, name, AAAA)
    return four.addresses, six.addresses


async def codes(port: int, name: str, *kinds: int) -> list[int]:
    return [(await ask(port, name, kind)).rcode for kind in kinds]


async def test_names_of_the_mesh_have_both_families_and_others_do_not_exist(
    tmp_path: Path,
) -> None:
    listener = table()
    async with resolver(listener, tmp_path) as served:
        assert served.rejections == []
        assert await said(listener.port, "backend.mesh") == (["240.0.0.0"], [MAPPED])
        assert await said(listener.port, "deep.er.mesh") == (["240.0.0.2"], ["fd00::2"])
        assert (await ask(listener.port, "backend.mesh")).found == (("240.0.0.0", 30),)
        for other in ("unknown.mesh", "x.backend.mesh", "mesh", "example.com"):
            assert await codes(listener.port, other, A, AAAA) == [NXDOMAIN, NXDOMAIN], other


async def test_what_envoys_filter_leaves_to_who_asks_it(tmp_path: Path) -> None:
    """Why applications do not ask it themselves, and why every name has both families: a resolver
    that hears of one that a name does not exist (musl's) has it that there is no such name.
    """
    listener = table()
    async with resolver(listener, tmp_path):
        port = listener.port
        assert await codes(port, "four.mesh", A, AAAA) == [NOERROR, NXDOMAIN]
        assert await codes(port, "Backend.mesh", A) == [NXDOMAIN]  # case counts
        others = (dns.MX, dns.TXT, dns.PTR, dns.HTTPS)
        assert await codes(port, "backend.mesh", *others) == [NOTIMP] * 4
        assert await codes(port, "backend.mesh", dns.SRV) == [NXDOMAIN]
        many = await ask(port, "many.mesh")
        assert (len(many.found), many.truncated) == (8, False)
        # A cluster's name leads to its endpoints; its TTL is not that of a record.
        assert (await ask(port, "web")).found == (("192.0.2.9", 300),)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_change_reaches_who_asks_within_a_second_and_no_question_is_lost(
    tmp_path: Path,
) -> None:
    """Of ten changes, one each time the last was seen; two ask without a pause."""
    listener = table()
    async with resolver(listener, tmp_path) as served:
        heard: Counter[str] = Counter()
        asking = [asyncio.create_task(_ask_on(listener.port, heard, kind)) for kind in (A, AAAA)]
        for number in range(1, 11):
            moved = ("backend.mesh", (f"240.0.9.{number}", f"::ffff:f000:9{number:02x}"))
            started = time.monotonic()
            served.publish(snapshot(replace(listener, records=(moved, *RECORDS[1:]))))
            async with asyncio.timeout(5):
                while (await ask(listener.port, "backend.mesh")).addresses != [moved[1][0]]:
                    pass
            assert time.monotonic() - started < 1
        await asyncio.sleep(1.5)  # The last one to be drained is gone.
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert served.rejections == []
    assert not {text for text in heard if not text.startswith(("240.0.", "::ffff:"))}
    assert heard.total() > 1000


async def _ask_on(port: int, heard: Counter[str], kind: int) -> None:
    while True:
        try:
            answer = await ask(port, "backend.mesh", kind, timeout_s=2)
            heard.update(answer.addresses or [f"code {answer.rcode}"])
        except (OSError, TimeoutError) as error:
            heard[repr(error)] += 1


async def test_ten_thousand_names_are_there_as_soon_as_ten(tmp_path: Path) -> None:
    """And a change among them."""
    listener = table()
    many = tuple(
        (f"service-{n:05}.mesh", (f"240.1.{n >> 8}.{n & 255}", f"::ffff:f001:{n:x}"))
        for n in range(10_000)
    )
    async with resolver(listener, tmp_path) as served:
        for records in ((BACKEND, *many), (("backend.mesh", ("240.9.9.9",)), *many)):
            started = time.monotonic()
            served.publish(snapshot(replace(listener, records=records)))
            last, first = many[-1], records[0]
            async with asyncio.timeout(5):
                while (await ask(listener.port, last[0])).addresses != [last[1][0]] or (
                    await ask(listener.port, first[0])
                ).addresses != [first[1][0]]:
                    pass
            assert time.monotonic() - started < 1
        assert served.rejections == []
