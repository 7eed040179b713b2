"""Our zone as a global of Kuma 2.14 sees it: the sequences of facts/kds-wire.md 9.2, 1.5 to 1.11
and 12.2, byte by byte, from a peer with a codec of its own.
"""

from __future__ import annotations

import inspect
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.kds import client
from reconciler.kds.client import OPTIONS
from tests.support.joined import OURS, Joined, joined_zone, timeout_entry
from tests.support.kuma_global import ADMIN, DOWN, UP, KumaGlobal, node_id
from tests.support.kuma_zone import Said, bytes_of, said, texts_of
from tests.support.protobuf_wire import fields, message, text
from tests.support.raw_frames import (
    GLOBAL_TO_ZONE,
    KUMA_FEATURES,
    ZONE_TO_GLOBAL,
    delta_request,
    kuma_metadata,
    node,
    number,
    part,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kuma_global import KumaCall
    from tests.support.protobuf_wire import Fields
    from tests.support.zone_link import ZoneLink

pytestmark = pytest.mark.timeout(60)
WEB = "dp-1-wb46b5z544d4w7zf"  # wire name of dp-1 in mesh default and zone east, by 4.1
WEB_2 = "dp-2-62x9476bffvbff9x"


# --- 9.2, items 1 to 4: how a zone introduces itself, and what it is sent ---


async def test_every_call_says_who_the_zone_is(joined: Joined) -> None:
    """`features` are two fields: a Kuma global looks for exact elements."""
    calls = [await joined.peer.call(method) for method in (DOWN, UP, *ADMIN)]
    await joined.peer.pings(2)  # Once before the streams, and once when they are open.
    for headers in (*(call.headers for call in calls), *joined.peer.health):
        told = Counter(pair for pair in headers if not pair[0].startswith("user-agent"))
        assert told["client-id", "east"] == 1
        assert told["features", "zone-ping-health"] == told["features", "hash-suffix"] == 1
        assert sum(count for (key, _), count in told.items() if key == "features") == 2
        assert told["kds-version", "v3"] == 1
        assert len([value for key, value in headers if key == "version" and value]) == 1


async def test_all_types_are_subscribed_and_each_answer_is_acknowledged(joined: Joined) -> None:
    _, told = await joined.served()
    asked, acks = told[: len(told) // 2], told[len(told) // 2 :]
    assert sorted(text(r, 2) for r in asked) == sorted((*GLOBAL_TO_ZONE, *OURS))
    for request in asked:
        assert request.keys() == {1, 2, 3}, "no nonce, and no initial versions"
        assert texts_of(request, 3) == ("*",)
    assert [text(ack, 2) for ack in acks] == [text(r, 2) for r in asked]
    assert [text(ack, 6) for ack in acks] == [str(n + 1) for n in range(len(acks))]
    for ack in acks:
        assert ack.keys() == {1, 2, 6}
        assert fields(bytes_of(ack, 1)).keys() == {1}, "of the node its id alone"
    assert {node_id(request) for request in told} == {"east"}, "a request without Node ends Kuma"


async def test_the_first_request_tells_version_configuration_and_features(joined: Joined) -> None:
    _, told = await joined.served()
    metadata = struct_of(message(message(told[0], 1), 3))
    assert json.loads(str(metadata["config"]))["store"]["type"] in ("memory", "postgres")
    assert metadata["control-plane-id"]
    version = metadata["version"]["kumaCp"]
    assert version["version"].startswith("2.14.")
    assert version.keys() <= {"version", "gitTag", "gitCommit", "buildDate"}
    assert set(KUMA_FEATURES) <= set(metadata["features"])


def struct_of(found: Fields) -> dict[str, Any]:
    pairs = [message(found, 1, at) for at in range(len(found.get(1, [])))]
    return {text(pair, 1): value_of(message(pair, 2)) for pair in pairs}


def value_of(found: Fields) -> Any:
    if 3 in found:
        return text(found, 3)
    if 5 in found:
        return struct_of(message(found, 5))
    listed = message(found, 6)
    return [value_of(message(listed, 1, at)) for at in range(len(listed.get(1, [])))]


async def test_what_a_stock_global_sends_is_in_force(joined: Joined) -> None:
    """In an order that is the global's own; a key that is not known is passed over."""
    await joined.served(MeshTimeout=(timeout_entry("a"), timeout_entry("b")))
    assert len(await joined.in_force("MeshTimeout")) == 2
    assert await joined.in_force("Mesh") == [{}]


async def test_a_change_is_taken_in_full_and_a_removal_by_its_wire_name(joined: Joined) -> None:
    call, _ = await joined.served(MeshTimeout=(timeout_entry("a"), timeout_entry("b")))
    await call.answer("MeshTimeout", timeout_entry("a", "1s"), removed=(name_of("b"),))
    assert text(await call.read(), 6) == str(call.nonces)
    (left,) = joined.zone.plane.state.policy.of("MeshTimeout")
    assert '"1s"' in left.body


def name_of(display: str) -> str:
    return f"{display}-54dbd4c66zwbcf9c.default"


async def test_a_resource_that_is_refused_is_named_and_its_neighbour_is_taken(
    joined: Joined,
) -> None:
    """The form of a NACK: the wildcard again, a message without a code, the node's id."""
    call, _ = await joined.served(MeshTimeout=(timeout_entry("a"),))
    await call.answer("MeshTimeout", timeout_entry("bad", kind="Nothing"), timeout_entry("c"))
    refused = await call.read()
    assert refused.keys() == {1, 2, 3, 6, 7}
    assert (text(refused, 2), text(refused, 6)) == ("MeshTimeout", str(call.nonces))
    assert texts_of(refused, 3) == ("*",)
    assert message(refused, 7).keys() == {2}
    assert fields(bytes_of(refused, 1)).keys() == {1}
    held = {r.key.name for r in joined.zone.plane.state.policy.of("MeshTimeout")}
    assert {f"{name}.default" for name in held} == {name_of("a"), name_of("c")}
    await call.answer("MeshTimeout", timeout_entry("bad", "2s"))
    assert 7 not in await call.read(), "its cure is taken"


async def test_the_first_response_is_the_full_state_also_of_a_second_session(
    joined: Joined,
) -> None:
    """What an earlier session brought and the first response of a new one lacks is gone."""
    call, _ = await joined.served(MeshTimeout=(timeout_entry("a"), timeout_entry("b")))
    await joined.in_force("MeshTimeout")
    joined.zone.plane.redial_least_s = lambda: 0.0  # type: ignore[method-assign]
    call.over.set()
    await joined.served(MeshTimeout=(timeout_entry("b"),))
    await joined.zone.until(lambda: len(joined.zone.plane.state.policy.of("MeshTimeout")) == 1)
    (left,) = joined.zone.plane.state.policy.of("MeshTimeout")
    assert f"{left.key.name}.default" == name_of("b")


# --- 9.2, items 5 to 7 and 9: what a zone sends ---


@dataclass
class Upward:
    """The zone's answers, by type."""

    call: KumaCall
    found: dict[str, Said] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    @classmethod
    async def of(cls, joined: Joined) -> Upward:
        """A global's subscriptions, in an order of its own; none of its types is of ours."""
        call = await joined.peer.call(UP)
        whole = node("east", kuma_metadata("global-1", ""))
        for at, type_ in enumerate(reversed(ZONE_TO_GLOBAL)):
            told = whole if at == 0 else node("east")
            await call.write(delta_request(type_, of=told, subscribe=("*",)))
        made = cls(call)
        for _ in ZONE_TO_GLOBAL:
            await made.next()
        return made

    async def next(self, *, ack: bool = True) -> Said:
        found = said(join(await self.call.read()))
        self.found[found.type_url] = found
        self.seen.append(found.type_url)
        if ack:
            await self.ack(found)
        return found

    async def until(self, type_: str, name: str, *, ack: bool = True) -> Said:
        """Something of this name in this type; all before it is acknowledged."""
        while True:
            found = await self.next(ack=False)
            wanted = found.type_url == type_ and f"{name}.default" in (*found.names, *found.removed)
            if ack or not wanted:
                await self.ack(found)
            if wanted:
                return found

    async def ack(self, found: Said) -> None:
        request = delta_request(found.type_url, of=node("east"), nonce=found.nonce)
        await self.call.write(request)


def join(found: Fields) -> bytes:
    """The bytes that these fields were read from, for another reader."""
    return b"".join(
        part(key, value) if isinstance(value, bytes) else number(key, value)
        for key, values in found.items()
        for value in values
    )


async def test_every_type_a_global_asks_for_is_answered_also_with_nothing(joined: Joined) -> None:
    """Else what an earlier run left there stays for ever. A zone always has names for its own."""
    await joined.served()
    up = await Upward.of(joined)
    assert sorted(up.found) == sorted(ZONE_TO_GLOBAL)
    for type_, answer in up.found.items():
        assert (answer.identifier, answer.removed) == ("east", ())
        names = [name.rpartition("-")[0] for name in answer.names]
        own = ["local-mesh-external-service", "local-universal-mesh-service"]
        assert names == (own if type_ == "HostnameGenerator" else [])
    nonces = [int(a.nonce) for a in up.found.values()]
    assert sorted(nonces) == list(range(1, len(nonces) + 1))


async def test_a_type_that_is_not_ours_to_give_is_answered_empty(joined: Joined) -> None:
    await joined.served()
    up = await Upward.of(joined)
    for type_ in ("MadeUp", "Zone", "Secret"):
        await up.call.write(delta_request(type_, of=node("east"), subscribe=("*",)))
        assert (await up.next()).names == ()


async def test_a_proxy_and_its_insight_share_their_name_and_have_the_labels_of_a_zone(
    joined: Joined,
) -> None:
    await joined.served()
    await joined.in_force("Secret")
    async with await joined.proxy():
        up = await Upward.of(joined)
        for type_ in ("Dataplane", "DataplaneInsight"):
            answer = up.found[type_]
            assert answer.names == (f"{WEB}.default",)
            meta = message(answer.resource(), 1)
            assert (text(meta, 1), text(meta, 2)) == (WEB, "default")
            told = answer.labels()
            assert told["kuma.io/display-name"] == "dp-1"
            assert (told["kuma.io/origin"], told["kuma.io/zone"]) == ("zone", "east")
            assert 3 not in answer.resource(), "no status: an empty one would end the stream"
            url = text(message(answer.resource(), 2), 1)
            assert url == f"type.googleapis.com/kuma.mesh.v1alpha1.{type_}"
        assert up.found["Dataplane"].labels()["kuma.io/env"] == "universal"
        spec = fields(bytes_of(message(up.found["DataplaneInsight"].resource(), 2), 2))
        (subscription,) = [message(spec, 1, at) for at in range(len(spec[1]))]
        assert 3 in subscription, "connected, "
        assert 4 not in subscription, "and not disconnected: online"
        assert 7 not in subscription, "generation 0"


async def test_what_is_not_to_be_synced_stays_in_the_zone(joined: Joined) -> None:
    await joined.served()
    await joined.in_force("Secret")
    hidden = {"kuma.io/kds-sync": "disabled"}
    async with await joined.proxy(**hidden), await joined.proxy("dp-2", team="a"):
        await joined.zone.until(lambda: len(joined.zone.plane.state.streams) == 2)
        up = await Upward.of(joined)
        for type_ in ("Dataplane", "DataplaneInsight"):
            assert up.found[type_].names == (f"{WEB_2}.default",)


async def test_the_next_response_of_a_type_waits_for_the_answer(joined: Joined) -> None:
    """A NACK counts as one: what was refused is not repeated, the next change is sent."""
    await joined.served()
    await joined.in_force("Secret")
    up = await Upward.of(joined)
    async with await joined.proxy():
        first = await up.until("Dataplane", WEB, ack=False)
        before = len(up.seen)
        async with await joined.proxy("dp-2"):
            await up.until("DataplaneInsight", WEB_2)  # Said behind the Dataplane, were it said.
            assert "Dataplane" not in up.seen[before:]
            refused = delta_request(
                "Dataplane",
                of=node("east"),
                subscribe=("*",),
                nonce=first.nonce,
                error='networking.inbound[0].tags["kuma.io/service"]: tag has to exist',
            )
            await up.call.write(refused)
            assert (await up.until("Dataplane", WEB_2)).names == (f"{WEB_2}.default",)


async def test_what_is_gone_is_removed_by_its_wire_name(joined: Joined) -> None:
    await joined.served()
    await joined.in_force("Secret")
    up = await Upward.of(joined)
    async with await joined.proxy():
        await up.until("Dataplane", WEB)
        deregister(joined.zone)
    found = await up.until("Dataplane", WEB)
    while not found.removed:  # It was told again: NotReady.
        found = await up.until("Dataplane", WEB)
    assert (found.names, found.removed) == ((), (f"{WEB}.default",))


def deregister(zone: ZoneLink) -> None:
    """Its ten seconds are over at once."""
    settings = replace(zone.plane.state.settings, deregister_after_s=0.0)
    zone.plane.state = replace(zone.plane.state, settings=settings)


# --- 6.4: the health check ---


async def test_health_is_told_at_the_interval_that_the_global_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one below a second: with ZoneWatch a zone that says nothing is cut off."""
    monkeypatch.setattr(client, "HEALTH_MIN_S", 0.01)
    often = KumaGlobal(interval=part(1, number(2, 20_000_000)))
    async with joined_zone(tmp_path, monkeypatch, often):
        await often.pings(5)
    assert len(often.health) >= 5


async def test_a_global_that_says_no_interval_is_told_on_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = KumaGlobal(interval=b"")
    async with joined_zone(tmp_path, monkeypatch, quiet) as made:
        await made.served()
        await quiet.pings(2)
        assert client.HEALTH_INTERVAL_S == 300.0
        assert len(quiet.health) == 2


# --- 7: the admin streams ---


async def test_questions_are_answered_under_their_ids_in_any_order(joined: Joined) -> None:
    """The words for a name or type that is not there are Kuma's."""
    await joined.served()
    for method in ADMIN:
        call = await joined.peer.call(method)
        for at, type_ in enumerate(("Dataplane", "ZoneIngress", "Pigeon")):
            asked = part(1, f"id-{at}") + part(2, type_) + part(3, "nobody")
            mesh = part(4, "default") if type_ == "Dataplane" else b""
            await call.write(asked + mesh)
        answers = [await call.read() for _ in range(3)]
        told = {text(answer, 1): text(answer, 2) for answer in answers}
        assert told.keys() == {"id-0", "id-1", "id-2"}
        assert told["id-0"].startswith('resource not found: type="Dataplane" name=')
        assert told["id-1"].startswith('resource not found: type="ZoneIngress" name=')
        assert told["id-2"] == 'invalid resource type "Pigeon"'
        assert all(answer.keys() == {1, 2} for answer in answers)


async def test_a_global_without_admin_streams_is_served_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with joined_zone(tmp_path, monkeypatch, KumaGlobal(without=ADMIN)) as made:
        await made.served(MeshTimeout=(timeout_entry("a"),))
        assert len(await made.in_force("MeshTimeout")) == 1


# --- 1.3, 9.2 item 11 ---


def test_pings_are_no_faster_than_a_kuma_global_takes() -> None:
    told = {name.removeprefix("grpc."): value for name, value in OPTIONS}
    assert told["keepalive_time_ms"] >= 20_000
    assert told["keepalive_permit_without_calls"] == 1


def test_a_zone_never_closes_half_of_a_stream() -> None:
    """A Kuma global would end one of them with INTERNAL, and leave the other one open and dead."""
    assert "done_writing" not in inspect.getsource(client)
