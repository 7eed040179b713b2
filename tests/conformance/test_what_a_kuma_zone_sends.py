"""What a zone of Kuma 2.14 sends up, and what our global makes of it: facts/kds-wire.md 9.1 (items
7 to 9), 1.11, 5.3 and 12, byte by byte, from a peer with a codec of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from tests.support.kuma_seeds import seeded, timeout_named
from tests.support.kuma_zone import (
    bytes_of,
    ending,
    kuma_zone,
    read,
    texts_of,
)
from tests.support.protobuf_wire import fields, message, text
from tests.support.raw_frames import (
    ZONE_TO_GLOBAL,
    kuma_entry,
    legacy,
    number,
    part,
    plugin,
)

if TYPE_CHECKING:
    from tests.support.global_link import GlobalLink
    from tests.support.kuma_zone import Stream
    from tests.support.protobuf_wire import Fields

pytestmark = pytest.mark.timeout(60)
# Wire names of the sheet's vectors.
WEB, INGRESS = "dp-1-wb46b5z544d4w7zf", "ingress-1-dfx2d8846584xwc7"


async def test_a_global_asks_as_soon_as_the_stream_is_open(link: GlobalLink) -> None:
    async with kuma_zone(link) as made:
        _, requests = await made.asked()
        types = [text(request, 2) for request in requests]
        assert set(ZONE_TO_GLOBAL) <= set(types)
        assert set(types) - set(ZONE_TO_GLOBAL) == {
            "ConvergenceReport",
            "ZoneStatus",
        }  # ours; answered empty
        for request in requests:
            assert request.keys() == {1, 2, 3}
            assert texts_of(request, 3) == ("*",)
            assert text(message(request, 1), 1) == "kuma-1"
        metadata = message(message(requests[0], 1), 3)
        told = {text(message(metadata, 1, at), 1) for at in range(len(metadata[1]))}
        assert told == {"version", "config", "control-plane-id", "features"}


async def test_a_fresh_zone_has_two_generators_and_answers_the_rest_empty(
    link: GlobalLink,
) -> None:
    """31 answers in all; two more types are ours, which it answers empty as well."""
    async with kuma_zone(link) as made:
        call, requests = await made.asked()
        for at, request in enumerate(requests):
            type_ = text(request, 2)
            entries: tuple[bytes, ...] = ()
            if type_ == "HostnameGenerator":
                entries = tuple(map(generator, ("local-mesh-external-service", "local-universal")))
            await made.publish(call, type_, str(at + 1), *entries)
        for at, request in enumerate(requests):
            answer = fields(await read(call))
            assert answer.keys() == {1, 2, 6}, "an ACK has node, type and nonce"
            assert (text(answer, 2), text(answer, 6)) == (text(request, 2), str(at + 1))
            assert fields(bytes_of(answer, 1)).keys() == {1}, "of the node its id alone"
    held = link.plane.state.zones["kuma-1"].owned.of("HostnameGenerator")
    assert len(held) == 2


def generator(name: str) -> bytes:
    """As a zone's own: no `kuma.io/env`, and the name that its hash gives it."""
    wire = {
        "local-mesh-external-service": kuma_name("", "local-mesh-external-service", "kuma-1"),
        "local-universal": kuma_name("", "local-universal", "kuma-1"),
    }[name]
    labels = {
        "kuma.io/display-name": name,
        "kuma.io/origin": "zone",
        "kuma.io/zone": "kuma-1",
    }
    spec = {"selector": {"meshExternalService": {}}, "template": "{{ .DisplayName }}.local"}
    return kuma_entry(wire, "", labels, plugin(spec))


def kuma_name(mesh: str, display: str, zone_name: str) -> str:
    """The name on the wire by section 4.1, written anew here."""
    value = 0xCBF29CE484222325
    for byte in f"{mesh}{display}{zone_name}".encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    alphabet = "bcdfghjklmnpqrstvwxz2456789"
    return f"{display}-{''.join(alphabet[ord(c) % 27] for c in f'{value:016x}')}"


def test_names_here_are_those_of_the_sheet() -> None:
    assert kuma_name("default", "dp-1", "east") == WEB
    assert kuma_name("", "ingress-1", "east") == INGRESS


def labels_of(name: str, type_: str) -> dict[str, str]:
    return {
        "kuma.io/display-name": name,
        "kuma.io/env": "universal",
        "kuma.io/mesh": "default",
        "kuma.io/origin": "zone",
        "kuma.io/proxy-type": type_,
        "kuma.io/zone": "east",
    }


def dataplane() -> bytes:
    """Networking with an address and one inbound, by the numbers of appendix A."""
    inbound = number(3, 80) + part(2, part(1, "kuma.io/service") + part(2, "web"))
    inbound += part(2, part(1, "kuma.io/zone") + part(2, "east"))
    return legacy("Dataplane", part(1, part(5, "10.0.0.1") + part(1, inbound)))


def dataplane_entry(display: str = "dp-1", mesh: str = "default") -> bytes:
    wire = kuma_name(mesh, display, "east")
    return kuma_entry(wire, mesh, labels_of(display, "sidecar"), dataplane())


async def test_the_first_answer_of_a_stream_is_all_there_is_and_later_ones_are_differences(
    link: GlobalLink,
) -> None:
    async def answer(call: Stream) -> Fields:
        return fields(await read(call))

    def owned() -> list[str]:
        found = link.plane.state.zones["east"].owned.of("Dataplane")
        return sorted(r.display_name for r in found)

    async with kuma_zone(link, "east") as made:
        call, _ = await made.asked()
        await made.publish(call, "Dataplane", "1", dataplane_entry(), dataplane_entry("dp-2"))
        await answer(call)
        await made.publish(call, "Dataplane", "2", dataplane_entry("dp-3"))
        await answer(call)
        assert owned() == ["dp-1", "dp-2", "dp-3"]
        await made.publish(call, "Dataplane", "3", removed=(f"{WEB}.default", "nobody.default"))
        assert 7 not in await answer(call), "a removal that matches nothing is no error"
        assert owned() == ["dp-2", "dp-3"]
    async with kuma_zone(link, "east") as made:
        call, _ = await made.asked()
        await made.publish(call, "Dataplane", "1", dataplane_entry("dp-2"))
        await answer(call)
        assert owned() == ["dp-2"]


async def test_what_is_gone_from_a_mesh_with_a_dot_in_its_name_is_gone(link: GlobalLink) -> None:
    """Kuma takes such a name for a Mesh, and splits a removal at the last dot."""
    async with kuma_zone(link, "east") as made:
        call, _ = await made.asked()
        await made.publish(call, "Dataplane", "1", dataplane_entry("dp-1", "shop.eu"))
        await read(call)
        gone = f"{kuma_name('shop.eu', 'dp-1', 'east')}.shop.eu"
        await made.publish(call, "Dataplane", "2", removed=(gone,))
        await read(call)
    assert not link.plane.state.zones["east"].owned.of("Dataplane")


async def test_of_a_refused_resource_the_zone_hears_and_its_neighbours_are_stored(
    link: GlobalLink,
) -> None:
    async with kuma_zone(link, "east") as made:
        call, _ = await made.asked()
        other = kuma_entry("dp-9", "default", {"kuma.io/zone": "west"}, dataplane())
        await made.publish(call, "Dataplane", "1", dataplane_entry(), other)
        refused = fields(await read(call))
        assert (text(refused, 2), text(refused, 6), texts_of(refused, 3)) == (
            "Dataplane",
            "1",
            ("*",),
        )
        status = message(refused, 7)
        assert status.keys() == {2}, "a message, and the code left at 0"
        assert "dp-9" in text(status, 2)
        assert fields(bytes_of(refused, 1)).keys() == {1}
        assert not call.done()
    found = link.plane.state.zones["east"].owned.of("Dataplane")
    assert [r.display_name for r in found] == ["dp-1"]


async def test_an_ingress_is_relayed_with_its_zone_and_as_the_globals_own(link: GlobalLink) -> None:
    """12.1 and 12.2: what one zone sends arrives at the other one, and does not come back."""
    service = part(1, part(1, "kuma.io/service") + part(2, "web")) + number(2, 1)
    service += part(3, "default")
    networking = part(1, "10.0.0.9") + part(2, "203.0.113.7") + number(3, 10001) + number(4, 10001)
    spec = legacy("ZoneIngress", part(1, "east") + part(2, networking) + part(3, service))
    labels = {**labels_of("ingress-1", "zoneingress")}
    del labels["kuma.io/mesh"]
    async with kuma_zone(link, "east") as east, kuma_zone(link, "kuma-2") as west:
        up, _ = await east.asked()
        mine, first = await east.joined("ZoneIngress")
        theirs, _ = await west.joined("ZoneIngress")
        assert first["ZoneIngress"].names == ()
        await east.publish(up, "ZoneIngress", "1", kuma_entry(INGRESS, "", labels, spec))
        arrived = await west.take(theirs)
        assert arrived.names == (f"{INGRESS}.",)
        told = arrived.labels()
        assert (told["kuma.io/origin"], told["kuma.io/zone"]) == ("global", "east")
        link.publish(*seeded(), timeout_named("t", 2000))
        await east.subscribe(mine, "MeshTimeout")
        assert (await east.take(mine)).type_url == "MeshTimeout"  # And no ingress before it.


async def test_a_zone_that_publishes_nothing_holds_up_nothing(link: GlobalLink) -> None:
    async with kuma_zone(link) as made:
        await made.asked()
        _, told = await made.joined("Mesh")
        assert told["Mesh"].names == ("default.",)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(kuma_entry(WEB, "default", {}, None), id="no-spec"),
        pytest.param(kuma_entry(WEB, "default", {}, legacy("Mesh", b"")), id="other-message"),
        pytest.param(
            kuma_entry(WEB, "default", {}, dataplane(), any_url="type.googleapis.com/x.Y"),
            id="no-kuma-resource",
        ),
    ],
)
async def test_a_frame_that_cannot_be_decoded_ends_its_stream_and_no_other(
    link: GlobalLink, entry: bytes
) -> None:
    async with kuma_zone(link, "east") as made:
        down, _ = await made.joined("Mesh")
        up, _ = await made.asked()
        await made.publish(up, "Dataplane", "1", entry)
        assert (await ending(up))[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert not down.done()
